//! What services, the action and the continuous maps have in common: from a request's fields to the model and back.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use cooper_imaging::FrameHeader;
use cooper_model::engine::Cancel;
use cooper_model::reasoning::{Question, Transcript};
use cooper_model::{Error, Result};
use cooper_perception::config::MAX_TURNS;
use cooper_perception::config::interfaces::Interface;
use cooper_perception::pipeline::{
    Event, Frame, FrameSource, Priority, Request, Settings, Task, TaskResult, Worker,
};
use cooper_perception::trace::Recorder;
use r2r::Publisher;
use r2r::cooper_perception::msg::Answer;
use r2r::sensor_msgs::msg::Image;
use tokio::sync::mpsc::UnboundedReceiver;

use super::cameras::Camera;
use super::clock::Clock;
use super::conclusion::{Asked, Ending};
use super::markers::Markers;
use super::params::Parameters;
use super::{codes, convert};

/// The most images of one question.
const MAX_IMAGES: usize = 8;

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
    /// Where their traces are written.
    pub recorder: Recorder,
}

/// Who asks, as far as ROS tells: a call carries no name of its caller, so those that use one interface for images of
/// one camera (or, with an image of their own, of one frame) are one client.
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
pub struct ClientRequest {
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
    /// Cameras whose images are read behind the first one.
    pub further_cameras: Vec<String>,
    /// Images that are read behind those.
    pub further_images: Vec<Image>,
}

/// A question that the model has accepted.
pub struct Accepted {
    /// Its news.
    pub events: UnboundedReceiver<Event>,
    /// What was asked.
    pub asked: Asked,
}

/// How a request ended.
pub struct Finished {
    /// What was worked on, and when.
    pub ending: Ending,
    /// What came of it.
    pub result: Result<TaskResult>,
}

impl Finished {
    /// A request that did not get so far as to be handed to the model.
    pub fn refused(error: Error) -> Self {
        Self {
            ending: Ending::default(),
            result: Err(error),
        }
    }

    /// See [`Ending::header`].
    pub fn header(&self) -> FrameHeader {
        self.ending.header()
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

    /// Where a request's image comes from: its own image, else the newest frame of a camera when the work begins.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], [`Error::UnknownCamera`] or [`Error::NoImage`].
    pub fn frame_source(&self, camera: &str, image: &Image) -> Result<FrameSource> {
        if image.width > 0 {
            let header = convert::header_of(&image.header);
            let frame = Frame::new("", header, convert::rgb_from_image(image)?);
            return Ok(FrameSource::Pinned(Arc::new(frame)));
        }
        let camera = self.camera(camera)?;
        camera.check()?;
        Ok(FrameSource::Latest(camera.clone()))
    }

    /// Where all images of a question come from.
    ///
    /// # Errors
    /// As [`Core::frame_source`]; [`Error::InvalidInput`] for too many.
    fn frame_sources(&self, inquiry: &ClientRequest) -> Result<FrameSource> {
        let first = self.frame_source(&inquiry.camera, &inquiry.image)?;
        let (cameras, images) = (&inquiry.further_cameras, &inquiry.further_images);
        let n_images = 1 + cameras.len() + images.len();
        if n_images > MAX_IMAGES {
            let why = format!("expected at most {MAX_IMAGES} in all, got {n_images}");
            return Err(Error::invalid("images", why));
        }
        let mut further = Vec::new();
        for camera in cameras {
            further.push(self.frame_source(camera, &Image::default())?);
        }
        for (n, image) in images.iter().enumerate() {
            if image.width == 0 {
                let why = "expected an image, got one of width 0";
                return Err(Error::invalid(format!("further_images[{n}]"), why));
            }
            further.push(self.frame_source("", image)?);
        }
        Ok(match further.is_empty() {
            true => first,
            false => FrameSource::Several(first.into(), further),
        })
    }

    /// Hand work to the model, to be done as the parameters of this moment say.
    ///
    /// # Errors
    /// [`Error::NotReady`] or [`Error::Busy`].
    pub fn submit(
        &self,
        caller: Caller,
        frame: FrameSource,
        work: Task,
        cancel: Cancel,
    ) -> Result<UnboundedReceiver<Event>> {
        let settings = self.parameters.settings()?;
        self.worker.submit(Request {
            client: format!("{} {}", caller.interface, frame.origin()),
            frame,
            task: work,
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
        inquiry: ClientRequest,
        work: impl FnOnce(Question) -> Task,
        cancel: Cancel,
    ) -> Result<Accepted> {
        let settings = self.parameters.settings()?;
        let question = question_of(&inquiry)?;
        let mut answer = announced(&inquiry, &question, &settings);
        if inquiry.image.width == 0 {
            answer.camera = self.camera(&inquiry.camera)?.config.name.clone();
        }
        let asked = Asked {
            answer,
            question: question.clone(),
            settings,
            since: Instant::now(),
        };
        let frame = self.frame_sources(&inquiry)?;
        let events = self.submit(caller, frame, work(question), cancel)?;
        Ok(Accepted { events, asked })
    }
}

fn question_of(inquiry: &ClientRequest) -> Result<Question> {
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

fn announced(inquiry: &ClientRequest, question: &Question, settings: &Settings) -> Answer {
    Answer {
        question: inquiry.question.clone(),
        mode: codes::mode_number(question.mode.unwrap_or(settings.mode)),
        seed: i64::try_from(question.seed.unwrap_or(settings.seed)).unwrap_or(i64::MAX),
        ..Answer::default()
    }
}

/// Wait for the end of a request.
pub async fn finished(mut events: UnboundedReceiver<Event>) -> Finished {
    let mut ending = Ending::default();
    while let Some(event) = events.recv().await {
        match event {
            Event::Started(begun, waited) => {
                let frame = Some(begun);
                ending = Ending { frame, waited };
            }
            Event::Done(result) => return Finished { ending, result },
            Event::Position(_) | Event::Progress(_) => {}
        }
    }
    let result = Err(lost());
    Finished { ending, result }
}

/// What a request ends with when its end was never told.
pub fn lost() -> Error {
    Error::Internal("the model thread ended before the request did".into())
}

/// The transcript of a question's outcome.
///
/// # Errors
/// The question's own error, or [`Error::Internal`] for an outcome of another kind.
pub fn transcript_of(result: Result<TaskResult>) -> Result<Transcript> {
    match result? {
        TaskResult::Answer(transcript) => Ok(transcript),
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

    fn inquiry(question: &str, mode: u8, seed: i64) -> ClientRequest {
        ClientRequest {
            question: question.into(),
            camera: String::new(),
            image: Image::default(),
            mode,
            seed,
            max_turns: 0,
            further_cameras: Vec::new(),
            further_images: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_name() {
        for (wrong, word) in [
            (inquiry(" ", 0, -1), "question"),
            (inquiry("a", 9, -1), "mode"),
            (inquiry("a", 0, -2), "seed"),
            (
                ClientRequest {
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
