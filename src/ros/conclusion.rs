//! The end of a question, whichever way it was asked: its answer is published, and its trace is handed on.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use cooper_imaging::FrameHeader;
use cooper_model::Error;
use cooper_model::reasoning::{Question, Transcript};
use cooper_perception::pipeline::{Frame, Settings};
use cooper_perception::trace::Query;
use r2r::cooper_perception::msg::Answer;

use super::requests::Core;
use super::{codes, convert, results};

/// What is known of a question before it is answered.
pub struct Asked {
    /// What of [`Answer`] is known by now.
    pub answer: Answer,
    /// As put to the model.
    pub question: Question,
    /// How it was to be answered.
    pub settings: Settings,
    /// When it was accepted.
    pub since: Instant,
}

/// What was worked on, and when.
#[derive(Default)]
pub struct Ending {
    /// The frame that was worked on, if the work began.
    pub frame: Option<Arc<Frame>>,
    /// How long it waited for its turn.
    pub waited: Duration,
}

impl Ending {
    /// The header of the frame; zero if there was none.
    pub fn header(&self) -> FrameHeader {
        let frame = self.frame.as_ref();
        frame.map_or_else(FrameHeader::default, |frame| frame.header.clone())
    }
}

impl Core {
    /// Publish a finished question on the answer topic, hand its trace on, and return what was published.
    pub fn conclude(
        &self,
        asked: Asked,
        ending: &Ending,
        status: u8,
        outcome: std::result::Result<&Transcript, &Error>,
    ) -> Answer {
        let transcript = outcome.ok();
        let header = ending.header();
        let mut answer = asked.answer;
        answer.header = convert::std_header(&header);
        answer.status = status;
        answer.timings = results::timings(transcript, ending.waited, asked.since.elapsed());
        if let Some(frame) = &ending.frame {
            answer.pictures = frame.all().map(results::source_image).collect();
            answer.evidence = results::evidence(transcript, frame, false);
        }
        if let Some(transcript) = transcript {
            answer.answer = convert::message_text(&transcript.answer);
            answer.text = convert::message_text(transcript.text());
        }
        self.markers.show_answer(&answer);
        let publisher = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = publisher.publish(&answer) {
            tracing::warn!("an answer could not be published: {error}");
        }
        drop(publisher);
        if let (Some(frame), true) = (&ending.frame, self.recorder.is_on()) {
            self.recorder.record(Query {
                frame: frame.clone(),
                question: asked.question,
                settings: asked.settings,
                model: self.worker.status().model,
                ended: codes::ended(status),
                error: outcome.err().map(Error::to_string),
                transcript: transcript.cloned(),
                queued: ending.waited,
            });
        }
        answer
    }
}
