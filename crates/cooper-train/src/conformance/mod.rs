//! Comparing this implementation with what the reference computed, tensor by tensor.
//!
//! A golden directory holds a small random model, its inputs and the reference's results in f32
//! (`tests/fixtures/README.md` lists every name). Sizes are taken from the directory.
//!
//! What is compared, within which bound; coarse formats are bf16, f16 and quantised matrices:
//!
//! | group | f32 | coarse formats |
//! |---|---|---|
//! | token ids of texts, lengths, positions, image sizes, texts of turns | equal | equal |
//! | resized images, colours: no network | 1 step of 255, 0.5 % of the values | the same |
//! | tensors: encoders, caches, logits, latents | 1e-4 of the largest value, at least of 1 | 0.15 of it |
//! | drawn latents, 1 - cosine | | 1e-3 |
//! | drawn images | 1 step of 255, 0.5 % of the values | 38 steps: 0.15 of 255 |
//! | greedily chosen ids | equal | reported without a bound: a near tie may fall either way |
//! | training: losses, mask, gradients | 1e-4, gradients 1e-3 of the largest value | not compared: training runs in f32 |

mod contexts;
mod golden;
mod inputs;
mod report;
mod scripted;
mod training;

use std::path::Path;

use candle_core::DType;
use cooper_model::Result;
use cooper_model::engine::{DeviceChoice, DtypeChoice, Engine, ModelOptions, Quantization};
pub use report::{Check, Verdict};

use self::golden::Golden;
use self::report::{Format, Report};

/// Run every group of a golden directory on the CPU in `dtype`, its matrices quantised or not; `on_check` gets each
/// check as it is done.
///
/// Names of the directory that no check uses fail.
///
/// # Errors
/// If the directory or its model cannot be read, or the network fails.
pub fn run(
    golden_dir: &Path,
    dtype: DtypeChoice,
    quantization: Quantization,
    on_check: &mut dyn FnMut(&Check),
) -> Result<()> {
    let golden = Golden::open(golden_dir)?;
    let engine = Engine::load(&ModelOptions {
        dir: golden_dir.join("checkpoint"),
        weights: None,
        device: DeviceChoice::Cpu,
        dtype,
        quantization,
        ignores_memory: false,
    })?;
    let format = match (engine.model().dtype(), engine.quantization()) {
        (DType::F32, Quantization::None) => Format::F32,
        _ => Format::Coarse,
    };
    let mut report = Report::new(&golden, format, on_check);
    inputs::check(&engine, &mut report)?;
    contexts::check(&engine, &mut report)?;
    scripted::check(&engine, &mut report)?;
    training::check(&engine, &mut report)?;
    report.fail_unused();
    Ok(())
}
