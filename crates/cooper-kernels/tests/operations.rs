//! The operations with hand-written gradients: values against candle's own, slopes against finite differences.
#![allow(clippy::unwrap_used)]

#[path = "../../../tests/common/difference.rs"]
mod difference;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Module, VarBuilder};
use cooper_kernels::rotate;
use cooper_kernels::{
    Conv2d, ConvShape, GroupNorm, LayerNorm, RmsNorm, RotaryEmbedding, Segment, Segments,
    attention, causal_mask, gelu, packed_attention, silu, swiglu, upsample_2x,
};
use difference::difference;

/// Wider than a vector of sixteen lanes, and no multiple of it.
const C: usize = 21;

fn numbers(n: usize, seed: f32) -> Vec<f32> {
    (0..n).map(|i| ((i as f32 + seed) * 1.7).sin()).collect()
}

fn tensor(dims: &[usize], seed: f32) -> Tensor {
    let n = dims.iter().product();
    Tensor::from_vec(numbers(n, seed), dims, &Device::Cpu).unwrap()
}

/// Tensors as a checkpoint.
fn named<const N: usize>(tensors: [(&str, &Tensor); N]) -> VarBuilder<'static> {
    let tensors = tensors.map(|(name, tensor)| (name.to_string(), tensor.clone()));
    VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu)
}

/// A weighted sum in f64, so that no gradient vanishes by symmetry and no small step in rounding.
fn loss(ys: &Tensor) -> Tensor {
    let weights = tensor(ys.dims(), 5.0).to_dtype(DType::F64).unwrap();
    let ys = ys.to_dtype(DType::F64).unwrap();
    (ys * weights).unwrap().sum_all().unwrap()
}

/// The slope of `loss` along one number of `at`, from four points: the error falls with the fourth power of the step.
fn slope(loss: impl Fn(&Tensor) -> f64, at: &Tensor, i: usize) -> f64 {
    const STEP: f64 = 0.02;
    let start: Vec<f32> = at.flatten_all().unwrap().to_vec1().unwrap();
    let moved = |by: f64| {
        let mut moved = start.clone();
        moved[i] += by as f32;
        // What the step really is after rounding.
        let step = f64::from(moved[i]) - f64::from(start[i]);
        (
            loss(&Tensor::from_vec(moved, at.dims(), at.device()).unwrap()),
            step,
        )
    };
    let central = |by: f64| {
        let ((above, up), (below, down)) = (moved(by), moved(-by));
        (above - below) / (up - down)
    };
    (4.0 * central(STEP) - central(2.0 * STEP)) / 3.0
}

/// `op` gives the same with and without gradients, and its gradient is the finite difference, for each argument.
#[track_caller]
fn check(arguments: &[Tensor], op: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let plain = op(arguments).unwrap();
    let vars: Vec<Var> = arguments
        .iter()
        .map(|a| Var::from_tensor(a).unwrap())
        .collect();
    let tracked: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let tracked = op(&tracked).unwrap();
    assert!(
        difference(&tracked, &plain) < 2e-6,
        "{}",
        difference(&tracked, &plain)
    );
    let gradients = loss(&tracked).backward().unwrap();
    for (a, var) in vars.iter().enumerate() {
        let gradient = gradients.get(var).unwrap().flatten_all().unwrap();
        let gradient: Vec<f32> = gradient.to_vec1().unwrap();
        let scale = gradient.iter().fold(0f32, |most, g| most.max(g.abs()));
        assert!(scale > 1e-3, "argument {a}: the gradient vanishes");
        for (i, gradient) in gradient.iter().enumerate() {
            let with = |moved: &Tensor| {
                let mut arguments = arguments.to_vec();
                arguments[a] = moved.clone();
                loss(&op(&arguments).unwrap()).to_scalar::<f64>().unwrap()
            };
            let expected = slope(with, &arguments[a], i);
            let error = (expected - f64::from(*gradient)).abs() / f64::from(scale);
            assert!(
                error < 2e-3,
                "argument {a}, number {i}: {expected} {gradient}"
            );
        }
    }
}

#[test]
fn rms_norm() {
    let arguments = [tensor(&[4, C], 0.0), tensor(&[C], 0.3)];
    let norm = |weight: &Tensor| RmsNorm::new(C, 1e-6, named([("weight", weight)]));
    check(&arguments, |a| &a[0] + norm(&a[1])?.forward(&a[0])?);
    // Rows that do not lie one behind the other.
    let turned = [tensor(&[C, 3], 0.0), tensor(&[C], 0.3)];
    check(&turned, |a| norm(&a[1])?.forward(&a[0].t()?));
}

