//! Writes a model directory whose matrices are quantised, so that loading it costs neither time nor memory for that.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::QTensor;
use candle_core::{DType, Device};
use candle_nn::VarBuilder;
use cooper_imaging::NewFolder;
use cooper_kernels::{Matrices, MatrixInfo, stored_tensors, write_gguf};

use super::load::{ModelOptions, QUANTIZED_NAME, Transformer, VAE_NAME, WEIGHTS_NAMES};
use crate::error::{Error, Result};
use crate::model::{ModelConfig, inventory};

/// Files that go along, by how their names end.
const COPIED: [&str; 4] = [".json", ".yaml", ".txt", ".md"];

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantized {
    /// How many matrices have each type, by name such as `Q4K` or `Q8_0`.
    pub types: BTreeMap<String, usize>,
    /// Matrices whose rows are not whole blocks, and that stay as they were.
    pub kept: Vec<String>,
    /// Bytes of the transformer's files before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
}

/// Quantise the model of `options` into the new directory `out`; `tell` hears after each matrix how many are done, and
/// how many there are.
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
    let folder = NewFolder::create(out)?;
    let quantized = write(options, &config, &transformer, folder.path(), tell)?;
    folder.commit()?;
    Ok(quantized)
}

fn write(
    options: &ModelOptions,
    config: &ModelConfig,
    transformer: &Transformer,
    out: &Path,
    tell: &mut dyn FnMut(usize, usize),
) -> Result<Quantized> {
    let weights = stored_tensors(&transformer.weights, DType::F32, &Device::Cpu)?;
    let mut quantized = Quantized::default();
    let mut matrices = Vec::new();
    for (name, shape) in inventory::layer_matrices(config) {
        let shape = (shape[0], shape[1]);
        match options.quantization.block_dtype(shape.1) {
            Some(dtype) => matrices.push(MatrixInfo { name, dtype, shape }),
            None => quantized.kept.push(name),
        }
    }
    for matrix in &matrices {
        let name = format!("{:?}", matrix.dtype);
        *quantized.types.entry(name).or_default() += 1;
    }
    let gguf = out.join(QUANTIZED_NAME);
    let mut file = BufWriter::new(File::create(&gguf).map_err(|e| Error::io(&gguf, e))?);
    let mut n_done = 0;
    write_gguf(&mut file, &matrices, |MatrixInfo { name, dtype, shape }| {
        let matrix = QTensor::quantize(&weights.get(*shape, name)?, *dtype)?;
        n_done += 1;
        tell(n_done, matrices.len());
        Ok(matrix.data()?.into_owned())
    })
    .map_err(|e| e.context(gguf.display().to_string()))?;
    let rest = out.join(WEIGHTS_NAMES[0]);
    let moved = |name: &str| matrices.iter().any(|matrix| matrix.name == name);
    candle_core::safetensors::save(&others(transformer, &weights, moved)?, &rest)?;
    // As readable as the original: it is written for its owner alone.
    std::fs::metadata(&transformer.weights)
        .and_then(|file| std::fs::set_permissions(&rest, file.permissions()))
        .map_err(|e| Error::io(&rest, e))?;
    copy_files(&options.dir, out)?;
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    quantized.bytes_before = size(&transformer.weights);
    quantized.bytes_after = size(&gguf) + size(&rest);
    Ok(quantized)
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
