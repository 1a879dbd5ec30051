//! The fused operations against the differentiable ones, and those against finite differences.
#![allow(clippy::unwrap_used)]

mod common;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::VarBuilder;
use common::difference;
use cooper_perception::tensor::{LayerNorm, RmsNorm, RotaryEmbedding, attention, rope::rotate};

const D: usize = 6;

fn numbers(n: usize, seed: f32) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 + seed) * 1.7).sin()).collect()
}

fn tensor(dims: &[usize], seed: f32) -> Tensor {
    let n = dims.iter().product();
    Tensor::from_vec(numbers(n, seed), dims, &Device::Cpu).unwrap()
}

fn weights() -> VarBuilder<'static> {
    let named = [("weight", tensor(&[D], 0.3)), ("bias", tensor(&[D], 0.9))];
    let named = named.map(|(name, tensor)| (name.to_string(), tensor));
    VarBuilder::from_tensors(named.into_iter().collect(), DType::F32, &Device::Cpu)
}

/// `op` gives the same with and without gradients, and its gradient is the finite difference.
#[track_caller]
fn check(op: impl Fn(&Tensor) -> Result<Tensor>, dims: &[usize]) {
    let n: usize = dims.iter().product();
    let start = numbers(n, 0.0);
    let var = Var::from_tensor(&tensor(dims, 0.0)).unwrap();
    let tracked = op(&var).unwrap();
    let fused = op(&tensor(dims, 0.0)).unwrap();
    assert!(
        difference(&tracked, &fused) < 1e-5,
        "fused and differentiable differ"
    );
    // A weighted sum, so that no gradient vanishes by symmetry.
    let loss = |ys: &Tensor| {
        let weights = tensor(ys.dims(), 5.0);
        (ys * weights).unwrap().sum_all().unwrap()
    };
    let gradients = loss(&tracked).backward().unwrap();
    let gradient: Vec<f32> = gradients
        .get(&var)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap();
    let at = |i: usize, step: f32| {
        let mut moved = start.clone();
        moved[i] += step;
        let moved = Tensor::from_vec(moved, dims, &Device::Cpu).unwrap();
        loss(&op(&moved).unwrap()).to_scalar::<f32>().unwrap()
    };
    for (i, gradient) in gradient.iter().enumerate() {
        let slope = (at(i, 1e-2) - at(i, -1e-2)) / 2e-2;
        assert!((slope - gradient).abs() < 2e-2, "{i}: {slope} {gradient}");
    }
}

#[test]
fn rms_norm() {
    let norm = RmsNorm::new(D, 1e-6, weights()).unwrap();
    check(|xs| xs + norm.forward(xs)?, &[3, D]);
}

#[test]
fn layer_norm() {
    let norm = LayerNorm::new(D, 1e-6, weights()).unwrap();
    check(|xs| xs + norm.forward(xs)?, &[3, D]);
}

#[test]
fn rope() {
    let rotary = RotaryEmbedding::new(100.0, D, &Device::Cpu).unwrap();
    let (cos, sin) = rotary.angles(&[0, 3, 9]).unwrap();
    check(|xs| rotate(xs, &cos, &sin), &[2, 3, D]);
}

#[test]
fn grouped_attention_of_keys_queries_and_values() {
    let (q, k, v) = (
        tensor(&[4, 3, D], 1.0),
        tensor(&[2, 5, D], 2.0),
        tensor(&[2, 5, D], 3.0),
    );
    check(|q| attention(q, &k, &v, None), &[4, 3, D]);
    check(|k| attention(&q, k, &v, None), &[2, 5, D]);
    check(|v| attention(&q, &k, v, None), &[2, 5, D]);
}

#[test]
fn query_heads_share_the_keys_of_their_group() {
    let (q, k, v) = (
        tensor(&[4, 3, D], 1.0),
        tensor(&[2, 5, D], 2.0),
        tensor(&[2, 5, D], 3.0),
    );
    let grouped = attention(&q, &k, &v, None).unwrap();
    for head in 0..4 {
        let one = |t: &Tensor, i: usize| t.narrow(0, i, 1).unwrap().contiguous().unwrap();
        let alone =
            attention(&one(&q, head), &one(&k, head / 2), &one(&v, head / 2), None).unwrap();
        assert!(difference(&alone, &one(&grouped, head)) < 1e-6);
    }
}
