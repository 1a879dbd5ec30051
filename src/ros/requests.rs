//! What services, the action and the continuous maps have in common: from a request's fields to the model and back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use r2r::Publisher;
use r2r::cooper_perception::msg::Answer;
use r2r::sensor_msgs::msg::Image;
use tokio::sync::mpsc::UnboundedReceiver;

use super::cameras::Camera;
use super::clock::Clock;
use super::codes;
use super::convert;
use super::markers::Markers;
use super::params::Parameters;
use crate::config::MAX_TURNS;
use crate::config::interfaces::Interface;
use crate::engine::Cancel;
use crate::error::{Error, Result};
use crate::pipeline::Event;
use crate::pipeline::Frame;
use crate::pipeline::FrameHeader;
use crate::pipeline::FrameSource;
use crate::pipeline::Outcome;
use crate::pipeline::Priority;
use crate::pipeline::Request;
use crate::pipeline::Settings;
use crate::pipeline::Work;
use crate::pipeline::Worker;
use crate::reasoning::Question;
use crate::reasoning::Transcript;

/// What all tasks of the node share.
pub struct Core {
    /// The model.
    pub worker: Worker,
    /// How it works.
    pub parameters: Parameters,
    /// What the node sees; never empty.
    pub cameras: Vec<Arc<Camera>>,
    /// The node's clock.
    pub clock: Clock,
    /// Where finished questions are published.
    pub answers: Mutex<Publisher<Answer>>,
    /// Where rviz is shown regions and answers.
    pub markers: Markers,
}

/// Who asks, as far as ROS tells: a call carries no name of its caller, so those that use one interface for pictures of
/// one camera (or, with a picture of their own, of one frame) are one client.
#[derive(Clone, Copy)]
pub struct Caller {
    interface: &'static str,
    /// Whether somebody waits.
    pub priority: Priority,
}

impl Caller {
    /// Continuous maps.
    pub const MAPS: Self = Self {
        interface: "maps",
        priority: Priority::Background,
    };

    /// Who calls a service or sends a goal.
    pub const fn of(interface: &Interface) -> Self {
        Self {
            interface: interface.name,
            priority: Priority::Query,
        }
    }
}

/// A question as a request's fields say it.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// Plain words.
    pub question: String,
    /// A camera's name; empty: the first one.
    pub camera: String,
    /// Used in place of the camera when its width is not 0.
    pub image: Image,
    /// 0: as configured.
    pub mode: u8,
    /// -1: as configured.
    pub seed: i64,
    /// 0: as configured.
    pub max_turns: u16,
}

/// A question that the model has accepted.
pub struct Accepted {
    /// Its news.
    pub events: UnboundedReceiver<Event>,
    /// What of [`Answer`] is known by now.
    pub answer: Answer,
}

/// How a request ended.
pub struct Finished {
    /// The frame that was worked on, if the work began.
    pub frame: Option<Arc<Frame>>,
    /// How long it waited for its turn.
    pub waited: Duration,
    /// What came of it.
    pub result: Result<Outcome>,
}

impl Finished {
    /// A request that did not get so far as to be handed to the model.
    pub fn refused(error: Error) -> Self {
        Self {
            frame: None,
            waited: Duration::ZERO,
            result: Err(error),
        }
    }

    /// The header of the frame; zero if there was none.
    pub fn header(&self) -> FrameHeader {
        self.frame
            .as_ref()
            .map(|frame| frame.header.clone())
            .unwrap_or_default()
    }
}

impl Core {
    /// The camera of that name; the first one for an empty name.
    ///
    /// # Errors
    /// [`Error::UnknownCamera`] with the names that there are.
    pub fn camera(&self, name: &str) -> Result<&Arc<Camera>> {
        let is_meant = |camera: &&Arc<Camera>| name.is_empty() || camera.config.name == name;
        self.cameras.iter().find(is_meant).ok_or_else(|| {
            let known: Vec<_> = self
                .cameras
                .iter()
                .map(|camera| camera.config.name.as_str())
                .collect();
            Error::UnknownCamera {
                camera: name.into(),
                known: known.join(", "),
            }
        })
    }

    /// Where a request's picture comes from: its own image, else the newest frame of a camera when the work begins.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], [`Error::UnknownCamera`] or [`Error::NoImage`].
    pub fn frame_source(&self, camera: &str, image: &Image) -> Result<FrameSource> {
        if image.width > 0 {
            let frame = Frame {
                camera: String::new(),
                header: convert::header_of(&image.header),
                image: convert::rgb_from_image(image)?,
            };
            return Ok(FrameSource::Pinned(Arc::new(frame)));
        }
        let camera = self.camera(camera)?;
        camera.check()?;
        Ok(FrameSource::Latest(camera.clone()))
    }

    /// Hand work to the model, to be done as the parameters of this moment say.
    ///
    /// # Errors
    /// [`Error::NotReady`] or [`Error::Busy`].
    pub fn submit(
        &self,
        caller: Caller,
        frame: FrameSource,
        work: Work,
        cancel: Cancel,
    ) -> Result<UnboundedReceiver<Event>> {
        let settings = self.parameters.settings()?;
        self.worker.submit(Request {
            client: format!("{} {}", caller.interface, frame.origin()),
            frame,
            work,
            settings,
            priority: caller.priority,
            cancel,
        })
    }

