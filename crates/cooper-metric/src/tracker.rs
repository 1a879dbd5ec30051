//! The scale of one camera's maps: each frame's own fit, compared with the frames before.
//!
//! A frame has metres when its own fit is good and does not jump, or when there is nothing to fit and a good fit is
//! young. A fit that is bad or jumps speaks against this frame's map, so an older scale does not replace it.

use super::affine::Affine;
use super::filter::{FilterSettings, ScaleFilter, Verdict};
use super::fit::ScaleFit;
use super::why_not::WhyNot;

/// A frame that is older than another by at most this time was overtaken by it; more, and time has begun anew.
const OVERTAKEN_S: f64 = 1.0;

/// The observation of the scale in one frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// A scale that can be trusted.
    Fit(ScaleFit),
    /// The map does not agree with the reference or the floor.
    Bad(WhyNot),
    /// There is nothing to compare the map with, for this reason.
    Missing(String),
}

/// The scale of one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// The smoothed line.
    pub affine: Affine,
    /// From the newest fit that went into it to the frame, seconds.
    pub age_s: f64,
    /// That fit.
    pub fit: ScaleFit,
    /// Why the frame has no fit of its own, if it has none.
    pub missing: Option<String>,
}

/// Why a frame has no scale.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoScale {
    /// Its own fit is bad.
    #[error("{0}")]
    Bad(WhyNot),
    /// Its own fit is far from those before.
    #[error(
        "the scale jumps to {to} from {from}: {n} of the {needed} fits in a row that it takes to be believed"
    )]
    Jump {
        /// The frame's own fit.
        to: Affine,
        /// The smoothed one.
        from: Affine,
        /// Jumps to this place so far.
        n: usize,
        /// How many are believed.
        needed: usize,
    },
    /// It has no fit of its own, and there is no young one.
    #[error("{why}; {}", last_fit(.newest_age_s, *.max_age_s))]
    Missing {
        /// Why it has none.
        why: String,
        /// From the newest good fit to the frame, seconds.
        newest_age_s: Option<f64>,
        /// The setting `max_age_s`.
        max_age_s: f64,
    },
}

fn last_fit(age_s: &Option<f64>, max_age_s: f64) -> String {
    match age_s {
        Some(age) => {
            format!("the newest good fit is {age:.1} s old, expected at most {max_age_s:.1} s")
        }
        None => "there is no good fit yet".into(),
    }
}

/// The scale of one camera over time.
#[derive(Clone, Debug, Default)]
pub struct ScaleTracker {
    filter: ScaleFilter,
    /// The newest fit that was taken, and the stamp of its frame in seconds.
    newest: Option<(f64, ScaleFit)>,
}

impl ScaleTracker {
    /// Add the observation of a frame with its stamp in seconds; returns the scale of the frame.
    ///
    /// # Errors
    /// [`NoScale`] if the frame has no reliable scale.
    pub fn observe(
        &mut self,
        observation: Observation,
        stamp_s: f64,
        settings: FilterSettings,
    ) -> Result<Scale, NoScale> {
        self.filter.set(settings);
        match observation {
            Observation::Fit(fit) => self.fitted(fit, stamp_s, settings),
            Observation::Bad(why) => Err(NoScale::Bad(why)),
            Observation::Missing(why) => self.without_fit(why, stamp_s, settings),
        }
    }

    fn fitted(
        &mut self,
        fit: ScaleFit,
        stamp_s: f64,
        settings: FilterSettings,
    ) -> Result<Scale, NoScale> {
        let newest = self
            .newest
            .map_or(f64::NEG_INFINITY, |(stamp_s, _)| stamp_s);
        let own = Scale {
            affine: fit.affine,
            age_s: 0.0,
            fit,
            missing: None,
        };
        // The filter takes frames in their order; a late one is as good as its own fit.
        if stamp_s < newest && newest - stamp_s <= OVERTAKEN_S {
            return Ok(own);
        }
        let before = self.filter.at(stamp_s);
        if let Verdict::Held { n } = self.filter.update(&fit.affine, stamp_s) {
            return Err(NoScale::Jump {
                to: fit.affine,
                from: before.map_or(fit.affine, |before| before.affine),
                n,
                needed: settings.n_persist,
            });
        }
        self.newest = Some((stamp_s, fit));
        let affine = self.filter.at(stamp_s).map_or(fit.affine, |now| now.affine);
        Ok(Scale { affine, ..own })
    }

