//! A GGUF file of quantised matrices.

use std::fs::File;
use std::io::{BufReader, Write};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Result, Tensor, bail};

use super::mapped::{CpuMatrix, cpu_matrix};
use super::quantization::Quantization;
use super::quantized_matrix::QuantizedMatrix;

/// Tensors begin at multiples of this many bytes.
const ALIGNMENT: u64 = 32;

/// An open file; matrices are read one by one.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    content: Content,
    reader: Mutex<BufReader<File>>,
}

impl GgufFile {
    /// Read the header.
    ///
    /// # Errors
    /// Says what is wrong with the file (without naming it).
    pub fn open(path: &Path) -> std::result::Result<Self, String> {
        let file = File::open(path).map_err(|e| e.to_string())?;
        let mut reader = BufReader::new(file);
        // Candle's reader divides by the file's alignment, which may be 0.
        let read = AssertUnwindSafe(|| Content::read(&mut reader));
        let content = std::panic::catch_unwind(read)
            .map_err(|_| "expected a GGUF file, got a malformed header".to_owned())?
            .map_err(|e| format!("expected a GGUF file, got one that cannot be read: {e}"))?;
        Ok(Self {
            path: path.into(),
            content,
            reader: Mutex::new(reader),
        })
    }

    /// Names, types and shapes (outermost first) of all tensors.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, GgmlDType, &[usize])> {
        let infos = self.content.tensor_infos.iter();
        infos.map(|(name, info)| (name.as_str(), info.ggml_dtype, info.shape.dims()))
    }

    /// How its matrices are quantised.
    ///
    /// # Errors
    /// If they have types of no quantisation, or of several.
    pub fn quantization(&self) -> std::result::Result<Quantization, String> {
        Quantization::of_types(self.tensors().map(|(_, dtype, _)| dtype))
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Read one matrix (out, width) with the bias of its layer, in the layout that is fastest on `device`.
    ///
    /// # Errors
    /// If it is missing, misshapen or cut off.
    pub fn matrix(
        &self,
        name: &str,
        shape: (usize, usize),
        bias: Option<Tensor>,
        device: &Device,
    ) -> Result<QuantizedMatrix> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let with_path = |e: candle_core::Error| e.context(self.path.display().to_string());
        if device.is_cpu()
            && let Some((dtype, start)) = self.locate(name, shape, reader.get_ref())
        {
            let read = cpu_matrix(reader.get_ref(), dtype, shape, start);
            match read.map_err(with_path)? {
                CpuMatrix::Tiled(matrix) => return QuantizedMatrix::tiled(matrix, bias),
                CpuMatrix::Repacked(matrix) => return QuantizedMatrix::new(matrix, bias),
                CpuMatrix::AsStored => {}
            }
        }
        let tensor = self.content.tensor(&mut *reader, name, device);
        let tensor = tensor.map_err(with_path)?;
        if tensor.shape().dims() != [shape.0, shape.1] {
            let got = tensor.shape();
            bail!(
                "{}: {name}: expected {shape:?}, got {got:?}",
                self.path.display()
            );
        }
        QuantizedMatrix::new(tensor, bias)
    }

    /// The type of a matrix and where it begins, if its shape is right and the file holds all of it.
    fn locate(
        &self,
        name: &str,
        (out, width): (usize, usize),
        file: &File,
    ) -> Option<(GgmlDType, u64)> {
        let info = self.content.tensor_infos.get(name)?;
        let dtype = info.ggml_dtype;
        let start = self.content.tensor_data_offset.checked_add(info.offset)?;
        let n_blocks = (out * width / dtype.block_size()) as u64;
        let end = start.checked_add(n_blocks * dtype.type_size() as u64)?;
        let is_whole = info.shape.dims() == [out, width] && end <= file.metadata().ok()?.len();
        is_whole.then_some((dtype, start))
    }
}

/// A quantised matrix to write.
#[derive(Clone, Debug)]
pub struct MatrixInfo {
    /// Its tensor's name.
    pub name: String,
    /// How it is quantised.
    pub dtype: GgmlDType,
    /// (out, width), rows of whole blocks.
    pub shape: (usize, usize),
}

impl MatrixInfo {
    fn n_bytes(&self) -> u64 {
        let n_blocks = self.shape.0 * self.shape.1 / self.dtype.block_size();
        (n_blocks * self.dtype.type_size()) as u64
    }
}

/// Write a GGUF file (version 2) of matrices, one after another: `blocks` gives the bytes of each.
///
/// # Errors
/// If `blocks` fails or gives another number of bytes, no [`Quantization`] has a type, or the file cannot be written.
pub fn write_gguf(
    to: &mut impl Write,
    matrices: &[MatrixInfo],
    mut blocks: impl FnMut(&MatrixInfo) -> Result<Vec<u8>>,
) -> Result<()> {
    let header = header(matrices)?;
    to.write_all(&header)?;
    pad(to, header.len() as u64)?;
    for matrix in matrices {
        let blocks = blocks(matrix)?;
        let (got, expected) = (blocks.len() as u64, matrix.n_bytes());
        if got != expected {
            bail!("{}: expected {expected} bytes, got {got}", matrix.name);
        }
        to.write_all(&blocks)?;
        pad(to, got)?;
    }
    Ok(to.flush()?)
}

fn header(matrices: &[MatrixInfo]) -> Result<Vec<u8>> {
    const VERSION: u32 = 2;
    const STRING: u32 = 8;
    let mut header = b"GGUF".to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend((matrices.len() as u64).to_le_bytes());
    header.extend(1u64.to_le_bytes()); // one pair of key and value
    add_string(&mut header, "general.architecture");
    header.extend(STRING.to_le_bytes());
    add_string(&mut header, "bagel");
    let mut offset = 0u64;
    for matrix in matrices {
        let (out, width) = matrix.shape;
        let Some(type_number) = Quantization::gguf_type(matrix.dtype) else {
            bail!(
                "{}: expected the type of a quantisation, got {:?}",
                matrix.name,
                matrix.dtype
            );
        };
        add_string(&mut header, &matrix.name);
        header.extend(2u32.to_le_bytes()); // dimensions, the innermost first
        header.extend((width as u64).to_le_bytes());
        header.extend((out as u64).to_le_bytes());
        header.extend(type_number.to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset = (offset + matrix.n_bytes()).next_multiple_of(ALIGNMENT);
    }
    Ok(header)
}

fn add_string(header: &mut Vec<u8>, text: &str) {
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(text.as_bytes());
}

/// Zeros up to where the next tensor begins.
fn pad(to: &mut impl Write, position: u64) -> Result<()> {
    let n = position.next_multiple_of(ALIGNMENT) - position;
    Ok(to.write_all(&vec![0; n as usize])?)
}
