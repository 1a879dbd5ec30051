//! The policy's loss, token by token.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::ops::log_softmax;
use cooper_kernels::with_slices;
use cooper_model::Result;
use cooper_model::model::UnifiedModel;

use crate::training::collate::Collated;

/// How likely a batch's sampled tokens are.
#[derive(Clone, Debug)]
pub struct Scores {
    /// The logarithm (n) of each token's probability.
    pub log_probs: Tensor,
    /// Of the distributions they were sampled from, in nats, summed up.
    pub entropy: f64,
}

/// Score the texts with a loss of a batch among the first `n_vocab` tokens, as they are sampled at a temperature.
///
/// # Errors
/// If the network fails.
pub fn score(
    model: &UnifiedModel,
    batch: &Collated,
    n_vocab: usize,
    temperature: f64,
) -> Result<Scores> {
    let hidden = batch.packed.forward(model)?.text;
    let rows = batch.texts.iter().flat_map(|text| text.rows.clone());
    let rows: Vec<u32> = rows.map(|row| row as u32).collect();
    let labels: Vec<u32> = batch
        .texts
        .iter()
        .flat_map(|text| text.labels.clone())
        .collect();
    let rows = Tensor::new(rows, hidden.device())?;
    let logits = model.logits(&hidden.index_select(&rows, 0)?)?;
    let logits = (logits.narrow(1, 0, n_vocab)?.contiguous()? / temperature)?;
    let all = log_softmax(&logits, 1)?; // (n, n_vocab)
    let labels = Tensor::new(labels, hidden.device())?.unsqueeze(1)?;
    Ok(Scores {
        log_probs: all.gather(&labels, 1)?.squeeze(1)?,
        entropy: entropy(&all.detach())?,
    })
}

/// The entropies of log-probabilities (n, vocab), summed up.
fn entropy(log_probs: &Tensor) -> CandleResult<f64> {
    let plogp = (log_probs.exp()? * log_probs)?.sum_all()?;
    Ok(-f64::from(plogp.to_scalar::<f32>()?))
}

/// `−min(ρ·A, clip(ρ, 1 − low, 1 + high)·A)` (n) with `ρ = exp(log_probs − old)`, all (n); and how many were clipped.
///
/// # Errors
/// If shapes differ.
pub fn policy_losses(
    log_probs: &Tensor,
    old: &Tensor,
    advantages: &Tensor,
    [low, high]: [f64; 2],
) -> CandleResult<(Tensor, usize)> {
    let ratio = (log_probs - old)?.exp()?;
    let free = (&ratio * advantages)?;
    let clipped = (ratio.clamp(1.0 - low, 1.0 + high)? * advantages)?;
    let n_clipped = with_slices([&free, &clipped], |[free, clipped]| {
        free.iter()
            .zip(clipped)
            .filter(|(free, clipped)| clipped < free)
            .count()
    })?;
    Ok((free.minimum(&clipped)?.neg()?, n_clipped))
}

/// How far the policy is from a reference at the sampled tokens (n): `exp(δ) − δ − 1`, δ the reference's
/// log-probability less the policy's.
///
/// # Errors
/// If shapes differ.
pub fn divergence(log_probs: &Tensor, reference: &Tensor) -> CandleResult<Tensor> {
    let delta = (reference - log_probs)?;
    (delta.exp()? - delta)? - 1.0
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn tensor(numbers: &[f32]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu).unwrap()
    }

    #[track_caller]
    fn near(got: &Tensor, expected: &[f32]) {
        for (got, expected) in got.to_vec1::<f32>().unwrap().iter().zip(expected) {
            assert!((got - expected).abs() < 1e-6, "{got} {expected}");
        }
    }

    #[test]
    fn the_worse_of_both_ratios_counts() {
        let old = tensor(&[-1.0; 6]);
        let ratios = [1.0f32, 1.5, 1.5, 0.5, 0.5, 1.1];
        let logs: Vec<f32> = ratios.iter().map(|ratio| ratio.ln() - 1.0).collect();
        let log_probs = Var::from_tensor(&tensor(&logs)).unwrap();
        let advantages = tensor(&[2.0, 2.0, -2.0, 2.0, -2.0, 2.0]);
        let (losses, n_clipped) = policy_losses(&log_probs, &old, &advantages, [0.2, 0.3]).unwrap();
        near(&losses, &[-2.0, -2.6, 3.0, -1.0, 1.6, -2.2]);
        assert_eq!(n_clipped, 2);
        // −A·ρ where the free ratio counts, else 0.
        let gradients = losses.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&log_probs).unwrap();
        near(gradient, &[-2.0, 0.0, 3.0, -1.0, 0.0, -2.2]);
    }

    #[test]
    fn divergence_by_hand() {
        let reference = tensor(&[-1.0, -1.0, -2.0]);
        let log_probs = Var::from_tensor(&tensor(&[-1.0, -2.0, -1.0])).unwrap();
        let kl = divergence(&log_probs, &reference).unwrap();
        let e = std::f32::consts::E;
        near(&kl, &[0.0, e - 2.0, 1.0 / e]);
        // 1 − exp(δ)
        let gradients = kl.sum_all().unwrap().backward().unwrap();
        near(
            gradients.get(&log_probs).unwrap(),
            &[0.0, 1.0 - e, 1.0 - 1.0 / e],
        );
    }

    #[test]
    fn entropy_of_even_chances() {
        let even = tensor(&[0.25f32.ln(); 4]).reshape((1, 4)).unwrap();
        assert!((entropy(&even).unwrap() - 4f64.ln()).abs() < 1e-6);
    }
}
