//! YAML files as types.

use std::path::Path;

use cooper_model::{Error, Result};
use serde::de::DeserializeOwned;

/// Read a YAML file.
///
/// # Errors
/// [`Error::Io`] if it cannot be read; [`Error::Config`] with the line and the key that is wrong.
pub fn read_yaml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    parse_yaml(&text, path)
}

/// Read the text of a YAML file; `path` names it in errors.
///
/// # Errors
/// [`Error::Config`] with the line and the key that is wrong.
pub fn parse_yaml<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T> {
    serde_yaml::from_str(text).map_err(|e| Error::Config {
        path: path.into(),
        why: e.to_string(),
    })
}
