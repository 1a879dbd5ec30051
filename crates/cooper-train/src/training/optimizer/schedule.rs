//! How the learning rate changes over a run.

use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the learning rate changes: a linear warm-up, level, then a linear or cosine decay.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Schedule {
    /// Steps until the highest learning rate.
    pub warmup: usize,
    /// The share of all steps after which the learning rate decays, 0 to 1; 1: never.
    pub hold: f64,
    /// How the learning rate decays.
    pub decay: Decay,
    /// The learning rate at the end as a share of the highest, 0 to 1.
    pub end: f64,
}

/// How the learning rate decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// Linearly.
    Linear,
    /// As half a cosine.
    Cosine,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            warmup: 500,
            hold: 1.0,
            decay: Decay::Linear,
            end: 0.0,
        }
    }
}

impl Schedule {
    /// # Errors
    /// [`Error::InvalidInput`] with the first value out of range.
    pub fn check(&self) -> Result<()> {
        for (key, share) in [("hold", self.hold), ("end", self.end)] {
            if !(0.0..=1.0).contains(&share) {
                let why = format!("expected a share from 0 to 1, got {share}");
                return Err(Error::invalid(format!("schedule.{key}"), why));
            }
        }
        Ok(())
    }

    /// The share of the highest rate for step `step` (from 0) of `n_steps`.
    pub fn factor(&self, step: usize, n_steps: usize) -> f64 {
        let warm = ((step + 1) as f64 / self.warmup.max(1) as f64).min(1.0);
        let begin = self.hold * n_steps as f64;
        let fallen = ((step as f64 - begin) / (n_steps as f64 - begin).max(1.0)).clamp(0.0, 1.0);
        let left = match self.decay {
            Decay::Linear => 1.0 - fallen,
            Decay::Cosine => 0.5 + 0.5 * (std::f64::consts::PI * fallen).cos(),
        };
        warm * (self.end + (1.0 - self.end) * left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_stays_and_falls() {
        let schedule = Schedule {
            warmup: 10,
            hold: 0.5,
            decay: Decay::Linear,
            end: 0.1,
        };
        let at = |step| (schedule.factor(step, 100) * 1000.0).round() / 1000.0;
        assert_eq!([at(0), at(4), at(9), at(50)], [0.1, 0.5, 1.0, 1.0]);
        assert_eq!([at(75), at(100)], [0.55, 0.1]);
        assert_eq!(Schedule::default().factor(5000, 6000), 1.0);
    }
}
