//! AdamW with clipping, a learning rate schedule, and the moving average of the weights.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use cooper_kernels::with_slices;
use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::parameters::Parameters;

/// AdamW's settings. The defaults are COOPER's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// The highest learning rate, above 0.
    pub lr: f64,
    /// Decay of the first and the second moment, from 0 and below 1.
    pub betas: [f64; 2],
    /// Added to the root of the second moment, above 0.
    pub eps: f64,
    /// Decay of weights with two dimensions and more, times the learning rate; from 0 and below 1.
    pub weight_decay: f64,
    /// The largest norm of the whole gradient, above 0; larger ones are scaled down.
    pub clip: f64,
    /// Decay of the moving average of the weights, which is saved as the model; from 0 and below 1.
    /// Step t from 0 uses at most (t + 2) / (t + 11).
    pub ema: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self {
            lr: 5e-6,
            betas: [0.9, 0.95],
            eps: 1e-15,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.995,
        }
    }
}

impl AdamW {
    /// # Errors
    /// [`Error::InvalidInput`] with the first value out of range.
    pub fn check(&self) -> Result<()> {
        let [beta_1, beta_2] = self.betas;
        let below_1 = |x: f64| (0.0..1.0).contains(&x);
        let positive = |x: f64| x > 0.0 && x.is_finite();
        for (key, number, fits, expected) in [
            ("lr", self.lr, positive(self.lr), "a number above 0"),
            ("betas", beta_1, below_1(beta_1), "0 <= beta < 1"),
            ("betas", beta_2, below_1(beta_2), "0 <= beta < 1"),
            ("eps", self.eps, positive(self.eps), "a number above 0"),
            (
                "weight_decay",
                self.weight_decay,
                below_1(self.weight_decay),
                "0 <= decay < 1",
            ),
            ("clip", self.clip, self.clip > 0.0, "a length above 0"),
            ("ema", self.ema, below_1(self.ema), "0 <= ema < 1"),
        ] {
            if !fits {
                let why = format!("expected {expected}, got {number}");
                return Err(Error::invalid(format!("optimizer.{key}"), why));
            }
        }
        Ok(())
    }
}

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

/// What the optimizer keeps for one weight.
#[derive(Clone, Debug)]
pub struct Moments {
    /// Mean of the gradient.
    pub first: Vec<f32>,
    /// Mean of its square.
    pub second: Vec<f32>,
    /// Moving average of the weight.
    pub average: Vec<f32>,
}

/// The optimizer's state.
#[derive(Clone, Debug)]
pub struct Optimizer {
    settings: AdamW,
    /// By weight.
    pub moments: BTreeMap<String, Moments>,
}

impl Optimizer {
    /// The state before the first step; averages begin at the weights.
    ///
    /// # Errors
    /// If the weights are not on the CPU.
    pub fn new(settings: AdamW, parameters: &Parameters) -> Result<Self> {
        let mut moments = BTreeMap::new();
        for (name, var) in parameters.trained() {
            let average = with_slices([var.as_tensor()], |[weights]| weights.to_vec())?;
            let zeros = vec![0f32; average.len()];
            let of_weight = Moments {
                first: zeros.clone(),
                second: zeros,
                average,
            };
            moments.insert(name.clone(), of_weight);
        }
        Ok(Self { settings, moments })
    }

    /// One step with mean gradients by name, at `rate` times the highest learning rate; `step` counts from 0.
    /// Returns the gradient's length before clipping.
    ///
    /// # Errors
    /// If a shape is wrong.
    pub fn step(
        &mut self,
        parameters: &Parameters,
        gradients: &BTreeMap<String, Tensor>,
        step: usize,
        rate: f64,
    ) -> Result<f64> {
        let mut squares = 0f64;
        for gradient in gradients.values() {
            squares += with_slices([gradient], |[g]| f64::from(cooper_kernels::dot(g, g)))?;
        }
        let length = squares.sqrt();
        let clip = (self.settings.clip / (length + 1e-6)).min(1.0);
        for (name, var) in parameters.trained() {
            let (Some(gradient), Some(moments)) = (gradients.get(name), self.moments.get_mut(name))
            else {
                continue;
            };
            let update = Update::new(&self.settings, var, step, rate, clip);
            update.apply(var, gradient, moments)?;
        }
        Ok(length)
    }

    /// `f` with the averaged weights in place of the weights, which come back whatever it returns.
    ///
    /// # Errors
    /// Those of `f`; if a shape is wrong.
    pub fn with_averages<T>(
        &self,
        parameters: &Parameters,
        f: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let mut weights = Vec::with_capacity(self.moments.len());
        for (name, var) in parameters.trained() {
            let Some(moments) = self.moments.get(name) else {
                continue;
            };
            weights.push((var, var.as_tensor().copy()?));
            let average = Tensor::from_slice(&moments.average, var.shape(), var.device())?;
            var.set(&average)?;
        }
        let result = f();
        for (var, weights) in weights {
            var.set(&weights)?;
        }
        result
    }
}

