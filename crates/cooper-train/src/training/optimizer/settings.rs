//! The settings of AdamW and Muon.

use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Names of matrices and kernels, `*` for any text, that Muon trains with the same learning rate, decay and first beta.
    /// For the inner matrices of a transformer; not for embeddings, heads and what reads or writes pixels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub muon: Vec<String>,
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
            muon: Vec::new(),
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
