//! A model that draws the images of a data set, one by one.

use cooper_model::Result;
use cooper_model::engine::Cancel;
use cooper_perception::pipeline::{LoadedModel, ModelRunner, Settings, Task, TaskResult};
use image::RgbImage;

use super::super::batch;
use super::super::model::ModelArgs;

/// The model with its settings.
pub(super) struct Artist {
    pub model: LoadedModel,
    pub settings: Settings,
    pub cancel: Cancel,
}

impl Artist {
    /// Load the model; `Ctrl-C` stops it from here on.
    pub(super) fn new(args: &ModelArgs) -> Result<Self> {
        Ok(Self {
            model: args.load()?,
            settings: args.settings()?,
            cancel: batch::stop_on_interrupt()?,
        })
    }

    /// Draw sample `i`; each has a seed of its own, the same whatever was drawn before.
    pub(super) fn draw(&mut self, image: &RgbImage, i: usize, task: &Task) -> Result<TaskResult> {
        let settings = Settings {
            seed: self.settings.seed.wrapping_add(i as u64),
            ..self.settings.clone()
        };
        let mut control = batch::control(&self.cancel);
        self.model
            .run_task(&image.into(), task, &settings, &mut control)
    }
}
