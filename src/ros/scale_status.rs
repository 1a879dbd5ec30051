//! What became of a camera's maps that were wanted in metres: for status and diagnostics, and in the log.

use std::time::{Duration, Instant};

use cooper_metric::{Affine, ScaleFit};
use cooper_perception::config::ScaleSource;

use super::metric_scale::{Metres, OrWhy};

/// How often metres that come and go are logged.
const LOG_AGAIN: Duration = Duration::from_secs(10);

/// The scale at a moment.
#[derive(Clone, Debug)]
pub struct ScaleStatus {
    /// Where metres come from.
    pub source: ScaleSource,
    /// Of the newest map that was wanted in metres; none where there is no such map or it has none.
    pub affine: Option<Affine>,
    /// Time since the newest good fit.
    pub age: Option<Duration>,
    /// That fit.
    pub fit: Option<ScaleFit>,
    /// Reference depth images that came, ever.
    pub n_references: u64,
    /// Whether a calibration has come.
    pub has_camera_info: bool,
    /// Why there are no metres; empty if there are.
    pub why_not: String,
    /// What is missing or doubtful beside them.
    pub remark: Option<String>,
}

/// What became of the newest map that was wanted in metres.
#[derive(Debug, Default)]
pub struct Told {
    /// Its scale, or why it has none.
    pub newest: Option<OrWhy<Affine>>,
    /// What is missing or doubtful beside the metres.
    pub remark: Option<String>,
    /// The newest good fit, and when it was made.
    pub fit: Option<(Instant, ScaleFit)>,
    logged: Option<OrWhy<()>>,
    good_logged: Option<Instant>,
    bad_logged: Option<Instant>,
}

impl Told {
    /// Remember what became of a map of `camera`, and log a change.
    pub fn tell(&mut self, camera: &str, metres: &OrWhy<Metres>) {
        match metres {
            Ok(metres) => {
                let affine = metres.scale.affine;
                self.newest = Some(Ok(affine));
                self.remark = metres.remark.clone();
                if metres.scale.missing.is_none() {
                    self.fit = Some((Instant::now(), metres.scale.fit));
                }
                if self.logged != Some(Ok(())) && is_due(&mut self.good_logged) {
                    let (n, inliers) = (metres.scale.fit.n_points, metres.scale.fit.inlier_share);
                    let inliers = 100.0 * inliers;
                    tracing::info!(
                        camera,
                        "metric depth: {affine}, of {n} points {inliers:.0} % fit"
                    );
                    self.logged = Some(Ok(()));
                }
            }
            Err(why) => {
                self.newest = Some(Err(why.clone()));
                self.remark = None;
                let is_same = matches!(&self.logged, Some(Err(logged)) if logged == why);
                if !is_same && is_due(&mut self.bad_logged) {
                    tracing::warn!(camera, "no metric depth: {why}");
                    self.logged = Some(Err(why.clone()));
                }
            }
        }
    }
}

/// Whether enough time has passed since the last time that this was true.
fn is_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= LOG_AGAIN);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_and_goes_is_logged_now_and_then() {
        let mut told = Told::default();
        told.tell("left", &Err("first".into()));
        assert_eq!(told.logged, Some(Err("first".into())));
        told.tell("left", &Err("second".into()));
        assert_eq!(told.logged, Some(Err("first".into())), "not yet");
        assert_eq!(told.newest, Some(Err("second".into())));
        told.bad_logged = Instant::now().checked_sub(LOG_AGAIN);
        told.tell("left", &Err("third".into()));
        assert_eq!(told.logged, Some(Err("third".into())));
    }
}
