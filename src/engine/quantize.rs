//! Writes a model directory whose matrices are quantised, so that loading it costs neither time nor memory for that.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device};
use candle_nn::VarBuilder;

use super::load::{ModelOptions, QUANTIZED_NAME, Transformer, VAE_NAME, WEIGHTS_NAMES, map_file};
use crate::error::{Error, Result};
use crate::model::ModelConfig;
use crate::model::inventory;
use crate::tensor::Matrices;

/// Files that go along, by how their names end.
const COPIED: [&str; 3] = [".json", ".yaml", ".txt"];

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantized {
    /// How many matrices have each type, by name: `Q4K`, `Q8_0`.
    pub types: Vec<(String, usize)>,
    /// Matrices whose rows are not whole blocks, and that stay as they were.
    pub kept: Vec<String>,
    /// Bytes of the transformer's files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Quantise the model of `options` into the new directory `out`, telling after each matrix how many are done of how many.
///
/// # Errors
/// [`Error::Weights`] if the model cannot be used or is quantised already; [`Error::InvalidInput`] if `out` exists;
/// [`Error::Io`] if it cannot be written. Then nothing is left under that name.
pub fn quantize(
    options: &ModelOptions,
    out: &Path,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Quantized> {
    let dir = &options.dir;
    let refuse = |why: String| Error::weights(dir, why);
    let config = ModelConfig::load(dir).map_err(refuse)?;
    let transformer = Transformer::open(options, &config)?;
    if matches!(transformer.matrices, Matrices::Gguf(_)) {
        return Err(refuse(format!(
            "expected plain weights, got {QUANTIZED_NAME} as well: quantise the original"
        )));
    }
    if out.exists() {
        let why = "expected a folder that does not exist yet, got one that does";
        return Err(Error::invalid(out.display().to_string(), why));
    }
    let partial = PathBuf::from(format!("{}.partial", out.display()));
    let written = write(options, &config, &transformer, &partial, tell).and_then(|quantized| {
        std::fs::rename(&partial, out).map_err(|e| Error::io(out, e))?;
        Ok(quantized)
    });
    if written.is_err() {
        // What is left of it is of no use; that it cannot be removed changes nothing.
        let _ = std::fs::remove_dir_all(&partial);
    }
    written
}

fn write(
    options: &ModelOptions,
    config: &ModelConfig,
    transformer: &Transformer,
    out: &Path,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Quantized> {
    let weights = map_file(&transformer.weights, DType::F32, &Device::Cpu)?;
    let mut quantized = Quantized::default();
    let mut matrices = Vec::new();
    let shapes = inventory::layer_matrices(config);
    for (i, (name, shape)) in shapes.iter().enumerate() {
        match options.quantization.of_rows(shape[1]) {
            Some(dtype) => {
                let weight = weights.get((shape[0], shape[1]), name)?;
                matrices.push((name.as_str(), QTensor::quantize(&weight, dtype)?));
            }
            None => quantized.kept.push(name.clone()),
        }
        tell(i + 1, shapes.len());
    }
    for dtype in [GgmlDType::Q4K, GgmlDType::Q8_0] {
        let n = matrices.iter().filter(|(_, m)| m.dtype() == dtype).count();
        if n > 0 {
            quantized.types.push((format!("{dtype:?}"), n));
        }
    }
    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    write_gguf(&out.join(QUANTIZED_NAME), &matrices)?;
    let moved = |name: &str| matrices.iter().any(|(other, _)| *other == name);
    let rest = out.join(WEIGHTS_NAMES[0]);
    candle_core::safetensors::save(&others(transformer, &weights, moved)?, &rest)?;
    // As readable as the original: it is written for its owner alone.
    std::fs::metadata(&transformer.weights)
        .and_then(|file| std::fs::set_permissions(&rest, file.permissions()))
        .map_err(|e| Error::io(&rest, e))?;
    copy_files(&options.dir, out)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    quantized.bytes_before = size(&transformer.weights);
    quantized.bytes_after = size(&out.join(QUANTIZED_NAME)) + size(&rest);
    Ok(quantized)
}

fn write_gguf(path: &Path, matrices: &[(&str, QTensor)]) -> Result<()> {
    let file = File::create(path).map_err(|e| Error::io(path, e))?;
    let mut file = BufWriter::new(file);
    let architecture = Value::String("bagel".into());
    let metadata = [("general.architecture", &architecture)];
    let matrices: Vec<_> = matrices.iter().map(|(name, m)| (*name, m)).collect();
    gguf_file::write(&mut file, &metadata, &matrices)?;
    file.flush().map_err(|e| Error::io(path, e))
}

/// Every tensor that is not quantised, as it is stored.
fn others(
    transformer: &Transformer,
    weights: &VarBuilder,
    moved: impl Fn(&str) -> bool,
) -> Result<HashMap<String, candle_core::Tensor>> {
    let tensors = transformer.header.tensors.iter();
    tensors
        .filter(|(name, _)| !moved(name))
        .map(|(name, info)| {
            let dtype = DType::try_from(info.dtype)?;
            Ok((name.clone(), weights.get_unchecked_dtype(name, dtype)?))
        })
        .collect()
}

fn copy_files(from: &Path, to: &Path) -> Result<()> {
    let entries = std::fs::read_dir(from).map_err(|e| Error::io(from, e))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let goes_along = name == VAE_NAME || COPIED.iter().any(|end| name.ends_with(end));
        if goes_along && entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(&name)).map_err(|e| Error::io(entry.path(), e))?;
        }
    }
    Ok(())
}
