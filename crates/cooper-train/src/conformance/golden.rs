//! Reading a golden directory.

use std::path::{Path, PathBuf};

use candle_core::safetensors::Load;
use candle_core::{Device, Tensor};
use cooper_imaging::load_rgb;
use cooper_model::{Error, Result};
use image::RgbImage;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// The files of a golden directory, in memory.
pub struct Golden {
    dir: PathBuf,
    tensors: Vec<u8>,
    /// `expected.json`.
    pub json: Value,
    /// `image.png`.
    pub image: RgbImage,
}

impl Golden {
    pub fn open(dir: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = dir.join(name);
            std::fs::read(&file).map_err(|e| Error::io(file, e))
        };
        let json = serde_json::from_slice(&read("expected.json")?).map_err(|e| Error::Config {
            path: dir.join("expected.json"),
            why: e.to_string(),
        })?;
        Ok(Self {
            tensors: read("expected.safetensors")?,
            json,
            image: load_rgb(&dir.join("image.png"))?,
            dir: dir.into(),
        })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn names(&self) -> Result<Vec<String>> {
        let parsed = self.parsed()?;
        let mut names: Vec<String> = parsed.names().into_iter().map(Into::into).collect();
        names.sort();
        Ok(names)
    }

    pub fn has(&self, name: &str) -> bool {
        self.parsed()
            .is_ok_and(|tensors| tensors.tensor(name).is_ok())
    }

    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let parsed = self.parsed()?;
        let view = parsed.tensor(name).map_err(|e| self.wrong(name, e))?;
        if view.dtype() == Dtype::BOOL {
            // Candle has no truth values; a byte each is what the file holds.
            return Ok(Tensor::from_slice(view.data(), view.shape(), &Device::Cpu)?);
        }
        Ok(view.load(&Device::Cpu)?)
    }

    /// An 8-bit image (hh, ww, 3).
    pub fn image(&self, name: &str) -> Result<RgbImage> {
        let tensor = self.tensor(name)?;
        let (height, width, _) = tensor.dims3()?;
        let data = tensor.flatten_all()?.to_vec1::<u8>()?;
        RgbImage::from_raw(width as u32, height as u32, data)
            .ok_or_else(|| self.wrong(name, "expected three channels"))
    }

    /// A value of `expected.json` by its pointer, for example `/greedy/ids`.
    pub fn value(&self, pointer: &str) -> Result<&Value> {
        self.json
            .pointer(pointer)
            .ok_or_else(|| self.wrong(pointer, "it is missing"))
    }

    pub fn text(&self, pointer: &str) -> Result<&str> {
        let value = self.value(pointer)?;
        value
            .as_str()
            .ok_or_else(|| self.wrong(pointer, "expected a text"))
    }

    pub fn number(&self, pointer: &str) -> Result<f64> {
        let value = self.value(pointer)?;
        value
            .as_f64()
            .ok_or_else(|| self.wrong(pointer, "expected a number"))
    }

    pub fn list(&self, pointer: &str) -> Result<&Vec<Value>> {
        let value = self.value(pointer)?;
        value
            .as_array()
            .ok_or_else(|| self.wrong(pointer, "expected a list"))
    }

    pub fn ids(&self, pointer: &str) -> Result<Vec<u32>> {
        let id = |value: &Value| value.as_u64().map(|id| id as u32);
        let ids: Option<Vec<u32>> = self.list(pointer)?.iter().map(id).collect();
        ids.ok_or_else(|| self.wrong(pointer, "expected token ids"))
    }

    pub fn texts(&self, pointer: &str) -> Result<Vec<String>> {
        let text = |value: &Value| value.as_str().map(ToString::to_string);
        let texts: Option<Vec<String>> = self.list(pointer)?.iter().map(text).collect();
        texts.ok_or_else(|| self.wrong(pointer, "expected texts"))
    }

    fn parsed(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.tensors).map_err(|e| self.wrong("expected.safetensors", e))
    }

    fn wrong(&self, what: &str, why: impl ToString) -> Error {
        Error::Config {
            path: self.dir.clone(),
            why: format!("{what}: {}", why.to_string()),
        }
    }
}
