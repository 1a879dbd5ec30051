//! Comparing this implementation with what the reference computed, tensor by tensor.
//!
//! A golden directory holds a small random model, its inputs and the reference's results
//! (`tests/fixtures/README.md` tells every name). Sizes are taken from the directory, never assumed.

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
use self::report::Report;

/// Run every group of a golden directory on the CPU in `dtype`, its matrices quantised or not, telling each check as
/// it is done.
///
/// Names of the directory that no check has looked at are told as failed; `train.*` is compared in f32 only.
///
/// # Errors
/// If the directory or its model cannot be read, or the network fails.
pub fn run(
    golden_dir: &Path,
    dtype: DtypeChoice,
    quantization: Quantization,
    tell: &mut dyn FnMut(&Check),
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
    let exact = engine.model().dtype() == DType::F32 && engine.quantization() == Quantization::None;
    let mut report = Report::new(&golden, exact, tell);
    inputs::check(&engine, &mut report)?;
    contexts::check(&engine, &mut report)?;
    scripted::check(&engine, &mut report)?;
    training::check(&engine, &mut report)?;
    report.tell_unseen();
    Ok(())
}
