//! What the integration tests share: the random model of `tests/fixtures`, loaded once a process.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::LazyLock;

use candle_core::Tensor;
use cooper_perception::engine::{DeviceChoice, DtypeChoice, Engine, ModelOptions, Quantization};
use image::RgbImage;

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/random-a")
        .join(name)
}

pub fn model_options() -> ModelOptions {
    ModelOptions {
        dir: fixture("checkpoint"),
        weights: None,
        device: DeviceChoice::Cpu,
        dtype: DtypeChoice::F32,
        quantization: Quantization::None,
        ignores_memory: false,
    }
}

pub static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::load(&model_options()).unwrap());

pub fn picture() -> RgbImage {
    cooper_perception::imaging::load_rgb(&fixture("image.png")).unwrap()
}

/// The largest absolute difference.
#[track_caller]
pub fn difference(a: &Tensor, b: &Tensor) -> f32 {
    assert_eq!(a.dims(), b.dims());
    (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}
