//! Repeated measurement.

use std::time::{Duration, Instant};

use cooper_model::Result;
use serde::Serialize;

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
    /// On the processor, the median of all threads' sum: other programs hardly change it. Known on Linux only.
    pub(super) cpu: Option<f64>,
    pub(super) runs: usize,
}

impl Clock {
    /// Time `work`, each run on what `prepare` made outside of the clock.
    pub(super) fn time<P, T>(
        &self,
        mut prepare: impl FnMut() -> Result<P>,
        mut work: impl FnMut(P) -> Result<T>,
    ) -> Result<Timing> {
        let (mut walls, mut cpus) = (Vec::new(), Vec::new());
        for i in 0..self.warm_up + self.repeats {
            let prepared = prepare()?;
            let (started, on_cpu) = (Instant::now(), cpu_time());
            let done = work(prepared)?;
            let (taken, on_cpu_now) = (started.elapsed(), cpu_time());
            drop(done);
            if i >= self.warm_up {
                walls.push(taken);
                cpus.extend(on_cpu.zip(on_cpu_now).map(|(a, b)| b.saturating_sub(a)));
            }
        }
        Ok(Timing::of(walls, cpus))
    }
}

impl Timing {
    /// Of at least one run.
    fn of(mut walls: Vec<Duration>, cpus: Vec<Duration>) -> Self {
        walls.sort();
        let seconds = |i: usize| walls.get(i).map_or(f64::NAN, Duration::as_secs_f64);
        Self {
            fastest: seconds(0),
            slowest: seconds(walls.len().saturating_sub(1)),
            runs: walls.len(),
            median: median(&walls).unwrap_or(f64::NAN),
            cpu: median(&cpus),
        }
    }

    /// Of one of `n` equal parts.
    pub(super) fn per(&self, n: usize) -> Self {
        let n = n as f64;
        Self {
            median: self.median / n,
            fastest: self.fastest / n,
            slowest: self.slowest / n,
            cpu: self.cpu.map(|cpu| cpu / n),
            runs: self.runs,
        }
    }
}

/// The median in seconds.
fn median(times: &[Duration]) -> Option<f64> {
    let nanos: Vec<f64> = times.iter().map(|time| time.as_nanos() as f64).collect();
    Some(cooper_metric::median(&nanos)? / 1e9)
}

/// What this process's threads have had of the processor; those that have ended do not count.
fn cpu_time() -> Option<Duration> {
    let threads = std::fs::read_dir("/proc/self/task").ok()?;
    let mut nanos = 0;
    for thread in threads {
        let text = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        let of = |millis: &[u64]| {
            let runs = millis.iter().map(|ms| Duration::from_millis(*ms));
            Timing::of(runs.collect(), Vec::new())
        };
        let odd = of(&[30, 10, 20]);
        assert_eq!((odd.median, odd.fastest, odd.slowest), (0.02, 0.01, 0.03));
        assert_eq!(of(&[40, 10, 20, 30]).median, 0.025);
        assert_eq!(of(&[8]).cpu, None);
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
