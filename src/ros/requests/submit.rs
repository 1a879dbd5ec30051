//! Requests on their way to the model.

use std::sync::Arc;

use cooper_model::engine::Cancel;
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::Interface;
use cooper_perception::pipeline::{Event, Frame, FrameSource, Priority, Request, Settings, Task};
use r2r::cooper_perception::msg::Answer;
use r2r::sensor_msgs::msg::Image;
use tokio::sync::mpsc::UnboundedReceiver;

use super::answer::PendingQuestion;
use super::fields::{ClientRequest, read_question, resolve, resolve_seed};
use crate::shared::Shared;
use crate::{codes, convert};

/// The most images of one question.
const MAX_IMAGES: usize = 8;

/// Who makes a request, as far as ROS says: a service call does not name its caller, so all callers of one interface for
/// one camera (or, with images of their own, for one frame id) are one client.
#[derive(Clone, Copy)]
pub struct Caller {
    interface: &'static str,
    priority: Priority,
}

impl Caller {
    /// Continuous maps.
    pub const MAPS: Self = Self {
        interface: "maps",
        priority: Priority::Background,
    };

    /// A client of a service or of the action.
    pub const fn client(interface: &Interface) -> Self {
        Self {
            interface: interface.name,
            priority: Priority::Query,
        }
    }
}

/// A question in the model's queue.
pub struct Accepted {
    /// Its events.
    pub events: UnboundedReceiver<Event>,
    /// The question.
    pub question: PendingQuestion,
}

impl Shared {
    /// The source of a request's image: its own image, else a camera's newest frame at the time of execution.
    ///
    /// # Errors
    /// [`Error::InvalidInput`], [`Error::UnknownCamera`] or [`Error::NoImage`].
    pub fn frame_source(&self, camera: &str, image: &Image) -> Result<FrameSource> {
        if image.width > 0 {
            let header = convert::frame_header(&image.header);
            let frame = Frame::new("", header, convert::rgb_from_image(image)?);
            return Ok(FrameSource::Pinned(Arc::new(frame)));
        }
        let camera = self.camera(camera)?;
        camera.check()?;
        Ok(FrameSource::Latest(camera.clone()))
    }

    /// The source of all images of a question.
    ///
    /// # Errors
    /// As [`Shared::frame_source`]; [`Error::InvalidInput`] for too many images.
    fn frame_sources(&self, request: &ClientRequest) -> Result<FrameSource> {
        let first = self.frame_source(&request.camera, &request.image)?;
        let (cameras, images) = (&request.further_cameras, &request.further_images);
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

    /// The parameters of this moment, with a request's seed unless it is -1.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for other negative seeds.
    pub fn settings_with_seed(&self, seed: i64) -> Result<Settings> {
        let parameters = self.parameters.settings()?;
        Ok(Settings {
            seed: resolve_seed(seed, parameters.seed)?,
            ..parameters
        })
    }

    /// Put a task into the model's queue.
    ///
    /// # Errors
    /// [`Error::NotReady`] or [`Error::Busy`].
    pub fn submit(
        &self,
        caller: Caller,
        frame: FrameSource,
        task: Task,
        settings: Settings,
        cancel: Cancel,
    ) -> Result<UnboundedReceiver<Event>> {
        self.worker.submit(Request {
            client: format!("{} {}", caller.interface, frame.origin()),
            frame,
            task,
            settings,
            priority: caller.priority,
            cancel,
        })
    }

    /// Put a question into the model's queue, as the task that `task` makes of it.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for invalid fields, else as [`Shared::frame_source`] and [`Shared::submit`].
    pub fn ask(
        &self,
        caller: Caller,
        request: ClientRequest,
        task: impl FnOnce(String) -> Task,
        cancel: Cancel,
    ) -> Result<Accepted> {
        let question = read_question(&request)?;
        let settings = resolve(&request, self.parameters.settings()?)?;
        let mut answer = unanswered(&request, &settings);
        if request.image.width == 0 {
            answer.camera = self.camera(&request.camera)?.config.name.clone();
        }
        let pending = PendingQuestion {
            answer,
            question: question.clone(),
            settings: settings.clone(),
            received: request.received,
        };
        let frame = self.frame_sources(&request)?;
        let events = self.submit(caller, frame, task(question), settings, cancel)?;
        Ok(Accepted {
            events,
            question: pending,
        })
    }
}

/// The fields of an answer that the request determines.
fn unanswered(request: &ClientRequest, settings: &Settings) -> Answer {
    Answer {
        question: request.question.clone(),
        mode: codes::mode_number(settings.mode),
        seed: codes::seed_number(settings.seed),
        ..Answer::default()
    }
}
