//! Stopping and watching a running request: both are looked at once per token and once per flow step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// A request's stop switch; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ask for a stop.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    pub fn is_canceled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// `Ok` while nobody asked for a stop.
    ///
    /// # Errors
    /// [`Error::Canceled`] after [`Cancel::cancel`].
    pub fn check(&self) -> Result<()> {
        if self.is_canceled() {
            Err(Error::Canceled)
        } else {
            Ok(())
        }
    }
}

/// What the model draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MapKind {
    /// A relative depth map, 0 near to 1 far.
    Depth,
    /// A segmentation in flat colours.
    Segmentation,
}

impl MapKind {
    /// Its name in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::Depth => "depth",
            Self::Segmentation => "segmentation",
        }
    }
}

/// What the model is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading the picture and the question.
    Prefill,
    /// Writing a turn.
    Thinking,
    /// Drawing a depth map.
    Depth,
    /// Drawing a segmentation.
    Segmentation,
    /// Writing inside the answer tag.
    Answering,
}

/// A map that was drawn while reasoning: what the answer rests on.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Depth or segmentation.
    pub kind: MapKind,
    /// The turn that asked for it, from 1 (0: drawn before the first turn).
    pub turn: usize,
    /// The picture that the model looked at afterwards (depth in Spectral colours).
    pub image: Arc<RgbImage>,
    /// Of a depth map the values in [0, 1], 0 near, row-major, of the image's size.
    pub depth: Option<Arc<Vec<f32>>>,
    /// The request's seed.
    pub seed: u64,
    /// Flow steps that were run.
    pub steps: usize,
    /// Which picture it has the size of, counted from 0: the last one that was read before it, as upstream.
    pub picture: usize,
    /// How long drawing it took.
    pub took: Duration,
}

/// News from a running request.
#[derive(Clone, Debug)]
pub enum Progress {
    /// Another stage began, in a turn counted from 1 (0 before the first turn).
    Stage(Stage, usize),
    /// The share of the present stage that is done, from 0 to 1.
    Fraction(f32),
    /// More text of the present turn.
    Text(String),
    /// A map is ready.
    Map(Evidence),
}

/// Where a request looks for a stop and tells its news.
pub struct Control<'a> {
    cancel: Cancel,
    listener: Box<dyn FnMut(Progress) + 'a>,
}

impl<'a> Control<'a> {
    /// Watch `cancel` and tell `listener`.
    pub fn new(cancel: Cancel, listener: impl FnMut(Progress) + 'a) -> Self {
        Self {
            cancel,
            listener: Box::new(listener),
        }
    }

    /// A control that nobody stops or listens to.
    pub fn unattended() -> Self {
        Self::new(Cancel::default(), |_| {})
    }

    /// The switch that is watched.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// See [`Cancel::check`].
    ///
    /// # Errors
    /// [`Error::Canceled`] when a stop was asked for.
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Tell the listener.
    pub fn tell(&mut self, progress: Progress) {
        (self.listener)(progress);
    }
}