#[test]
fn layer_norm() {
    let norm = |weight: &Tensor, bias: &Tensor| {
        LayerNorm::new(C, 1e-6, named([("weight", weight), ("bias", bias)]))
    };
    let arguments = [tensor(&[4, C], 0.0), tensor(&[C], 0.3), tensor(&[C], 0.9)];
    check(&arguments, |a| {
        &a[0] + norm(&a[1], &a[2])?.forward(&a[0])?
    });
    let turned = [tensor(&[C, 3], 0.0), tensor(&[C], 0.3), tensor(&[C], 0.9)];
    check(&turned, |a| norm(&a[1], &a[2])?.forward(&a[0].t()?));
}

#[test]
fn group_norm_is_candles_with_a_backward() {
    let (n_groups, c) = (3, 6);
    let arguments = [
        tensor(&[2, c, 3, 7], 0.0),
        tensor(&[c], 0.3),
        tensor(&[c], 0.9),
    ];
    let norm = |weight: &Tensor, bias: &Tensor| {
        GroupNorm::new(
            n_groups,
            c,
            1e-6,
            named([("weight", weight), ("bias", bias)]),
        )
    };
    check(&arguments, |a| {
        &a[0] + norm(&a[1], &a[2])?.forward(&a[0])?
    });
    let [xs, weight, bias] = arguments;
    let ours = norm(&weight, &bias).unwrap().forward(&xs).unwrap();
    let candles = candle_nn::GroupNorm::new(weight, bias, c, n_groups, 1e-6).unwrap();
    assert!(difference(&ours, &candles.forward(&xs).unwrap()) < 1e-5);
}

#[test]
fn activations() {
    // Both signs, both bends, and the flat ends.
    let xs = (tensor(&[3, 2 * C], 0.0) * 4.0).unwrap();
    check(std::slice::from_ref(&xs), |a| silu(&a[0]));
    check(std::slice::from_ref(&xs), |a| gelu(&a[0]));
    let up = tensor(&[3, 2 * C], 2.0);
    check(&[xs.clone(), up], |a| swiglu(&a[0], &a[1]));
    check(&[xs, tensor(&[2 * C, 3], 2.0)], |a| {
        swiglu(&a[0], &a[1].t()?)
    });
}

#[test]
fn activations_of_huge_numbers_are_candles() {
    let huge = Tensor::new(
        &[-1e4f32, -200.0, -88.0, 0.0, 88.0, 200.0, 1e4],
        &Device::Cpu,
    )
    .unwrap();
    for op in [silu as fn(&Tensor) -> Result<Tensor>, gelu] {
        let var = Var::from_tensor(&huge).unwrap();
        let tracked = op(&var).unwrap();
        assert!(difference(&tracked, &op(&huge).unwrap()) < 1e-6);
        let gradients = tracked.sum_all().unwrap().backward().unwrap();
        let slopes: Vec<f32> = gradients.get(&var).unwrap().to_vec1().unwrap();
        assert_eq!(slopes[3], 0.5);
        for (slope, expected) in slopes.iter().zip([0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0]) {
            assert!((slope - expected).abs() < 1e-6, "{slopes:?}");
        }
    }
}

#[test]
fn rope() {
    let d = 6;
    let rotary = RotaryEmbedding::new(100.0, d, &Device::Cpu).unwrap();
    let (cos, sin) = rotary.angles(&[0, 3, 9]).unwrap();
    check(&[tensor(&[2, 3, d], 0.0)], |a| rotate(&a[0], &cos, &sin));
    let wide = tensor(&[3, 4, d], 0.0);
    // Heads that are a part of a wider tensor, as queries are.
    check(&[wide], |a| {
        rotate(&a[0].transpose(0, 1)?.narrow(0, 1, 2)?, &cos, &sin)
    });
}

/// Every convolution in the autoencoder, one without padding, and one with more than it needs.
const CONVOLUTIONS: [ConvShape; 5] = [
    ConvShape::SAME_3X3,
    ConvShape::HALVING,
    ConvShape::POINTWISE,
    ConvShape {
        padding: (0, 0),
        ..ConvShape::HALVING
    },
    ConvShape {
        padding: (2, 2),
        ..ConvShape::HALVING
    },
];

#[test]
fn convolutions() {
    for shape in CONVOLUTIONS {
        for size in [(5, 6), (4, 3)] {
            check_convolution((2, 3), shape, size);
        }
    }
}

/// With so many channels Winograd's algorithm runs: of the input in the first two, of the result's gradient in the first and
/// the last.
#[test]
fn convolutions_of_many_channels() {
    for channels in [(16, 17), (16, 2), (2, 16)] {
        check_convolution(channels, ConvShape::SAME_3X3, (3, 4));
    }
}

