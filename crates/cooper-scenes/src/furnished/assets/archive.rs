//! The files of a furniture catalogue: a zip, or the same unpacked.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::PathBuf;

use cooper_imaging::{Error, Result};
use zip::ZipArchive;

/// Files that a catalogue and its models are read from.
#[derive(Clone, Debug)]
pub(super) enum Archive {
    Zip(PathBuf),
    Folder(PathBuf),
}

impl Archive {
    /// Open it for a few reads.
    pub(super) fn open(&self) -> Result<Opened> {
        match self {
            Self::Folder(path) => Ok(Opened::Folder(path.clone())),
            Self::Zip(path) => {
                let file = File::open(path).map_err(|e| Error::io(path, e))?;
                let archive = ZipArchive::new(BufReader::new(file))
                    .map_err(|e| Error::invalid(path.display().to_string(), e.to_string()))?;
                Ok(Opened::Zip(path.clone(), archive))
            }
        }
    }
}

/// An archive that is open.
pub(super) enum Opened {
    Zip(PathBuf, ZipArchive<BufReader<File>>),
    Folder(PathBuf),
}

impl Opened {
    /// The bytes of a file, by its path inside.
    pub(super) fn read(&mut self, name: &str) -> Result<Vec<u8>> {
        let name = name.trim_start_matches('/');
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                std::fs::read(&path).map_err(|e| Error::io(&path, e))
            }
            Self::Zip(path, archive) => {
                let at = || path.join(name);
                let mut file = archive
                    .by_name(name)
                    .map_err(|e| Error::invalid(at().display().to_string(), e.to_string()))?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)
                    .map_err(|e| Error::io(at(), e))?;
                Ok(bytes)
            }
        }
    }
}
