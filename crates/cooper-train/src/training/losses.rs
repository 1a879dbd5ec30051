//! The two losses, element by element: how to weigh and average them is the recipe's business.

use candle_core::{Result, Tensor};
use candle_nn::ops::log_softmax;

/// `(velocity − (noise − data))²`, all (n, c).
///
/// # Errors
/// If shapes differ.
pub fn flow_error(velocity: &Tensor, data: &Tensor, noise: &Tensor) -> Result<Tensor> {
    (velocity - (noise - data)?)?.sqr()
}

/// The negative log-likelihood (n) of `labels` (n) under `logits` (n, vocab).
///
/// # Errors
/// If a label is outside the vocabulary.
pub fn cross_entropy(logits: &Tensor, labels: &[u32]) -> Result<Tensor> {
    let labels = Tensor::new(labels, logits.device())?.unsqueeze(1)?;
    log_softmax(logits, 1)?
        .gather(&labels, 1)?
        .squeeze(1)?
        .neg()
}