#[track_caller]
fn check_convolution((c_in, c_out): (usize, usize), shape: ConvShape, (hh, ww): (usize, usize)) {
    let arguments = [
        tensor(&[2, c_in, hh, ww], 0.0),
        tensor(&[c_out, c_in, shape.kernel, shape.kernel], 1.0),
        tensor(&[c_out], 2.0),
    ];
    check(&arguments, |a| {
        let weights = named([("weight", &a[1]), ("bias", &a[2])]);
        Conv2d::new((c_in, c_out), shape, weights)?.forward(&a[0])
    });
}

#[test]
fn upsampling() {
    check(&[tensor(&[2, 3, 4, 5], 0.0)], |a| upsample_2x(&a[0]));
}

/// Heads of queries and of keys, head width, tokens.
const H: usize = 4;
const KV: usize = 2;
const D: usize = 6;
const N: usize = 9;

fn queries_keys_values(n: usize, m: usize) -> [Tensor; 3] {
    [
        tensor(&[H, n, D], 1.0),
        tensor(&[KV, m, D], 2.0),
        tensor(&[KV, m, D], 3.0),
    ]
}

#[test]
fn grouped_attention_of_keys_queries_and_values() {
    check(&queries_keys_values(3, 5), |a| {
        attention(&a[0], &a[1], &a[2], None)
    });
    let mask = causal_mask(3, 5, &Device::Cpu).unwrap();
    check(&queries_keys_values(3, 5), |a| {
        attention(&a[0], &a[1], &a[2], mask.as_ref())
    });
}

#[test]
fn query_heads_share_the_keys_of_their_group() {
    let [q, k, v] = queries_keys_values(3, 5);
    let grouped = attention(&q, &k, &v, None).unwrap();
    for head in 0..H {
        let one = |t: &Tensor, i: usize| t.narrow(0, i, 1).unwrap().contiguous().unwrap();
        let alone =
            attention(&one(&q, head), &one(&k, head / 2), &one(&v, head / 2), None).unwrap();
        assert!(difference(&alone, &one(&grouped, head)) < 1e-6);
    }
}

/// A sequence whose tokens all see each other, and a causal trunk with two branches, their rows mixed.
fn segments() -> Segments {
    let causal = |n, m| causal_mask(n, m, &Device::Cpu).unwrap();
    let segment = |queries: &[u32], keys: &[u32]| Segment {
        queries: queries.to_vec(),
        keys: keys.to_vec(),
        mask: causal(queries.len(), keys.len()),
    };
    Segments(vec![
        Segment {
            mask: None,
            ..segment(&[1, 8], &[1, 8])
        },
        segment(&[0, 2, 4], &[0, 2, 4]),
        segment(&[7, 3], &[0, 2, 4, 7, 3]),
        segment(&[5, 6], &[0, 2, 4, 5, 6]),
    ])
}

/// The same, each segment with the plain attention.
fn one_by_one(q: &Tensor, k: &Tensor, v: &Tensor, segments: &Segments) -> Result<Tensor> {
    let (mut parts, mut rows) = (Vec::new(), Vec::<u32>::new());
    for segment in &segments.0 {
        let of = |xs: &Tensor, rows: &[u32]| xs.index_select(&Tensor::new(rows, xs.device())?, 1);
        let (k, v) = (of(k, &segment.keys)?, of(v, &segment.keys)?);
        parts.push(attention(
            &of(q, &segment.queries)?,
            &k,
            &v,
            segment.mask.as_ref(),
        )?);
        rows.extend(&segment.queries);
    }
    let places: Vec<u32> = (0..N as u32)
        .map(|row| rows.iter().position(|r| *r == row).unwrap() as u32)
        .collect();
    Tensor::cat(&parts, 1)?.index_select(&Tensor::new(places, q.device())?, 1)
}

#[test]
fn packed_attention_is_the_plain_one_within_units() {
    let (arguments, segments) = (queries_keys_values(N, N), Arc::new(segments()));
    let [q, k, v] = &arguments;
    let packed = packed_attention(q, k, v, &segments).unwrap();
    assert!(difference(&packed, &one_by_one(q, k, v, &segments).unwrap()) < 1e-6);
    check(&arguments, |a| {
        packed_attention(&a[0], &a[1], &a[2], &segments)
    });
    // The plain form is differentiable by candle itself.
    let gradients = |op: &dyn Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>| {
        let vars = arguments.each_ref().map(|a| Var::from_tensor(a).unwrap());
        let store = loss(&op(&vars[0], &vars[1], &vars[2]).unwrap())
            .backward()
            .unwrap();
        vars.map(|var| store.get(&var).unwrap().clone())
    };
    let ours = gradients(&|q, k, v| packed_attention(q, k, v, &segments));
    let candles = gradients(&|q, k, v| one_by_one(q, k, v, &segments));
    for (ours, candles) in ours.iter().zip(&candles) {
        assert!(difference(ours, candles) < 1e-5);
    }
}
