//! The error of every crate below the network: what cannot be read, and why.

use std::path::{Path, PathBuf};

/// What can go wrong with files, images and settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's input (image, message, setting) cannot be used.
    #[error("{what}: {why}")]
    InvalidInput {
        /// Which input, for example a field's name or a file's path.
        what: String,
        /// What was expected and what was found.
        why: String,
    },
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A bug of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The result of every crate below the network.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An input error about `what`.
    pub fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::InvalidInput {
            what: what.into(),
            why: why.into(),
        }
    }

    /// An input or output error on `path`.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.as_ref().into(),
            source,
        }
    }
}
