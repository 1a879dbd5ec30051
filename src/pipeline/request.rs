//! What is handed to the model's thread, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::Result;
use cooper_model::engine::{Cancel, Progress};
use cooper_model::reasoning::Settings;

use super::frame::{Frame, LatestFrame};
use super::runner::{Task, TaskResult};

/// Who waits for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the reply: clients take turns.
    Query,
    /// A continuous map: runs when nobody waits, is canceled when somebody comes.
    Background,
}

/// Which frame a request works on.
#[derive(Clone, Debug)]
pub enum FrameSource {
    /// The frame of the moment when the request was accepted.
    Pinned(Arc<Frame>),
    /// The newest frame of the moment when the work begins.
    Latest(Arc<dyn LatestFrame>),
    /// The first one, and further ones behind it.
    Several(Box<FrameSource>, Vec<FrameSource>),
}

impl FrameSource {
    /// Where the image comes from: a camera's name; for an image without a camera, the frame of its header.
    pub fn origin(&self) -> &str {
        match self {
            Self::Pinned(frame) if frame.camera.is_empty() => &frame.header.frame_id,
            Self::Pinned(frame) => &frame.camera,
            Self::Latest(camera) => camera.name(),
            Self::Several(first, _) => first.origin(),
        }
    }

    /// The frame to work on now.
    ///
    /// # Errors
    /// See [`LatestFrame::latest`].
    pub(super) fn frame(&self) -> Result<Arc<Frame>> {
        match self {
            Self::Pinned(frame) => Ok(frame.clone()),
            Self::Latest(camera) => camera.latest(),
            Self::Several(first, further) => {
                let frame = Frame::clone(&*first.frame()?);
                let further = further.iter().map(Self::frame).collect::<Result<_>>()?;
                Ok(Arc::new(Frame { further, ..frame }))
            }
        }
    }
}

/// One thing to do.
#[derive(Debug)]
pub struct Request {
    /// Who asks: requests of one client wait for each other, clients take turns.
    pub client: String,
    /// The frame to work on.
    pub frame: FrameSource,
    /// What to do.
    pub work: Task,
    /// How to do it.
    pub settings: Settings,
    /// Query or background.
    pub priority: Priority,
    /// Stops it, waiting or running.
    pub cancel: Cancel,
}

/// News of a request, in this order: positions, start, progress, one end.
#[derive(Debug)]
pub enum Event {
    /// How many requests go before this one, the running one included. It grows when another client's turn comes first.
    Position(usize),
    /// The model works on this frame now, after so long in the queue.
    Started(Arc<Frame>, Duration),
    /// See [`Progress`].
    Progress(Progress),
    /// The end; nothing follows.
    Done(Result<TaskResult>),
}
