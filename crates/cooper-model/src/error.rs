//! The error type of all layers above the network: each variant names who can act on it.
//!
//! The layers `flow` and `model` use `candle_core::Result`; everything above uses [`Result`].
//! Nothing here knows ROS: `ros::codes` maps these to interface constants.

use std::path::{Path, PathBuf};

/// What can go wrong above the network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's input (image, question, option) cannot be used.
    #[error("{what}: {why}")]
    InvalidInput {
        /// Which input, for example `question` or a file's path.
        what: String,
        /// What was expected and what was found.
        why: String,
    },
    /// No camera of that name is configured.
    #[error("there is no camera `{camera}`; the configured ones are: {known}")]
    UnknownCamera {
        /// The requested name.
        camera: String,
        /// The configured names.
        known: String,
    },
    /// A camera has no image that can be used.
    #[error("camera `{camera}` has no usable image: {why}")]
    NoImage {
        /// The camera.
        camera: String,
        /// Why it sends none, or what is wrong with its newest image.
        why: String,
    },
    /// A conversation is longer than the model can read.
    #[error("context: expected at most {limit} tokens, got {needed}")]
    ContextFull {
        /// The most tokens of a context.
        limit: usize,
        /// How many there would be.
        needed: usize,
    },
    /// A configuration file cannot be used.
    #[error("configuration {}: {why}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        why: String,
    },
    /// A model directory or weights file cannot be used.
    #[error("model {}: {why}", path.display())]
    Weights {
        /// The directory or file.
        path: PathBuf,
        /// Every missing, unexpected or misshapen tensor, or what else is wrong.
        why: String,
    },
    /// The network itself failed (shapes, memory, device).
    #[error("the network failed: {0}")]
    Model(#[from] candle_core::Error),
    /// The request was stopped; partial results may come with it.
    #[error("canceled")]
    Canceled,
    /// The queue of waiting requests is full.
    #[error("the queue is full: {limit} requests are waiting already")]
    Busy {
        /// How many may wait.
        limit: usize,
    },
    /// There is no model to answer with (still loading, unloaded or failed).
    #[error("the model is not ready: {0}")]
    NotReady(String),
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A bug of this program (a panic in a request); the request fails, the process goes on.
    #[error("internal error: {0}")]
    Internal(String),
}

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An input error about `what`.
    pub fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::InvalidInput {
            what: what.into(),
            why: why.into(),
        }
    }

    /// A model directory or weights file that cannot be used.
    pub fn weights(path: impl AsRef<Path>, why: impl Into<String>) -> Self {
        Self::Weights {
            path: path.as_ref().into(),
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

impl From<cooper_imaging::Error> for Error {
    fn from(error: cooper_imaging::Error) -> Self {
        use cooper_imaging::Error as Below;
        match error {
            Below::InvalidInput { what, why } => Self::InvalidInput { what, why },
            Below::Io { path, source } => Self::Io { path, source },
            Below::Internal(why) => Self::Internal(why),
        }
    }
}
