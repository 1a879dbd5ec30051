//! A GGUF file of quantised matrices.

use std::fs::File;
use std::io::BufReader;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::quantized::gguf_file::Content;
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, bail};

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
        // Candle's reader divides by an alignment that the file names.
        let read = AssertUnwindSafe(|| Content::read(&mut reader));
        let content = std::panic::catch_unwind(read)
            .map_err(|_| "expected a GGUF file, got a header that makes no sense".to_owned())?
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

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    /// Read one matrix.
    ///
    /// # Errors
    /// If it is missing, misshapen or cut off.
    pub fn matrix(&self, name: &str, shape: (usize, usize), device: &Device) -> Result<QTensor> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.content.tensor(&mut *reader, name, device);
        let tensor = read.map_err(|e| e.context(self.path.display().to_string()))?;
        if tensor.shape().dims() != [shape.0, shape.1] {
            let got = tensor.shape();
            bail!(
                "{}: {name}: expected {shape:?}, got {got:?}",
                self.path.display()
            );
        }
        Ok(tensor)
    }
}
