//! Our kernels beside candle's, at the sizes of the released model.
//!
//! `cargo bench -p cooper-kernels --bench kernels`; a part of it by name: `cargo bench -p cooper-kernels --bench kernels -- convolution`.

#![allow(clippy::expect_used)]

use std::hint::black_box;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{D, DType, Device, Module, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{
    Conv2d, ConvPrecision, ConvShape, GroupNorm, KeyPrecision, Noise, QuantizedMatrix, Vocabulary,
    attention, keys_dtype, quantized_matmul, silu, swiglu, use_threads,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Normal numbers, rounded as a checkpoint in bf16 holds them.
fn normal(shape: impl Into<candle_core::Shape>) -> Tensor {
    let numbers = Noise::seeded(1).normal(shape, &Device::Cpu);
    let stored = numbers.and_then(|xs| xs.to_dtype(DType::BF16)?.to_dtype(DType::F32));
    stored.expect("memory for the numbers")
}

/// Time `ours` and `candles` for the same number of operations.
fn compare<O, C>(
    criterion: &mut Criterion,
    name: &str,
    flop: usize,
    ours: impl Fn() -> candle_core::Result<O>,
    candles: impl Fn() -> candle_core::Result<C>,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.throughput(Throughput::Elements(flop as u64));
    group.bench_function("ours", |b| b.iter(|| black_box(ours())));
    group.bench_function("candle", |b| b.iter(|| black_box(candles())));
    group.finish();
}

fn convolution(criterion: &mut Criterion) {
    for (c, side) in [(128, 256), (512, 64)] {
        let (xs, weight) = (normal((1, c, side, side)), normal((c, c, 3, 3)));
        let tensors = [
            ("weight".to_owned(), weight.clone()),
            ("bias".to_owned(), normal(c)),
        ];
        let vb = VarBuilder::from_tensors(tensors.into(), DType::F32, &Device::Cpu);
        let exact = Conv2d::new((c, c), ConvShape::SAME_3X3, vb).expect("weights of this shape");
        for (precision, name) in [
            (ConvPrecision::F32, "f32"),
            (ConvPrecision::I16, "16-bit integers"),
        ] {
            let conv = exact.clone().with_precision(precision).expect("kernels");
            compare(
                criterion,
                &format!("convolution {c} channels {side}x{side} in {name}"),
                2 * 9 * c * c * side * side,
                || conv.forward(&xs),
                || xs.conv2d(&weight, 1, 1, 1, 1),
            );
        }
    }
}

fn group_norm_silu(criterion: &mut Criterion) {
    let (c, side) = (128, 256);
    let xs = normal((1, c, side, side));
    let tensors = [
        ("weight".to_owned(), normal(c)),
        ("bias".to_owned(), normal(c)),
    ];
    let vb = VarBuilder::from_tensors(tensors.into(), DType::F32, &Device::Cpu);
    let plain = candle_nn::group_norm(32, c, 1e-6, vb.clone()).expect("weights of this shape");
    let norm = GroupNorm::new(32, c, 1e-6, vb).expect("weights of this shape");
    compare(
        criterion,
        "group norm and SiLU 128 channels 256x256",
        c * side * side,
        || norm.forward_silu(&xs),
        || plain.forward(&xs)?.silu(),
    );
}

fn attend(criterion: &mut Criterion) {
    // (queries, keys): a block of an image, a token that is written.
    for (n, m) in [(770, 2300), (1, 2300)] {
        let (h, kv, d) = (28, 4, 128);
        let (q, k, v) = (normal((h, n, d)), normal((kv, m, d)), normal((kv, m, d)));
        compare(
            criterion,
            &format!("attention 28 heads {n} x {m}"),
            4 * h * n * m * d,
            || attention(&q, &k, &v, None),
            || {
                let q = (q.reshape((kv, h / kv * n, d))? * (1.0 / (d as f64).sqrt()))?;
                let scores = q.matmul(&k.transpose(1, 2)?)?;
                candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)
            },
        );
        // As a model with quantised matrices keeps them on this processor.
        let dtype = keys_dtype(DType::F32, KeyPrecision::Reduced, d, &Device::Cpu);
        let [k16, v16] = [&k, &v].map(|xs| xs.to_dtype(dtype).expect("memory for them"));
        let name = format!("attention 28 heads {n} x {m}, keys in {}", dtype.as_str());
        criterion.bench_function(&name, |b| {
            b.iter(|| black_box(attention(&q, &k16, &v16, None)));
        });
    }
}

fn activations(criterion: &mut Criterion) {
    let (gate, up) = (normal((590, 4096)), normal((590, 4096)));
    let n = gate.elem_count();
    compare(
        criterion,
        "SwiGLU 590 x 4096",
        n,
        || swiglu(&gate, &up),
        || gate.silu()? * &up,
    );
    compare(
        criterion,
        "SiLU 590 x 4096",
        n,
        || silu(&gate),
        || gate.silu(),
    );
}

fn head(criterion: &mut Criterion) {
    let (vocab, c) = (152_064, 1024);
    let (rows, hidden) = (normal((vocab, c)), normal((1, c)));
    let head = Vocabulary::new(rows.clone())
        .expect("a matrix")
        .with_quantized_head();
    compare(
        criterion,
        "head 152064 x 1024, one token",
        2 * vocab * c,
        || head.logits(&hidden),
        || hidden.matmul(&rows.t()?),
    );
    compare(
        criterion,
        "argmax of 152064 tokens",
        2 * vocab * c,
        || head.argmax(&hidden, vocab),
        || hidden.matmul(&rows.t()?)?.argmax(1),
    );
}

fn matrices(criterion: &mut Criterion) {
    let (n_in, n_out) = (3584, 4736);
    let weight = normal((n_out, n_in));
    for rows in [768, 1] {
        let xs = normal((rows, n_in));
        let mut group = criterion.benchmark_group(format!("matrix {n_in} x {n_out}, {rows} rows"));
        group.sample_size(10);
        group.throughput(Throughput::Elements((2 * rows * n_in * n_out) as u64));
        group.bench_function("f32", |b| {
            b.iter(|| black_box(xs.matmul(&weight.t().expect("a matrix"))));
        });
        for dtype in [GgmlDType::Q8_0, GgmlDType::Q4K] {
            let quantized = || QTensor::quantize(&weight, dtype).expect("rows of whole blocks");
            let ours = QuantizedMatrix::new(quantized(), None).expect("a matrix");
            group.bench_function(format!("{dtype:?}, ours"), |b| {
                b.iter(|| black_box(quantized_matmul(&xs, &[&ours])));
            });
            let candles = QMatMul::from_qtensor(quantized()).expect("a matrix");
            group.bench_function(format!("{dtype:?}, candle"), |b| {
                b.iter(|| black_box(candles.forward(&xs)));
            });
        }
        group.finish();
    }
}

fn all(criterion: &mut Criterion) {
    convolution(criterion);
    group_norm_silu(criterion);
    attend(criterion);
    activations(criterion);
    head(criterion);
    matrices(criterion);
}

fn on_all_cores() -> Criterion {
    use_threads(0);
    Criterion::default()
}

criterion_group! {
    name = kernels;
    config = on_all_cores();
    targets = all
}
criterion_main!(kernels);
