//! The autoencoder in bands, which bound its memory, against the whole one.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use cooper_perception::engine::Noise;
use cooper_perception::model::config::VaeConfig;
use cooper_perception::model::inventory::expected_vae_tensors;
use cooper_perception::model::{FluxVae, ModelConfig};
use cooper_perception::training::init::fresh;

/// The largest difference between pictures or latents, as a part of the largest number.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let most = |t: &Tensor| {
        let most = t.abs().unwrap().flatten_all().unwrap().max(0).unwrap();
        most.to_scalar::<f32>().unwrap()
    };
    assert_eq!(a.dims(), b.dims());
    most(&(a - b).unwrap()) / most(a)
}

#[test]
fn the_autoencoder_in_bands_is_the_whole_one() {
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cooper-nano");
    let nano_config = ModelConfig::load(&nano).unwrap().vae;
    let stored = candle_core::safetensors::load(nano.join("ae.safetensors"), &Device::Cpu).unwrap();
    let large = VaeConfig::default();
    let drawn = fresh(&expected_vae_tensors(&large), 1, 3).unwrap();
    // Sizes that make several bands with a rest.
    for (config, weights, (width, height)) in [
        (nano_config, stored, (512, 400)),
        (large, drawn, (240, 208)),
    ] {
        let build = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let whole = FluxVae::new(&config, build).unwrap();
        let banded = whole.clone().in_bands_above(1000);
        let noise = Noise::seeded(5).normal((1, 3, height, width), &Device::Cpu);
        let pixels = noise.unwrap().clamp(-1f32, 1f32).unwrap();
        let moments = whole.moments(&pixels).unwrap();
        let off = difference(&moments, &banded.moments(&pixels).unwrap());
        println!("encoded: {off}");
        assert!(off < 1e-4, "{off}"); // tiles of a convolution begin elsewhere
        let latent = whole.latent(&moments, None).unwrap();
        let picture = whole.decode(&latent).unwrap();
        let off = difference(&picture, &banded.decode(&latent).unwrap());
        println!("decoded: {off}");
        assert!(off < 1e-4, "{off}"); // tiles of a convolution begin elsewhere
    }
}