    fn without_fit(
        &self,
        why: String,
        stamp_s: f64,
        settings: FilterSettings,
    ) -> Result<Scale, NoScale> {
        match (self.filter.at(stamp_s), self.newest) {
            (Some(smoothed), Some((_, fit))) => Ok(Scale {
                affine: smoothed.affine,
                age_s: smoothed.age_s,
                fit,
                missing: Some(why),
            }),
            (_, newest) => Err(NoScale::Missing {
                why,
                newest_age_s: newest.map(|(newest, _)| stamp_s - newest),
                max_age_s: settings.max_age_s,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(scale: f64) -> ScaleFit {
        ScaleFit {
            affine: Affine { scale, shift: 0.0 },
            n_points: 100,
            inlier_share: 0.9,
            median_error: 0.01,
            rms_m: 0.1,
            correlation: 0.9,
        }
    }

    const SETTINGS: FilterSettings = FilterSettings {
        time_constant_s: 0.0,
        max_jump: 0.2,
        n_persist: 2,
        max_age_s: 5.0,
    };

    fn observe(
        tracker: &mut ScaleTracker,
        observation: Observation,
        stamp_s: f64,
    ) -> Result<f64, String> {
        let scale = tracker.observe(observation, stamp_s, SETTINGS);
        scale.map(|s| s.affine.scale).map_err(|why| why.to_string())
    }

    fn missing() -> Observation {
        Observation::Missing("nobody publishes".into())
    }

    #[test]
    fn a_young_scale_stands_in_where_nothing_can_be_fitted() {
        let mut tracker = ScaleTracker::default();
        let error = observe(&mut tracker, missing(), 100.0).unwrap_err();
        assert_eq!(error, "nobody publishes; there is no good fit yet");
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(4.0)), 101.0),
            Ok(4.0)
        );
        let scale = tracker.observe(missing(), 104.0, SETTINGS).unwrap();
        assert_eq!((scale.affine.scale, scale.age_s), (4.0, 3.0));
        assert_eq!(scale.missing.as_deref(), Some("nobody publishes"));
        let error = observe(&mut tracker, missing(), 107.0).unwrap_err();
        assert_eq!(
            error,
            "nobody publishes; the newest good fit is 6.0 s old, expected at most 5.0 s"
        );
    }

    #[test]
    fn no_scale_stands_in_for_a_bad_fit() {
        let mut tracker = ScaleTracker::default();
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(4.0)), 1.0),
            Ok(4.0)
        );
        let bad = Observation::Bad(WhyNot::NoFloor);
        assert_eq!(
            observe(&mut tracker, bad, 2.0),
            Err(WhyNot::NoFloor.to_string())
        );
        assert_eq!(
            observe(&mut tracker, missing(), 3.0),
            Ok(4.0),
            "the bad frame alone is without metres"
        );
    }

    #[test]
    fn a_jump_is_without_metres_until_it_is_believed() {
        let mut tracker = ScaleTracker::default();
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(4.0)), 1.0),
            Ok(4.0)
        );
        let error = observe(&mut tracker, Observation::Fit(fit(8.0)), 2.0).unwrap_err();
        assert_eq!(
            error,
            "the scale jumps to 8.000 m * relative + 0.000 m from 4.000 m * relative + 0.000 m: 1 of the 2 fits in a row that it takes to be believed"
        );
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(8.0)), 3.0),
            Ok(8.0)
        );
    }

    #[test]
    fn an_overtaken_frame_has_its_own_fit_and_leaves_the_filter_alone() {
        let mut tracker = ScaleTracker::default();
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(4.0)), 10.0),
            Ok(4.0)
        );
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(8.0)), 9.5),
            Ok(8.0)
        );
        assert_eq!(observe(&mut tracker, missing(), 10.5), Ok(4.0));
        // A recording that begins anew is no overtaken frame.
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(8.0)), 2.0),
            Ok(8.0)
        );
        assert_eq!(observe(&mut tracker, missing(), 3.0), Ok(8.0));
    }

    #[test]
    fn settings_hold_from_the_next_frame_on() {
        let mut tracker = ScaleTracker::default();
        assert_eq!(
            observe(&mut tracker, Observation::Fit(fit(4.0)), 0.0),
            Ok(4.0)
        );
        let patient = FilterSettings {
            max_age_s: 60.0,
            ..SETTINGS
        };
        assert!(observe(&mut tracker, missing(), 30.0).is_err());
        assert!(tracker.observe(missing(), 30.0, patient).is_ok());
    }
}
