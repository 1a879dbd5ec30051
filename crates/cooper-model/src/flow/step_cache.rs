//! Step caching: where the velocity changes evenly, it is forecast from computed ones instead of computed.
//!
//! What is forecast is the guided velocity, all branches combined, so guidance is in every step. A forecast goes on along
//! the line through the two newest computed velocities. The error of such a line grows with the product of the distances
//! to both; how fast, every computed velocity tells, since it shows how far its own forecast would have been off.

use candle_core::{DType, Result, Tensor};

/// A step of the way, as far as a forecast depends on it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Shifted time, falling from step to step.
    pub t: f32,
    /// How many velocities guidance combines; with another number than before, nothing is forecast.
    pub n_branches: usize,
    /// The last step is the longest one of a shifted schedule, and nothing behind it mends its error: it is computed.
    pub is_last: bool,
}

/// The computed velocities of a drawing that forecasts follow from.
#[derive(Debug)]
pub struct StepCache {
    threshold: f64,
    n_branches: usize,
    before: Option<Known>,
    newest: Option<Known>,
    /// Of a forecast, over the product of its distances to both known velocities.
    error_rate: Option<f64>,
}

#[derive(Clone, Debug)]
struct Known {
    t: f64,
    velocity: Tensor,
}

impl StepCache {
    /// Velocities may be forecast whose relative error is expected to be `threshold` at most; 0 forecasts none.
    pub fn new(threshold: f64) -> Self {
        Self {
            threshold,
            n_branches: 0,
            before: None,
            newest: None,
            error_rate: None,
        }
    }

