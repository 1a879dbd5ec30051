//! Refuses to load a model that does not fit into the memory that is available.

use std::path::Path;

use candle_core::DType;
use cooper_kernels::{MatrixSource, Quantization};

use super::format::Format;
use super::plan::{MemoryPlan, Workload, gigabytes};
use crate::error::{Error, Result};

/// Compare the peak of a plan with the `available` bytes; `plan_in` plans the same in other formats.
///
/// # Errors
/// [`Error::Weights`] with the plan, and the formats that fit.
pub(super) fn check_memory(
    dir: &Path,
    (plan, format, work): (&MemoryPlan, Format, Workload),
    available: u64,
    plan_in: impl Fn(Format) -> MemoryPlan,
) -> Result<()> {
    let needed = plan.peak();
    if needed <= available {
        return Ok(());
    }
    let peaks = smaller_formats(format).into_iter().map(|(name, format)| {
        let peak = plan_in(format).peak();
        (name, peak)
    });
    let fits: Vec<_> = peaks
        .filter(|(_, peak)| *peak <= available)
        .map(|(name, peak)| format!("{name} ({})", gigabytes(peak)))
        .collect();
    let helps = match fits.as_slice() {
        [] => "no number format of it fits here".to_owned(),
        fits => format!("what fits: {}", fits.join(", ")),
    };
    let (width, height) = work.image;
    Err(Error::weights(
        dir,
        format!(
            "expected at least {} of free memory for questions about images of {width}x{height}, got {} \
             ({plan}); {helps}; to load it all the same: --ignore-memory, parameter model.ignore_memory",
            gigabytes(needed),
            gigabytes(available),
        ),
    ))
}

/// Formats that may take less, by what the user does to get them.
fn smaller_formats(format: Format) -> Vec<(String, Format)> {
    let f16 = Format {
        dtype: DType::F16,
        ..format
    };
    let quantized = Quantization::ALL
        .into_iter()
        .filter(|q| *q != Quantization::None);
    let quantized = quantized.map(|quantization| {
        let name = format!("cooper quantize --type {}", quantization.name());
        let format = Format {
            quantization,
            quantized_from: MatrixSource::File,
            ..format
        };
        (name, format)
    });
    std::iter::once(("dtype f16".to_owned(), f16))
        .chain(quantized)
        .collect()
}
