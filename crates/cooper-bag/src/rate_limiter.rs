//! Which of a camera's messages are used, if not all.

/// Which messages of a camera are used.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    every: usize,
    /// Nanoseconds between two that are used.
    period: Option<f64>,
    n_messages: usize,
    due: Option<f64>,
}

impl RateLimiter {
    /// Every n-th message, from 1, the first one included; of those at most `rate` a second.
    pub fn new(every: usize, rate: Option<f64>) -> Self {
        Self {
            every,
            period: rate.map(|rate| 1e9 / rate),
            n_messages: 0,
            due: None,
        }
    }

    /// Whether to use the next message, recorded at `log_time` nanoseconds.
    pub fn takes(&mut self, log_time: u64) -> bool {
        let is_nth = self.n_messages.is_multiple_of(self.every);
        self.n_messages += 1;
        let Some(period) = self.period.filter(|_| is_nth) else {
            return is_nth;
        };
        let time = log_time as f64;
        // Due times are a grid, so that jitter does not lower the rate. It starts again after a gap or a step back in time.
        let due = self.due.filter(|due| time > due - 2.0 * period);
        match due {
            Some(due) if time < due => false,
            Some(due) if time < due + period => {
                self.due = Some(due + period);
                true
            }
            _ => {
                self.due = Some(time + period);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_in_spite_of_jitter() {
        let mut limiter = RateLimiter::new(1, Some(10.0));
        // 30 Hz for 10 s, each message up to a millisecond early.
        let times = (0..300u64).map(|n| 1_000_000_000 + n * 33_333_333 - n % 3 * 500_000);
        let taken: Vec<u64> = times.filter(|time| limiter.takes(*time)).collect();
        assert!((99..=101).contains(&taken.len()), "{}", taken.len());
        let back = taken[0] - 900_000_000;
        assert!(limiter.takes(back), "a bag that begins anew");
        let mut limiter = RateLimiter::new(3, None);
        let taken: Vec<bool> = (0..7).map(|n| limiter.takes(n)).collect();
        assert_eq!(taken, [true, false, false, true, false, false, true]);
    }
}
