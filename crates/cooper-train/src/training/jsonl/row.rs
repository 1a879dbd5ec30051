//! One row of a file, and errors that say where it stands.

use std::path::{Path, PathBuf};

use cooper_imaging::load_rgb;
use cooper_model::{Error, Result};
use image::RgbImage;
use serde_json::{Map, Value};

/// One row, and where it stands.
pub(super) struct Row<'a> {
    /// `PATH:LINE`.
    pub(super) place: String,
    /// The folder that paths start from.
    pub(super) root: &'a Path,
    /// The row's keys.
    pub(super) values: Map<String, Value>,
}

impl Row<'_> {
    /// An error about a key of this row.
    pub(super) fn wrong(&self, key: &str, why: impl Into<String>) -> Error {
        Error::invalid(format!("{}: {key}", self.place), why)
    }

    /// The file that a key names.
    pub(super) fn path(&self, key: &str) -> Result<PathBuf> {
        match self.values.get(key) {
            Some(Value::String(path)) => Ok(self.root.join(path)),
            other => Err(self.wrong(key, format!("expected a path, got {}", kind(other)))),
        }
    }

    /// The image that a key names.
    pub(super) fn image(&self, key: &str) -> Result<RgbImage> {
        let path = self.path(key)?;
        load_rgb(&path).map_err(|e| self.wrong(key, e.to_string()))
    }
}

/// A value in errors.
pub(super) fn kind(value: Option<&Value>) -> String {
    match value {
        None => "nothing".into(),
        Some(Value::Array(list)) => format!("a list of {}", list.len()),
        Some(Value::Object(_)) => "an object".into(),
        Some(Value::String(text)) if text.len() > 40 => format!("a text of {} bytes", text.len()),
        Some(short) => short.to_string(),
    }
}
