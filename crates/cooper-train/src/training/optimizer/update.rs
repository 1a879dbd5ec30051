//! One step of one weight.

use candle_core::{Tensor, Var};
use cooper_kernels::with_slices;
use cooper_model::Result;

use super::muon::orthogonal;
use super::settings::AdamW;

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

/// The numbers of one step for one weight.
pub(super) struct Update {
    betas: [f32; 2],
    /// Learning rate.
    lr: f32,
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
    pub(super) fn new(settings: &AdamW, var: &Var, step: usize, rate: f64, clip: f64) -> Self {
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
            lr: lr as f32,
            rate: (lr / (1.0 - beta_1.powf(t))) as f32,
            second_correction: (1.0 - beta_2.powf(t)).sqrt() as f32,
            eps: settings.eps as f32,
            keep: (1.0 - lr * decay) as f32,
            clip: clip as f32,
            ema: settings.ema.min((t + 1.0) / (t + 10.0)) as f32,
        }
    }

    pub(super) fn apply(&self, var: &Var, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
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

    /// Nesterov's momentum, made orthogonal.
    pub(super) fn apply_muon(
        &self,
        var: &Var,
        gradient: &Tensor,
        moments: &mut Moments,
    ) -> Result<()> {
        let beta = self.betas[0];
        let momentum = with_slices([gradient], |[gradient]| {
            let pairs = moments.first.iter_mut().zip(gradient);
            let ahead = pairs.map(|(m, g)| {
                let g = g * self.clip;
                *m = beta * *m + (1.0 - beta) * g;
                beta * *m + (1.0 - beta) * g
            });
            ahead.collect::<Vec<f32>>()
        })?;
        let update = orthogonal(&Tensor::from_vec(momentum, var.shape(), var.device())?)?;
        let updated = with_slices([var.as_tensor(), &update], |[weights, update]| {
            let pairs = weights.iter().zip(update);
            let updated = pairs.zip(moments.average.iter_mut());
            let updated = updated.map(|((w, u), average)| {
                let w = w * self.keep - self.lr * u;
                *average = self.ema * *average + (1.0 - self.ema) * w;
                w
            });
            updated.collect::<Vec<f32>>()
        })?;
        var.set(&Tensor::from_vec(updated, var.shape(), var.device())?)?;
        Ok(())
    }
}
