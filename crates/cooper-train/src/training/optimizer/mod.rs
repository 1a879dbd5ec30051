//! AdamW, for some matrices Muon, with clipping, a learning rate schedule, and the moving average of the weights.

mod muon;
mod schedule;
mod settings;
mod update;

use std::collections::BTreeMap;

use candle_core::Tensor;
use cooper_kernels::with_slices;
use cooper_model::{Error, Result};
use rayon::prelude::*;

use super::parameters::{Parameters, matches};
use update::Update;

pub use schedule::{Decay, Schedule};
pub use settings::AdamW;
pub use update::Moments;

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
    /// [`Error::InvalidInput`] for a pattern of Muon's that matches nothing that is trained, or no matrix; if the weights are
    /// not on the CPU.
    pub fn new(settings: AdamW, parameters: &Parameters) -> Result<Self> {
        check_muon(&settings.muon, parameters)?;
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
        let settings = &self.settings;
        self.moments
            .par_iter_mut()
            .try_for_each(|(name, moments)| {
                let (Some(gradient), Some(var)) = (gradients.get(name), parameters.get(name))
                else {
                    return Ok(());
                };
                let update = Update::new(settings, var, step, rate, clip);
                match settings.muon.iter().any(|pattern| matches(pattern, name)) {
                    true => update.apply_muon(var, gradient, moments),
                    false => update.apply(var, gradient, moments),
                }
            })?;
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

fn check_muon(patterns: &[String], parameters: &Parameters) -> Result<()> {
    for pattern in patterns {
        let matched: Vec<_> = (parameters.trained())
            .filter(|(name, _)| matches(pattern, name))
            .collect();
        let why = match matched.iter().find(|(_, var)| var.rank() < 2) {
            _ if matched.is_empty() => {
                format!("expected names of trained weights, got `{pattern}`, which matches none")
            }
            Some((name, var)) => format!(
                "expected matrices or kernels, got `{pattern}`, which matches `{name}` of shape {:?}",
                var.dims()
            ),
            None => continue,
        };
        return Err(Error::invalid("optimizer.muon", why));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

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
    fn muon_trains_the_matrices_that_it_is_told_to() {
        let weights = ["a.weight", "b.weight"].map(|name| {
            let weights = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu);
            (name.to_string(), weights.unwrap())
        });
        let bias = Tensor::new(&[0f32], &Device::Cpu).unwrap();
        let weights = weights.into_iter().chain([("a.bias".to_string(), bias)]);
        let parameters = Parameters::new(weights, &[]).unwrap();
        let settings = |muon: &str| AdamW {
            lr: 0.1,
            muon: vec![muon.into()],
            ..AdamW::default()
        };
        let mut optimizer = Optimizer::new(settings("a.w*"), &parameters).unwrap();
        let gradient = Tensor::new(&[[5f32, 0.0], [0.0, 0.5]], &Device::Cpu).unwrap();
        let gradients = ["a.weight", "b.weight"].map(|name| (name.to_string(), gradient.clone()));
        let gradients = BTreeMap::from(gradients);
        optimizer.step(&parameters, &gradients, 0, 1.0).unwrap();
        let change = |name: &str, i: usize| {
            1.0 - parameters.get(name).unwrap().to_vec2::<f32>().unwrap()[i][i]
        };
        // Both directions move by the learning rate, Adam's by the gradient's sign, Muon's by about 0.2 roots of the width.
        for i in 0..2 {
            let muon = change("a.weight", i) / (0.1 * 0.2 * 2f32.sqrt());
            assert!((0.6..1.3).contains(&muon), "{muon}");
            assert!((change("b.weight", i) - 0.1).abs() < 1e-4);
        }
        for (pattern, part) in [("c.*", "matches none"), ("a.*", "`a.bias` of shape [1]")] {
            let error = Optimizer::new(settings(pattern), &parameters)
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("optimizer.muon") && error.contains(part),
                "{error}"
            );
        }
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
