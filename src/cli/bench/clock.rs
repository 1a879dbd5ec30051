//! Repeated measurement.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::Result;

/// How often a thing is done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Runs that do not count.
    pub(super) warm_up: usize,
    /// Runs that count, from 1.
    pub(super) repeats: usize,
}

/// Seconds of some runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Timing {
    pub(super) median: f64,
    pub(super) fastest: f64,
    pub(super) slowest: f64,
    pub(super) runs: usize,
}

impl Clock {
    /// Time `work`, each run on what `prepare` made outside of the clock.
    pub(super) fn time<P, T>(
        &self,
        mut prepare: impl FnMut() -> Result<P>,
        mut work: impl FnMut(P) -> Result<T>,
    ) -> Result<Timing> {
        let mut runs = Vec::with_capacity(self.repeats);
        for i in 0..self.warm_up + self.repeats {
            let prepared = prepare()?;
            let started = Instant::now();
            let done = work(prepared)?;
            let taken = started.elapsed();
            drop(done);
            if i >= self.warm_up {
                runs.push(taken);
            }
        }
        Ok(Timing::of(runs))
    }
}

impl Timing {
    /// Of at least one run.
    fn of(mut runs: Vec<Duration>) -> Self {
        runs.sort();
        let seconds = |i: usize| runs.get(i).map_or(f64::NAN, Duration::as_secs_f64);
        let middle = runs.len() / 2;
        let median = if runs.len() % 2 == 1 {
            seconds(middle)
        } else {
            (seconds(middle.saturating_sub(1)) + seconds(middle)) / 2.0
        };
        Self {
            median,
            fastest: seconds(0),
            slowest: seconds(runs.len().saturating_sub(1)),
            runs: runs.len(),
        }
    }

    /// Of one of `n` equal parts.
    pub(super) fn per(&self, n: usize) -> Self {
        let n = n as f64;
        Self {
            median: self.median / n,
            fastest: self.fastest / n,
            slowest: self.slowest / n,
            runs: self.runs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        let of = |millis: &[u64]| {
            let runs = millis.iter().map(|ms| Duration::from_millis(*ms));
            Timing::of(runs.collect())
        };
        let odd = of(&[30, 10, 20]);
        assert_eq!((odd.median, odd.fastest, odd.slowest), (0.02, 0.01, 0.03));
        assert_eq!(of(&[40, 10, 20, 30]).median, 0.025);
        assert_eq!(of(&[8]).per(4).slowest, 0.002);
    }

    #[test]
    fn the_warm_up_does_not_count() {
        let clock = Clock {
            warm_up: 2,
            repeats: 3,
        };
        let mut n = 0;
        let timing = clock.time(
            || Ok(()),
            |()| {
                n += 1;
                Ok(())
            },
        );
        assert_eq!((timing.unwrap().runs, n), (3, 5));
    }
}
