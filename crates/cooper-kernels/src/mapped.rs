//! Weights files as memory maps: one tensor at a time, only while it is copied.
//!
//! Mapped pages count as the process's memory, so a file that stays mapped would count beside its copy. Quantised matrices
//! that candle repacks are not copied: their pages go back to the system after the repacking, and come again from the file
//! if they are read.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use candle_core::quantized::{GgmlDType, QStorage, QTensor, QuantizedType};
use candle_core::safetensors::Load;
use candle_core::{CpuStorage, DType, Device, Error, Result, Shape, Tensor, bail};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use half::f16;
use memmap2::{Mmap, MmapOptions, UncheckedAdvice};
use safetensors::SafeTensors;
use safetensors::tensor::{Metadata, TensorView};

use super::repacked::repacked_bytes;
use super::tiled_matrix::TiledMatrix;

/// The tensors of a safetensors file, in this number format.
///
/// # Errors
/// If the file cannot be opened or its header cannot be read.
pub fn stored_tensors(path: &Path, dtype: DType, device: &Device) -> Result<VarBuilder<'static>> {
    let file = File::open(path).map_err(|e| Error::from(e).context(path.display().to_string()))?;
    let (header_bytes, metadata) = SafeTensors::read_metadata(&map(&file, 0, None)?)?;
    let stored = StoredTensors {
        path: path.into(),
        file,
        metadata,
        start: 8 + header_bytes as u64,
    };
    Ok(VarBuilder::from_backend(
        Box::new(stored),
        dtype,
        device.clone(),
    ))
}

/// Map a part of a file; without a length, all from `start` on.
fn map(file: &File, start: u64, len: Option<usize>) -> Result<Mmap> {
    let mut options = MmapOptions::new();
    options.offset(start);
    if let Some(len) = len {
        // The caller is about to read this part.
        options.len(len).populate();
    }
    // Sound as long as no process changes the file while it is mapped.
    #[allow(unsafe_code)]
    let map = unsafe { options.map(file) };
    Ok(map?)
}

/// An open safetensors file.
struct StoredTensors {
    path: PathBuf,
    file: File,
    metadata: Metadata,
    /// Where the tensors' bytes begin.
    start: u64,
}

impl SimpleBackend for StoredTensors {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            let (path, got) = (self.path.display(), tensor.shape());
            bail!("{path}: {name}: expected {shape:?}, got {got:?}");
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let Some(info) = self.metadata.info(name) else {
            bail!(
                "{}: expected a tensor {name}, got none",
                self.path.display()
            );
        };
        let (begin, end) = info.data_offsets;
        let bytes = map(&self.file, self.start + begin as u64, Some(end - begin))
            .map_err(|e| e.context(format!("{}: {name}", self.path.display())))?;
        TensorView::new(info.dtype, info.shape.clone(), &bytes)?
            .load(device)?
            .to_dtype(dtype)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.metadata.info(name).is_some()
    }
}

/// The layout of a quantised matrix from a file on a CPU.
pub(super) enum CpuMatrix {
    /// In tiles of our own.
    Tiled(TiledMatrix),
    /// Repacked by candle; its blocks stay in the file.
    Repacked(QTensor),
    /// As the file stores it.
    AsStored,
}

/// Read a quantised matrix (out, width) at `start` for a CPU.
///
/// # Errors
/// If the map or candle's repacking fails.
pub(super) fn cpu_matrix(
    file: &File,
    dtype: GgmlDType,
    (out, width): (usize, usize),
    start: u64,
) -> Result<CpuMatrix> {
    let n_bytes = out * width / dtype.block_size() * dtype.type_size();
    let bytes = || map(file, start, Some(n_bytes));
    if TiledMatrix::bytes(dtype, out, width).is_some() {
        let tiled = TiledMatrix::new(dtype, &bytes()?, (out, width));
        return Ok(tiled.map_or(CpuMatrix::AsStored, CpuMatrix::Tiled));
    }
    if repacked_bytes(dtype, out, width) == 0 {
        return Ok(CpuMatrix::AsStored);
    }
    repacked_matrix(bytes()?, dtype, (out, width)).map(CpuMatrix::Repacked)
}

/// Let candle repack a matrix whose blocks stay in the file. Its first matmul does it.
fn repacked_matrix(bytes: Mmap, dtype: GgmlDType, (out, width): (usize, usize)) -> Result<QTensor> {
    let bytes = Arc::new(bytes);
    let storage = QStorage::Cpu(Box::new(MappedMatrix {
        bytes: bytes.clone(),
        dtype,
        copied: OnceLock::new(),
    }));
    let matrix = QTensor::new(storage, (out, width))?;
    Tensor::zeros((1, width), DType::F32, &Device::Cpu)?.apply_op1_no_bwd(&matrix)?;
    // Sound: the map is read-only, so its pages come again from the file unchanged.
    #[allow(unsafe_code)]
    unsafe {
        bytes.unchecked_advise(UncheckedAdvice::DontNeed)?;
    }
    Ok(matrix)
}

/// Blocks in a file, copied only for operations that candle's repacked layout lacks.
struct MappedMatrix {
    bytes: Arc<Mmap>,
    dtype: GgmlDType,
    copied: OnceLock<Box<dyn QuantizedType>>,
}

impl MappedMatrix {
    fn copied(&self) -> &dyn QuantizedType {
        let copy = || self.dtype.from_data(self.bytes[..].into());
        self.copied.get_or_init(copy).as_ref()
    }
}

impl QuantizedType for MappedMatrix {
    fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    fn block_size(&self) -> usize {
        self.dtype.block_size()
    }

    fn storage_size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn size(&self) -> usize {
        self.bytes.len()
    }

    fn as_ptr(&self) -> *const u8 {
        let copied = self.copied.get();
        copied.map_or(self.bytes.as_ptr(), |copied| copied.as_ptr())
    }

    fn matmul_t(&self, mkn: (usize, usize, usize), lhs: &[f32], dst: &mut [f32]) -> Result<()> {
        self.copied().matmul_t(mkn, lhs, dst)
    }

    fn matmul_t_f16(&self, mkn: (usize, usize, usize), lhs: &[f16], dst: &mut [f16]) -> Result<()> {
        self.copied().matmul_t_f16(mkn, lhs, dst)
    }

    fn embedding(&self, ids: &[u32], rows: usize, hidden: usize) -> Result<CpuStorage> {
        self.copied().embedding(ids, rows, hidden)
    }

    fn dequantize(&self, n: usize) -> Result<CpuStorage> {
        self.copied().dequantize(n)
    }

    fn from_float(&mut self, xs: &[f32]) {
        let mut new = self.dtype.cpu_zeros(xs.len());
        new.from_float(xs);
        self.copied = OnceLock::from(new);
    }

    fn from_float_imatrix(&mut self, xs: &[f32], imatrix_weights: &[f32], n_per_row: usize) {
        let mut new = self.dtype.cpu_zeros(xs.len());
        new.from_float_imatrix(xs, imatrix_weights, n_per_row);
        self.copied = OnceLock::from(new);
    }
}
