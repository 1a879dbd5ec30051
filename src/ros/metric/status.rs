//! The state of a camera's metric scale: for status and diagnostics, and in the log.

use std::time::{Duration, Instant};

use cooper_metric::{Affine, ScaleFit};
use cooper_perception::config::ScaleSource;

use super::metres::{MetricDepth, MetricResult};

/// The shortest time between two log messages of one kind.
const LOG_PERIOD: Duration = Duration::from_secs(10);

/// The scale at a moment.
#[derive(Clone, Debug)]
pub struct ScaleStatus {
    /// Where metres come from.
    pub source: ScaleSource,
    /// Of the newest metric map; none if there is no such map or it has no scale.
    pub affine: Option<Affine>,
    /// Time since the newest good fit.
    pub age: Option<Duration>,
    /// That fit.
    pub fit: Option<ScaleFit>,
    /// Reference depth images received since the start.
    pub n_references: u64,
    /// Whether a CameraInfo was received.
    pub has_camera_info: bool,
    /// Why there are no metres; empty if there are.
    pub why_not: String,
    /// What is missing or doubtful.
    pub remark: Option<String>,
}

/// The scale of the newest metric map, and what was logged of it.
#[derive(Debug, Default)]
pub struct ScaleLog {
    /// The scale, or why there is none.
    pub newest: Option<MetricResult<Affine>>,
    /// What is missing or doubtful.
    pub remark: Option<String>,
    /// The newest good fit, and when it was made.
    pub fit: Option<(Instant, ScaleFit)>,
    logged: Option<MetricResult<()>>,
    success_logged: Option<Instant>,
    failure_logged: Option<Instant>,
}

impl ScaleLog {
    /// Record a map of `camera`, and log a change.
    pub fn record(&mut self, camera: &str, depth: &MetricResult<MetricDepth>) {
        match depth {
            Ok(depth) => self.record_success(camera, depth),
            Err(why) => self.record_failure(camera, why),
        }
    }

    fn record_success(&mut self, camera: &str, depth: &MetricDepth) {
        let (affine, fit) = (depth.scale.affine, depth.scale.fit);
        self.newest = Some(Ok(affine));
        self.remark.clone_from(&depth.remark);
        if depth.scale.missing.is_none() {
            self.fit = Some((Instant::now(), fit));
        }
        if self.logged != Some(Ok(())) && is_due(&mut self.success_logged) {
            let (n, inliers) = (fit.n_points, 100.0 * fit.inlier_share);
            tracing::info!(
                camera,
                "metric depth: {affine}; {inliers:.0} % of {n} points are inliers"
            );
            self.logged = Some(Ok(()));
        }
    }

    fn record_failure(&mut self, camera: &str, why: &str) {
        self.newest = Some(Err(why.into()));
        self.remark = None;
        let is_same = matches!(&self.logged, Some(Err(logged)) if logged == why);
        if !is_same && is_due(&mut self.failure_logged) {
            tracing::warn!(camera, "no metric depth: {why}");
            self.logged = Some(Err(why.into()));
        }
    }
}

/// Whether [`LOG_PERIOD`] has passed since this last returned true.
fn is_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= LOG_PERIOD);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changing_failure_is_logged_once_per_period() {
        let mut log = ScaleLog::default();
        log.record("left", &Err("first".into()));
        assert_eq!(log.logged, Some(Err("first".into())));
        log.record("left", &Err("second".into()));
        assert_eq!(log.logged, Some(Err("first".into())), "not yet");
        assert_eq!(log.newest, Some(Err("second".into())));
        log.failure_logged = Instant::now().checked_sub(LOG_PERIOD);
        log.record("left", &Err("third".into()));
        assert_eq!(log.logged, Some(Err("third".into())));
    }
}