    /// The velocity (n, c) of this step, f32, if it need not be computed. One that is computed is to be [`learn`]ed.
    ///
    /// # Errors
    /// If a device fails.
    ///
    /// [`learn`]: Self::learn
    pub fn forecast(&self, step: Step) -> Result<Option<Tensor>> {
        let t = f64::from(step.t);
        let (Some(newest), Some(before), Some(rate)) =
            (&self.newest, &self.before, self.error_rate)
        else {
            return Ok(None);
        };
        let expected = rate * (newest.t - t) * (before.t - t);
        // Written so that NaN forecasts nothing.
        let is_good = expected <= self.threshold;
        if is_good && step.n_branches == self.n_branches && !step.is_last {
            line(before, newest, t).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Take in the velocity (n, c) that was computed for this step.
    ///
    /// # Errors
    /// If shapes differ.
    pub fn learn(&mut self, step: Step, velocity: &Tensor) -> Result<()> {
        if self.threshold <= 0.0 {
            return Ok(());
        }
        if step.n_branches != self.n_branches {
            *self = Self {
                n_branches: step.n_branches,
                ..Self::new(self.threshold)
            };
        }
        let t = f64::from(step.t);
        let velocity = velocity.to_dtype(DType::F32)?;
        if let Some(newest) = &self.newest {
            let gap = newest.t - t;
            // With one known velocity, the line is taken to be no better than keeping that one: after another step of
            // the same length, its error would be this change.
            let (forecast, distances) = match &self.before {
                Some(before) => (line(before, newest, t)?, gap * (before.t - t)),
                None => (newest.velocity.clone(), gap * 2.0 * gap),
            };
            self.error_rate = Some(relative_error(&forecast, &velocity)? / distances);
        }
        self.before = self.newest.replace(Known { t, velocity });
        Ok(())
    }
}

/// The line through two velocities, at time `t`.
fn line(before: &Known, newest: &Known, t: f64) -> Result<Tensor> {
    let share = (newest.t - t) / (before.t - newest.t);
    &newest.velocity + ((&newest.velocity - &before.velocity)? * share)?
}

/// How far `got` is from `expected`, both f32: the length of the difference over the length of what was expected.
///
/// # Errors
/// If shapes differ.
pub fn relative_error(got: &Tensor, expected: &Tensor) -> Result<f64> {
    let length = |x: &Tensor| x.sqr()?.sum_all()?.sqrt()?.to_scalar::<f32>();
    Ok(f64::from(length(&(got - expected)?)?) / f64::from(length(expected)?))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Error};

    use super::super::{Schedule, sample};
    use super::*;

    const N_POINTS: usize = 50;

    /// What comes of following `velocity(t)` with a threshold, and which steps were computed; guided by as many
    /// branches as `n_branches(t)` says.
    fn follow(
        threshold: f64,
        n_branches: impl Fn(f32) -> usize,
        velocity: impl Fn(f32) -> [f32; 2],
    ) -> (Tensor, Vec<usize>) {
        let noise = Tensor::new(&[[1f32, -2.0]], &Device::Cpu).unwrap();
        let schedule = Schedule::new(N_POINTS, 3.0);
        let (mut cache, mut computed, mut number) = (StepCache::new(threshold), Vec::new(), 0);
        let data = sample(noise, &schedule, |_, t| {
            let step = Step {
                t,
                n_branches: n_branches(t),
                is_last: number + 1 == schedule.n_steps(),
            };
            number += 1;
            if let Some(forecast) = cache.forecast(step)? {
                return Ok::<_, Error>(forecast);
            }
            computed.push(number - 1);
            let velocity = Tensor::new(&[velocity(t)], &Device::Cpu)?;
            cache.learn(step, &velocity)?;
            Ok(velocity)
        });
        (data.unwrap(), computed)
    }

    fn all_steps() -> Vec<usize> {
        (0..N_POINTS - 1).collect()
    }

    fn bent(t: f32) -> [f32; 2] {
        [(4.0 * t).cos(), 2.0 + (3.0 * t).sin()]
    }

    #[test]
    fn with_threshold_zero_every_step_is_computed() {
        assert_eq!(follow(0.0, |_| 1, |_| [1.0, 2.0]).1, all_steps());
        assert_eq!(follow(f64::NAN, |_| 1, |_| [1.0, 2.0]).1, all_steps());
    }

    #[test]
    fn what_lies_on_a_line_is_forecast_to_the_end() {
        let line = |t: f32| [1.0 + 0.1 * t, 3.0 - 0.2 * t];
        let (exact, _) = follow(0.0, |_| 3, line);
        let (cached, computed) = follow(0.1, |_| 3, line);
        assert_eq!(computed[..2], [0, 1]);
        assert_eq!(computed.last(), Some(&48));
        assert!(computed.len() < 8, "{computed:?}");
        assert!(relative_error(&cached, &exact).unwrap() < 1e-5);
    }

    #[test]
    fn a_smaller_threshold_computes_more_and_errs_less() {
        let (exact, _) = follow(0.0, |_| 1, bent);
        let mut n_before = 0;
        for threshold in [0.3, 0.1, 0.03, 0.01] {
            let (cached, computed) = follow(threshold, |_| 1, bent);
            let error = relative_error(&cached, &exact).unwrap();
            assert!(error < threshold, "{threshold}: {error}");
            assert!((n_before + 1..40).contains(&computed.len()), "{computed:?}");
            n_before = computed.len();
        }
    }

    #[test]
    fn what_cannot_be_forecast_is_computed() {
        let number = std::cell::Cell::new(0);
        let jumping = |_| {
            number.set(number.get() + 1);
            [if number.get() % 2 == 0 { 1.0 } else { -1.0 }, 0.5]
        };
        assert_eq!(follow(0.3, |_| 1, jumping).1, all_steps());
        assert_eq!(follow(0.3, |_| 1, |_| [0.0, 0.0]).1, all_steps(), "NaN");
    }

    #[test]
    fn where_guidance_begins_or_ends_steps_are_computed() {
        let (_, computed) = follow(0.1, |t| if t > 0.4 { 3 } else { 1 }, |_| [1.0, 2.0]);
        // 41 of the 49 times lie above 0.4.
        for number in [0, 1, 41, 42, 48] {
            assert!(computed.contains(&number), "{computed:?}");
        }
        assert_eq!(computed.len(), 5);
    }
}
