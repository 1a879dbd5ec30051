//! Scale and shift over time: smoothed, robust against single jumps, and dropped when too old.

use super::affine::Affine;

/// Relative depths at which two lines are compared.
const COMPARED_AT: [f64; 3] = [0.1, 0.4, 0.8];

/// How fits are smoothed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterSettings {
    /// After this time a change has gone through to 63 %, seconds; 0 takes each fit as it is.
    pub time_constant_s: f64,
    /// A fit is a jump when its metres differ by more than this share from the smoothed ones; infinite for never.
    pub max_jump: f64,
    /// The number of jumps to the same place in a row after which the filter switches to it; at least 1.
    pub n_persist: usize,
    /// Without a fit for longer than this, seconds, there is no scale.
    pub max_age_s: f64,
}

impl Default for FilterSettings {
    /// For a map a second.
    fn default() -> Self {
        Self {
            time_constant_s: 3.0,
            max_jump: 0.2,
            n_persist: 3,
            max_age_s: 10.0,
        }
    }
}

/// What the filter did with a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was nothing before, or it was too old.
    First,
    /// Time went back (a simulation or a recording started again): the filter starts again.
    Restarted,
    /// It was smoothed in.
    Smoothed,
    /// It is a jump and waits for further ones to the same place.
    Held {
        /// Jumps to this place so far.
        n: usize,
    },
    /// It is a jump that lasted: it is taken as it is.
    Switched,
    /// Its time or its numbers are not finite.
    Ignored,
}

/// The scale of a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smoothed {
    /// The line.
    pub affine: Affine,
    /// Time since the newest fit that went into it, seconds.
    pub age_s: f64,
}

/// The scale of one camera over time. It knows no clock: what it says follows from the fits and their stamps.
#[derive(Clone, Debug, Default)]
pub struct ScaleFilter {
    settings: FilterSettings,
    state: Option<State>,
    jumps: Option<Jumps>,
    /// The stamp of the newest fit, even of one that is held.
    newest_s: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    affine: Affine,
    stamp_s: f64,
}

/// Jumps to one place.
#[derive(Clone, Copy, Debug)]
struct Jumps {
    to: Affine,
    n: usize,
}