/// The numbers of one step for one weight.
struct Update {
    betas: [f32; 2],
    /// Learning rate over the first moment's correction.
    rate: f32,
    /// Root of the second moment's correction.
    second_correction: f32,
    eps: f32,
    keep: f32,
    clip: f32,
    ema: f32,
}

impl Update {
    fn new(settings: &AdamW, var: &Var, step: usize, rate: f64, clip: f64) -> Self {
        let [beta_1, beta_2] = settings.betas;
        let t = step as f64 + 1.0;
        let lr = settings.lr * rate;
        let decay = if var.rank() >= 2 {
            settings.weight_decay
        } else {
            0.0
        };
        Self {
            betas: [beta_1 as f32, beta_2 as f32],
            rate: (lr / (1.0 - beta_1.powf(t))) as f32,
            second_correction: (1.0 - beta_2.powf(t)).sqrt() as f32,
            eps: settings.eps as f32,
            keep: (1.0 - lr * decay) as f32,
            clip: clip as f32,
            ema: settings.ema.min((t + 1.0) / (t + 10.0)) as f32,
        }
    }

    fn apply(&self, var: &Var, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
        let [beta_1, beta_2] = self.betas;
        let updated = with_slices([var.as_tensor(), gradient], |[weights, gradient]| {
            let mut updated = Vec::with_capacity(weights.len());
            let states = moments
                .first
                .iter_mut()
                .zip(moments.second.iter_mut())
                .zip(moments.average.iter_mut());
            for ((w, g), ((m, v), average)) in weights.iter().zip(gradient).zip(states) {
                let g = g * self.clip;
                *m = beta_1 * *m + (1.0 - beta_1) * g;
                *v = beta_2 * *v + (1.0 - beta_2) * g * g;
                let scale = v.sqrt() / self.second_correction + self.eps;
                let w = w * self.keep - self.rate * *m / scale;
                *average = self.ema * *average + (1.0 - self.ema) * w;
                updated.push(w);
            }
            updated
        })?;
        var.set(&Tensor::from_vec(updated, var.shape(), var.device())?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

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

    #[test]
    fn averages_stand_in_for_the_weights_and_go_again() {
        let weights = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        let parameters = Parameters::new([("w".to_string(), weights)], &[]).unwrap();
        let mut optimizer = Optimizer::new(AdamW::default(), &parameters).unwrap();
        optimizer.moments.get_mut("w").unwrap().average = vec![5.0];
        let read = || parameters.get("w").unwrap().to_vec1::<f32>().unwrap();
        let inside = optimizer.with_averages(&parameters, || Ok(read())).unwrap();
        assert_eq!((inside, read()), (vec![5.0], vec![1.0]));
    }

    #[test]
    fn two_steps_are_as_computed_by_hand() {
        let weights = Tensor::new(&[1f32, -2.0], &Device::Cpu).unwrap();
        let parameters = Parameters::new([("w".to_string(), weights)], &[]).unwrap();
        let settings = AdamW {
            lr: 0.1,
            eps: 1e-8,
            clip: 100.0,
            ema: 0.5,
            ..AdamW::default()
        };
        let mut optimizer = Optimizer::new(settings, &parameters).unwrap();
        let gradient = |g: [f32; 2]| {
            let g = Tensor::new(&g, &Device::Cpu).unwrap();
            BTreeMap::from([("w".to_string(), g)])
        };
        let length = optimizer
            .step(&parameters, &gradient([3.0, -4.0]), 0, 1.0)
            .unwrap();
        assert!((length - 5.0).abs() < 1e-6);
        // The first step is lr · sign(g), whatever the gradient's size.
        let read = || parameters.get("w").unwrap().to_vec1::<f32>().unwrap();
        let near = |got: Vec<f32>, expected: [f32; 2]| {
            for (got, expected) in got.iter().zip(expected) {
                assert!((got - expected).abs() < 1e-5, "{got} {expected}");
            }
        };
        near(read(), [0.9, -1.9]);
        // m = (0.27 + 0.1, -0.36 + 0.1), v = (0.4275 + 0.05, 0.76 + 0.05), corrected by 0.19 and 0.0975
        optimizer
            .step(&parameters, &gradient([1.0, 1.0]), 1, 1.0)
            .unwrap();
        let first = 0.1 * (0.37 / 0.19) / (0.4775f32 / 0.0975).sqrt();
        let second = 0.1 * (-0.26 / 0.19) / (0.81f32 / 0.0975).sqrt();
        near(read(), [0.9 - first, -1.9 - second]);
    }
}
