//! Stopping and watching a running request: a stop is checked, and progress reported, at every token and flow step.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Why a request was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// By the client.
    Asked,
    /// Its time budget was spent.
    Expired,
    /// The model was unloaded.
    Unloaded,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Asked => "canceled",
            Self::Expired => "the time budget was spent",
            Self::Unloaded => "it was unloaded meanwhile",
        })
    }
}

/// A request's stop switch; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    stop: OnceLock<Stop>,
    deadline: Option<Instant>,
}

impl Cancel {
    /// A switch that stops the request by itself at this time.
    pub fn at(deadline: Instant) -> Self {
        Self(Arc::new(Switch {
            stop: OnceLock::new(),
            deadline: Some(deadline),
        }))
    }

    /// Stop the request.
    pub fn cancel(&self) {
        self.cancel_for(Stop::Asked);
    }

    /// Stop the request for this reason; the first reason holds.
    pub fn cancel_for(&self, why: Stop) {
        let first = self.stopped().unwrap_or(why);
        let _ = self.0.stop.set(first);
    }

    /// Why it was stopped, if it was.
    pub fn stopped(&self) -> Option<Stop> {
        let asked = self.0.stop.get().copied();
        asked.or_else(|| (self.time_left()? == Duration::ZERO).then_some(Stop::Expired))
    }

    /// The time until it stops by itself; none if it does not.
    pub fn time_left(&self) -> Option<Duration> {
        let deadline = self.0.deadline?;
        Some(deadline.saturating_duration_since(Instant::now()))
    }

    /// Whether it was stopped.
    pub fn is_canceled(&self) -> bool {
        self.stopped().is_some()
    }

    /// `Ok` until it is stopped.
    ///
    /// # Errors
    /// [`Error::Canceled`] after a stop, whatever its reason.
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
    /// Reading the image and the question.
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
    /// The image that the model looked at afterwards (depth in Spectral colours).
    pub image: Arc<RgbImage>,
    /// Of a depth map the values in [0, 1], 0 near, row-major, of the image's size.
    pub depth: Option<Arc<Vec<f32>>>,
    /// The request's seed.
    pub seed: u64,
    /// Flow steps that were made.
    pub steps: usize,
    /// Of these, the ones that were computed; the step cache forecast the others.
    pub steps_computed: usize,
    /// Which image it has the size of, counted from 0: the last one that was read before it, as upstream.
    pub image_idx: usize,
    /// How long drawing it took.
    pub took: Duration,
}

/// Progress of a running request.
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

/// How a running request is stopped and watched.
pub struct Control<'a> {
    cancel: Cancel,
    listener: Box<dyn FnMut(Progress) + 'a>,
}

/// The same as [`Control::unattended`].
impl Default for Control<'_> {
    fn default() -> Self {
        Self::unattended()
    }
}

impl<'a> Control<'a> {
    /// Stop at `cancel`, and report progress to `listener`.
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
    /// [`Error::Canceled`] after a stop.
    pub fn check(&self) -> Result<()> {
        self.cancel.check()
    }

    /// Report to the listener.
    pub fn report(&mut self, progress: Progress) {
        (self.listener)(progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_holds() {
        let cancel = Cancel::default();
        assert_eq!((cancel.stopped(), cancel.time_left()), (None, None));
        cancel.cancel_for(Stop::Unloaded);
        cancel.cancel();
        assert_eq!(cancel.stopped(), Some(Stop::Unloaded));
    }

    #[test]
    fn a_deadline_stops_by_itself_and_all_clones() {
        let cancel = Cancel::at(Instant::now() + Duration::from_secs(3600));
        assert!(cancel.check().is_ok() && cancel.time_left() > Some(Duration::from_secs(3500)));
        let spent = Cancel::at(Instant::now());
        spent.cancel();
        assert_eq!(spent.clone().stopped(), Some(Stop::Expired));
        assert!(matches!(spent.check(), Err(Error::Canceled)));
    }
}
