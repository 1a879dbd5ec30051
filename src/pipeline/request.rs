//! Requests to the model's thread, and the events that come back.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::Result;
use cooper_model::engine::{Cancel, Progress};
use cooper_model::reasoning::Settings;

use super::frame::{Frame, LatestFrame};
use super::runner::{Task, TaskResult};

/// Which requests go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for the reply: clients take turns.
    Query,
    /// A continuous map: runs when no query waits, is canceled when one comes.
    Background,
}

/// Which frame a request works on.
#[derive(Clone, Debug)]
pub enum FrameSource {
    /// This frame.
    Pinned(Arc<Frame>),
    /// The newest frame of the moment when the work begins.
    Latest(Arc<dyn LatestFrame>),
    /// A first frame and further ones behind it.
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

/// A task, its frame and its settings.
#[derive(Debug)]
pub struct Request {
    /// Who asks. Requests of one client run in order; clients take turns.
    pub client: String,
    /// The frame to work on.
    pub frame: FrameSource,
    /// What to do.
    pub task: Task,
    /// How maps are drawn and text is generated.
    pub settings: Settings,
    /// Query or background.
    pub priority: Priority,
    /// Stops the request, waiting or running.
    pub cancel: Cancel,
}

/// What happens to a request, in this order: positions, start, progress, end.
#[derive(Debug)]
pub enum Event {
    /// How many requests go before this one, the running one included. It grows when another client's turn comes first.
    Position(usize),
    /// The model begins to work on this frame, after this time in the queue.
    Started(Arc<Frame>, Duration),
    /// See [`Progress`].
    Progress(Progress),
    /// The end; nothing follows.
    Done(Result<TaskResult>),
}
