//! The end of a request.

use std::sync::Arc;
use std::time::Duration;

use cooper_imaging::FrameHeader;
use cooper_model::reasoning::Transcript;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{Event, Frame, TaskResult};
use tokio::sync::mpsc::UnboundedReceiver;

/// What a request was executed on.
#[derive(Default)]
pub struct Execution {
    /// The frame; none if the work never began.
    pub frame: Option<Arc<Frame>>,
    /// The time in the queue.
    pub queued: Duration,
}

impl Execution {
    /// The header of the frame; zero if there was none.
    pub fn header(&self) -> FrameHeader {
        let frame = self.frame.as_ref();
        frame.map_or_else(FrameHeader::default, |frame| frame.header.clone())
    }
}

/// A completed request.
pub struct Completed {
    /// What it was executed on.
    pub execution: Execution,
    /// Its result.
    pub result: Result<TaskResult>,
}

impl Completed {
    /// A request that failed without execution.
    pub fn failed(error: Error) -> Self {
        Self {
            execution: Execution::default(),
            result: Err(error),
        }
    }

    /// See [`Execution::header`].
    pub fn header(&self) -> FrameHeader {
        self.execution.header()
    }

    /// The frame and the result.
    ///
    /// # Errors
    /// The request's own error.
    pub fn into_parts(self) -> Result<(Arc<Frame>, TaskResult)> {
        let result = self.result?;
        Ok((self.execution.frame.ok_or_else(lost)?, result))
    }
}

/// Wait for the end of a request.
pub async fn completion(mut events: UnboundedReceiver<Event>) -> Completed {
    let mut execution = Execution::default();
    while let Some(event) = events.recv().await {
        match event {
            Event::Started(frame, queued) => {
                let frame = Some(frame);
                execution = Execution { frame, queued };
            }
            Event::Done(result) => return Completed { execution, result },
            Event::Position(_) | Event::Progress(_) => {}
        }
    }
    let result = Err(lost());
    Completed { execution, result }
}

/// The error of a request whose end was never reported.
pub fn lost() -> Error {
    Error::Internal("the model thread ended before the request did".into())
}

/// The transcript of a question's result.
///
/// # Errors
/// The question's own error, or [`wrong_result`].
pub fn into_transcript(result: Result<TaskResult>) -> Result<Transcript> {
    match result? {
        TaskResult::Answer(transcript) => Ok(transcript),
        _ => Err(wrong_result()),
    }
}

/// The error for a result of another kind than requested.
pub fn wrong_result() -> Error {
    Error::Internal("the model returned another kind of result than requested".into())
}