    /// Hand a question to the model, as `work` wants it answered.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for what cannot be asked, else as [`Core::frame_source`] and [`Core::submit`].
    pub fn ask(
        &self,
        caller: Caller,
        inquiry: Inquiry,
        work: impl FnOnce(Question) -> Work,
        cancel: Cancel,
    ) -> Result<Accepted> {
        let settings = self.parameters.settings()?;
        let question = question_of(&inquiry)?;
        let answer = announced(&inquiry, &question, &settings);
        let frame = self.frame_source(&inquiry.camera, &inquiry.image)?;
        let answer = match &frame {
            FrameSource::Pinned(_) => answer,
            FrameSource::Latest(_) => {
                let camera = self.camera(&inquiry.camera)?.config.name.clone();
                Answer { camera, ..answer }
            }
        };
        let events = self.submit(caller, frame, work(question), cancel)?;
        Ok(Accepted { events, answer })
    }

    /// Publish a finished question on the answer topic.
    pub fn publish_answer(
        &self,
        mut answer: Answer,
        header: &FrameHeader,
        status: u8,
        transcript: Option<&Transcript>,
    ) {
        answer.header = convert::std_header(header);
        answer.status = status;
        if let Some(transcript) = transcript {
            answer.answer = convert::message_text(&transcript.answer);
            answer.text = convert::message_text(transcript.text());
        }
        self.markers.show_answer(&answer);
        let publisher = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = publisher.publish(&answer) {
            tracing::warn!("an answer could not be published: {error}");
        }
    }
}

fn question_of(inquiry: &Inquiry) -> Result<Question> {
    let text = inquiry.question.trim();
    if text.is_empty() {
        return Err(Error::invalid(
            "question",
            "it is empty; expected plain words",
        ));
    }
    Ok(Question {
        text: text.into(),
        mode: codes::mode_of_request(inquiry.mode)?,
        seed: seed_of(inquiry.seed)?,
        max_turns: max_turns_of(inquiry.max_turns)?,
    })
}

/// Read a request's seed: -1 leaves it to the parameter.
///
/// # Errors
/// [`Error::InvalidInput`] for other negative numbers.
pub fn seed_of(seed: i64) -> Result<Option<u64>> {
    match u64::try_from(seed) {
        Ok(seed) => Ok(Some(seed)),
        Err(_) if seed == -1 => Ok(None),
        Err(_) => Err(Error::invalid(
            "seed",
            format!("expected -1 or more, got {seed}"),
        )),
    }
}

/// Read a request's limit of turns: 0 leaves it to the parameter, whose bound holds here too.
fn max_turns_of(max_turns: u16) -> Result<Option<usize>> {
    if max_turns > MAX_TURNS {
        let why = format!("expected 0 to {MAX_TURNS}, got {max_turns}");
        return Err(Error::invalid("max_turns", why));
    }
    Ok((max_turns > 0).then_some(usize::from(max_turns)))
}

fn announced(inquiry: &Inquiry, question: &Question, settings: &Settings) -> Answer {
    Answer {
        question: inquiry.question.clone(),
        mode: codes::mode_number(question.mode.unwrap_or(settings.mode)),
        seed: i64::try_from(question.seed.unwrap_or(settings.seed)).unwrap_or(i64::MAX),
        ..Answer::default()
    }
}

/// Wait for the end of a request.
pub async fn finished(mut events: UnboundedReceiver<Event>) -> Finished {
    let (mut frame, mut waited) = (None, Duration::ZERO);
    while let Some(event) = events.recv().await {
        match event {
            Event::Started(begun, queued) => (frame, waited) = (Some(begun), queued),
            Event::Done(result) => {
                return Finished {
                    frame,
                    waited,
                    result,
                };
            }
            Event::Position(_) | Event::Progress(_) => {}
        }
    }
    let result = Err(lost());
    Finished {
        frame,
        waited,
        result,
    }
}

/// What a request ends with when its end was never told.
pub fn lost() -> Error {
    Error::Internal("the model thread ended before the request did".into())
}

/// The transcript of a question's outcome.
///
/// # Errors
/// The question's own error, or [`Error::Internal`] for an outcome of another kind.
pub fn transcript_of(result: Result<Outcome>) -> Result<Transcript> {
    match result? {
        Outcome::Answer(transcript) => Ok(transcript),
        _ => Err(wrong_outcome()),
    }
}

/// The error for an outcome of another kind than was asked for.
pub fn wrong_outcome() -> Error {
    Error::Internal("the model returned another kind of result than was asked for".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inquiry(question: &str, mode: u8, seed: i64) -> Inquiry {
        Inquiry {
            question: question.into(),
            camera: String::new(),
            image: Image::default(),
            mode,
            seed,
            max_turns: 0,
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (wrong, word) in [
            (inquiry(" ", 0, -1), "question"),
            (inquiry("a", 9, -1), "mode"),
            (inquiry("a", 0, -2), "seed"),
            (
                Inquiry {
                    max_turns: 101,
                    ..inquiry("a", 0, -1)
                },
                "max_turns: expected 0 to 100, got 101",
            ),
        ] {
            let told = question_of(&wrong).unwrap_err().to_string();
            assert!(told.starts_with(word), "{told}");
        }
        let question = question_of(&inquiry(" Where? ", 0, -1)).unwrap();
        assert_eq!(
            (
                question.text.as_str(),
                question.mode,
                question.seed,
                question.max_turns
            ),
            ("Where?", None, None, None)
        );
    }
}
