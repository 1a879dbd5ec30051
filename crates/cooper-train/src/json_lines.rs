//! Tables of one JSON value a line (JSON Lines).

use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use cooper_model::{Error, Result};
use serde::de::DeserializeOwned;

/// A file whose lines are found but not kept: it may be larger than memory.
#[derive(Debug)]
pub(crate) struct JsonLines {
    path: PathBuf,
    rows: Vec<Row>,
}

/// Where a line that is not blank stands.
#[derive(Debug)]
struct Row {
    /// From 1.
    line: usize,
    /// Offset of its first byte.
    start: u64,
}

impl JsonLines {
    /// Find the lines that are not blank.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let failed = |e| Error::io(path, e);
        let mut file = BufReader::new(File::open(path).map_err(failed)?);
        let (mut rows, mut text, mut start) = (Vec::new(), Vec::new(), 0);
        for line in 1.. {
            text.clear();
            let n = file.read_until(b'\n', &mut text).map_err(failed)?;
            if n == 0 {
                break;
            }
            if !text.trim_ascii().is_empty() {
                rows.push(Row { line, start });
            }
            start += n as u64;
        }
        Ok(Self {
            path: path.into(),
            rows,
        })
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Row `i` in errors: `PATH:LINE`.
    pub(crate) fn place(&self, i: usize) -> String {
        format!("{}:{}", self.path.display(), self.rows[i].line)
    }

    /// Row `i` in reports: `FILE:LINE`.
    pub(crate) fn name(&self, i: usize) -> String {
        let file = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!("{file}:{}", self.rows[i].line)
    }

    /// Read row `i`.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read; [`Error::InvalidInput`] with [`Self::place`] if the row is not a `T`.
    pub(crate) fn read<T: DeserializeOwned>(&self, i: usize) -> Result<T> {
        let failed = |e| Error::io(&self.path, e);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.rows[i].start))
            .map_err(failed)?;
        let mut text = Vec::new();
        BufReader::new(file)
            .read_until(b'\n', &mut text)
            .map_err(failed)?;
        serde_json::from_slice(&text).map_err(|e| {
            let why = format!("expected a row as a JSON object: {e}");
            Error::invalid(self.place(i), why)
        })
    }
}

/// The folder of a table, which relative paths in its rows start from.
pub(crate) fn folder_of(table: &Path) -> PathBuf {
    table.parent().unwrap_or_else(|| Path::new("")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.jsonl");
        std::fs::write(&file, "\n1\n  \nx\n3").unwrap();
        let lines = JsonLines::open(&file).unwrap();
        assert_eq!((lines.len(), lines.name(2)), (3, "a.jsonl:5".into()));
        assert_eq!(lines.read::<u32>(0).unwrap(), 1);
        assert_eq!(lines.read::<u32>(2).unwrap(), 3);
        let error = lines.read::<u32>(1).unwrap_err().to_string();
        assert!(error.contains("a.jsonl:4: expected a row"), "{error}");
        assert_eq!(folder_of(&file), dir.path());
        assert!(JsonLines::open(&dir.path().join("none")).is_err());
    }
}
