//! Files of a data set: images with truth beside them, tables of JSON lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cooper_imaging::is_map_name;
use cooper_model::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json_lines::JsonLines;
pub(super) use crate::json_lines::folder_of;

/// A member of a data set that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The image's or the row's name.
    pub name: String,
    /// What was expected and what was found.
    pub why: String,
}

impl Broken {
    /// One that failed with `error`.
    pub fn new(name: impl Into<String>, error: &Error) -> Self {
        Self {
            name: name.into(),
            why: error.to_string(),
        }
    }
}

/// The rows of a table with their names, and those that cannot be used.
type Rows<T> = (Vec<(String, T)>, Vec<Broken>);

/// Read a table of one JSON object a line: each row with its name, or what is wrong with it.
///
/// Blank lines are skipped. Names are `FILE:LINE`.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read.
pub(super) fn read_json_lines<T: DeserializeOwned>(path: &Path) -> Result<Rows<T>> {
    let lines = JsonLines::open(path)?;
    let (mut rows, mut broken) = (Vec::new(), Vec::new());
    for i in 0..lines.len() {
        let name = lines.name(i);
        match lines.read(i) {
            Ok(row) => rows.push((name, row)),
            Err(Error::InvalidInput { why, .. }) => broken.push(Broken { name, why }),
            Err(error) => return Err(error),
        }
    }
    Ok((rows, broken))
}

/// Images of a folder, by their names without ending: `x.png`, `x.jpg` or `x.jpeg`, but not `x_depth.png`.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read.
pub(crate) fn images_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let path = entry.map_err(|e| Error::io(folder, e))?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let is_image = ["png", "jpg", "jpeg"].contains(&ending.to_ascii_lowercase().as_str());
        if is_image && !is_map_name(&path) {
            found.insert(stem.into_owned(), path);
        }
    }
    Ok(found)
}

/// The first of some files that exists.
pub(crate) fn first_existing<const N: usize>(candidates: [PathBuf; N]) -> Option<PathBuf> {
    candidates.into_iter().find(|path| path.is_file())
}
