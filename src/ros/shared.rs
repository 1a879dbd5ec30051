//! What all tasks of the node share.

use std::sync::{Arc, Mutex};

use cooper_model::{Error, Result};
use cooper_perception::pipeline::Worker;
use cooper_perception::trace::Recorder;
use r2r::Publisher;
use r2r::cooper_perception::msg::Answer;

use crate::camera::Camera;
use crate::clock::Clock;
use crate::markers::Markers;
use crate::params::Parameters;

/// The model, the cameras, the parameters and the topics that every request may need.
pub struct Shared {
    /// The model's thread.
    pub worker: Worker,
    /// The node's parameters.
    pub parameters: Parameters,
    /// The cameras; never empty.
    pub cameras: Vec<Arc<Camera>>,
    /// The node's clock.
    pub clock: Clock,
    /// The topic of finished questions.
    pub answers: Mutex<Publisher<Answer>>,
    /// The topic of regions and answers in 3D.
    pub markers: Markers,
    /// The writer of traces.
    pub recorder: Recorder,
}

impl Shared {
    /// The camera of that name; the first one for an empty name.
    ///
    /// # Errors
    /// [`Error::UnknownCamera`] with the known names.
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
}