impl ScaleFilter {
    /// A filter without fits.
    pub fn new(settings: FilterSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Change the settings.
    pub fn set(&mut self, settings: FilterSettings) {
        self.settings = settings;
    }

    /// Add the fit of a frame with its stamp in seconds, in the order of the frames. Do not add rejected fits: without them the
    /// scale ages. Images that come inside requests have stamps of their own and do not belong here.
    pub fn update(&mut self, fit: &Affine, stamp_s: f64) -> Verdict {
        if !stamp_s.is_finite() || !fit.scale.is_finite() || !fit.shift.is_finite() {
            return Verdict::Ignored;
        }
        let is_back = self.newest_s.is_some_and(|newest| stamp_s < newest);
        self.newest_s = Some(stamp_s);
        if is_back {
            self.take(*fit, stamp_s);
            return Verdict::Restarted;
        }
        let Some(state) = self.state.filter(|state| self.is_young(state, stamp_s)) else {
            self.take(*fit, stamp_s);
            return Verdict::First;
        };
        if self.is_jump(&state.affine, fit) {
            return self.jump(fit, stamp_s);
        }
        let share = self.share_of_new(stamp_s - state.stamp_s);
        let mix = |old: f64, new: f64| old + share * (new - old);
        let smoothed = Affine {
            scale: mix(state.affine.scale, fit.scale),
            shift: mix(state.affine.shift, fit.shift),
        };
        self.take(smoothed, stamp_s);
        Verdict::Smoothed
    }

    /// The scale at a time in seconds; none before the first fit, when the newest is too old, or before its stamp.
    pub fn at(&self, now_s: f64) -> Option<Smoothed> {
        let state = self.state.filter(|state| self.is_young(state, now_s))?;
        Some(Smoothed {
            affine: state.affine,
            age_s: now_s - state.stamp_s,
        })
    }

    fn take(&mut self, affine: Affine, stamp_s: f64) {
        self.state = Some(State { affine, stamp_s });
        self.jumps = None;
    }

    fn jump(&mut self, fit: &Affine, stamp_s: f64) -> Verdict {
        // Jumps to different places are noise, and the count starts again.
        let same_place = self.jumps.filter(|jumps| !self.is_jump(&jumps.to, fit));
        let n = same_place.map_or(1, |jumps| jumps.n + 1);
        if n >= self.settings.n_persist {
            self.take(*fit, stamp_s);
            return Verdict::Switched;
        }
        self.jumps = Some(Jumps { to: *fit, n });
        Verdict::Held { n }
    }

    fn is_young(&self, state: &State, now_s: f64) -> bool {
        (0.0..=self.settings.max_age_s).contains(&(now_s - state.stamp_s))
    }

    fn is_jump(&self, from: &Affine, to: &Affine) -> bool {
        let change = |r: f64| {
            let (from, to) = (from.at(r), to.at(r));
            // Of the larger one, so that up and down count the same; it is never more than 2.
            (to - from).abs() > self.settings.max_jump * from.abs().max(to.abs())
        };
        COMPARED_AT.into_iter().any(change)
    }

    /// How much of a new fit goes in after a time.
    fn share_of_new(&self, elapsed_s: f64) -> f64 {
        if self.settings.time_constant_s > 0.0 {
            1.0 - (-elapsed_s / self.settings.time_constant_s).exp()
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn line(scale: f64) -> Affine {
        Affine {
            scale,
            shift: 0.1 * scale,
        }
    }

    fn filter() -> ScaleFilter {
        ScaleFilter::new(FilterSettings {
            time_constant_s: 2.0,
            max_jump: 0.2,
            n_persist: 3,
            max_age_s: 5.0,
        })
    }

    fn scale_at(filter: &ScaleFilter, now_s: f64) -> Option<f64> {
        filter.at(now_s).map(|s| s.affine.scale)
    }

    #[test]
    fn a_step_goes_through_by_the_time_constant() {
        let mut filter = filter();
        assert_eq!(filter.at(0.0), None);
        assert_eq!(filter.update(&line(10.0), 100.0), Verdict::First);
        assert_eq!(filter.update(&line(11.0), 102.0), Verdict::Smoothed);
        let expected = 11.0 - (-1.0f64).exp();
        assert!((scale_at(&filter, 102.0).unwrap() - expected).abs() < 1e-12);
        // Two halves of the time are the same as the whole.
        let mut halves = self::filter();
        for (scale, stamp_s) in [(10.0, 100.0), (11.0, 101.0), (11.0, 102.0)] {
            halves.update(&line(scale), stamp_s);
        }
        assert!((scale_at(&halves, 102.0).unwrap() - expected).abs() < 1e-12);
        // The same frame again changes nothing.
        assert_eq!(filter.update(&line(12.0), 102.0), Verdict::Smoothed);
        assert!((scale_at(&filter, 102.0).unwrap() - expected).abs() < 1e-12);
        let none = FilterSettings {
            time_constant_s: 0.0,
            ..FilterSettings::default()
        };
        let mut unsmoothed = ScaleFilter::new(none);
        unsmoothed.update(&line(10.0), 0.0);
        unsmoothed.update(&line(11.0), 0.0);
        assert_eq!(scale_at(&unsmoothed, 0.0), Some(11.0));
    }

    #[test]
    fn jumps_are_believed_when_they_last() {
        let mut filter = filter();
        filter.update(&line(10.0), 0.0);
        assert_eq!(filter.update(&line(20.0), 1.0), Verdict::Held { n: 1 });
        assert_eq!(filter.update(&line(10.5), 2.0), Verdict::Smoothed);
        assert_eq!(filter.update(&line(20.0), 3.0), Verdict::Held { n: 1 });
        assert_eq!(filter.update(&line(5.0), 3.5), Verdict::Held { n: 1 });
        assert_eq!(filter.update(&line(5.2), 4.0), Verdict::Held { n: 2 });
        assert_eq!(filter.at(4.0).map(|s| s.age_s), Some(2.0));
        assert_eq!(filter.update(&line(5.1), 4.5), Verdict::Switched);
        assert_eq!(scale_at(&filter, 4.5), Some(5.1));
    }

    #[test]
    fn a_shift_alone_is_a_jump_too() {
        let mut filter = filter();
        filter.update(&line(10.0), 0.0);
        let moved = Affine {
            shift: 3.0,
            ..line(10.0)
        };
        assert_eq!(filter.update(&moved, 1.0), Verdict::Held { n: 1 });
    }

    #[test]
    fn old_scales_are_forgotten_and_time_may_begin_anew() {
        let mut filter = filter();
        filter.update(&line(10.0), 50.0);
        assert!(filter.at(55.0).is_some() && filter.at(55.1).is_none());
        assert_eq!(filter.at(49.9), None);
        assert_eq!(filter.update(&line(30.0), 56.0), Verdict::First);
        assert_eq!(filter.update(&line(4.0), 0.5), Verdict::Restarted);
        assert_eq!(
            filter.at(1.0).map(|s| (s.affine.scale, s.age_s)),
            Some((4.0, 0.5))
        );
        // Time goes back against a held fit only: that counts, too.
        filter.update(&line(40.0), 3.0);
        assert_eq!(filter.update(&line(4.0), 2.0), Verdict::Restarted);
        assert_eq!(filter.update(&line(4.0), f64::NAN), Verdict::Ignored);
        assert_eq!(filter.update(&line(f64::INFINITY), 9.0), Verdict::Ignored);
        assert_eq!(filter.at(f64::NAN), None);
    }

    #[test]
    fn whatever_comes_the_scale_stays_among_its_fits() {
        let mut rng = StdRng::seed_from_u64(1);
        let strange = [f64::NAN, f64::INFINITY, 0.0, -1.0, 1.0, 2.0];
        for _ in 0..200 {
            let mut any = || strange[rng.random_range(0..strange.len())];
            let settings = FilterSettings {
                time_constant_s: any(),
                max_jump: any(),
                max_age_s: any(),
                n_persist: 2,
            };
            let mut filter = ScaleFilter::new(settings);
            let mut now_s = 0.0;
            for _ in 0..30 {
                now_s += rng.random_range(-0.1..0.5);
                filter.update(&line(rng.random_range(5.0..9.0)), now_s);
                let scale = scale_at(&filter, now_s).unwrap_or(5.0);
                assert!((5.0..=9.0).contains(&scale), "{settings:?}: {scale}");
            }
        }
    }
}
