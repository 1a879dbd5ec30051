//! What the integration tests of several packages share: the random model of `tests/fixtures`, loaded once a process.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cooper_model::engine::{DeviceChoice, DtypeChoice, Engine, ModelOptions, Quantization};
use image::RgbImage;

#[path = "difference.rs"]
mod difference_of_tensors;
#[allow(unused_imports)]
pub use difference_of_tensors::difference;

pub fn fixture(name: &str) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = package
        .ancestors()
        .map(|f| f.join("tests/fixtures/random-a"));
    folders.find(|folder| folder.is_dir()).unwrap().join(name)
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

pub fn image() -> RgbImage {
    cooper_imaging::load_rgb(&fixture("image.png")).unwrap()
}
