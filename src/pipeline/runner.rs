//! One task from images to its result, on the thread that owns the model.

use std::path::Path;
use std::sync::Arc;

use cooper_model::Result;
use cooper_model::engine::{
    Cancel, Control, Engine, Images, MapKind, ModelIdentity, ModelOptions, Speed,
};
use cooper_model::measure::{Measurement, Observation, names_at, observe};
use cooper_model::perception::{DepthMap, Segmentation, estimate_depth, segment};
use cooper_model::reasoning::{PromptedEngine, Prompts, Settings, Transcript, answer};
use image::RgbImage;
use nalgebra::Point2;

use super::cache_test::CacheTest;

/// What the model can be asked for.
#[derive(Clone, Debug)]
pub enum Task {
    /// Answer a question about the frame and those behind it.
    Answer(String),
    /// Ask a typed question.
    Measure(Measurement),
    /// Draw the relative depth map.
    Depth,
    /// Draw the segmentation.
    Segment,
    /// Say what is at these pixels of the frame.
    Name(Vec<Point2<u32>>),
}

/// The result of a task.
#[derive(Clone, Debug)]
pub enum TaskResult {
    /// Of [`Task::Answer`].
    Answer(Transcript),
    /// Of [`Task::Measure`]: what was said and seen, to be compared where metres are known.
    Measured(Box<Observation>),
    /// Of [`Task::Depth`]; the source image's size.
    Depth(DepthMap),
    /// Of [`Task::Segment`]; the source image's size.
    Segmentation(Segmentation),
    /// Of [`Task::Name`]: in the model's words, empty where it has no answer.
    Names(Vec<String>),
}

/// What is loaded, for status displays.
#[derive(Clone, Debug, Default)]
pub struct ModelInfo {
    /// The model directory.
    pub dir: String,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// `f32`, `bf16` or `f16`.
    pub dtype: String,
    /// Bytes of all weights as loaded.
    pub memory_bytes: u64,
    /// Which files it was loaded from.
    pub identity: Arc<ModelIdentity>,
    /// The prompts, as a file of theirs.
    pub prompts: Arc<str>,
    /// What the self-test of the step cache said, where the newest settings have one.
    pub cache_test: Option<CacheTest>,
}

impl ModelInfo {
    /// Why the step cache is not used although the settings have one, if so.
    pub fn cache_remark(&self) -> Option<String> {
        let test = self.cache_test.as_ref()?;
        (!test.has_passed()).then(|| test.to_string())
    }
}

/// Runs tasks: the model, or a stand-in in tests of the worker.
pub trait ModelRunner {
    /// Run a task; only [`Task::Answer`] looks at further images than the first.
    ///
    /// # Errors
    /// [`cooper_model::Error::Canceled`] when `control` was stopped before there was anything to return.
    fn run_task(
        &mut self,
        images: &Images,
        task: &Task,
        settings: &Settings,
        control: &mut Control,
    ) -> Result<TaskResult>;

    /// What is loaded.
    fn info(&self) -> ModelInfo;

    /// How fast it has worked.
    fn speed(&self) -> Speed;
}

/// The model with its prompts.
#[derive(Debug)]
pub struct LoadedModel {
    /// The loaded model.
    pub engine: Engine,
    /// The texts that steer it.
    pub prompts: Prompts,
    info: ModelInfo,
    /// Whether the step cache has to pass its self-test before it is used.
    tests_cache: bool,
}

impl LoadedModel {
    /// Load a model and its prompts (from `prompts_file`, the model directory, or the built-in ones).
    ///
    /// # Errors
    /// See [`Engine::load`] and [`Prompts::load`].
    pub fn load(options: &ModelOptions, prompts_file: Option<&Path>) -> Result<Self> {
        let prompts = Prompts::load(prompts_file, &options.dir)?;
        let engine = Engine::load(options)?;
        let info = ModelInfo {
            dir: engine.dir().display().to_string(),
            device: engine.device_name(),
            dtype: engine.dtype_name(),
            memory_bytes: engine.memory_bytes(),
            identity: Arc::new(ModelIdentity::read(options)?),
            prompts: prompts.to_yaml()?.into(),
            cache_test: None,
        };
        Ok(Self {
            engine,
            prompts,
            info,
            tests_cache: false,
        })
    }

    /// Draw one map with two time points and write one token, so that the first request finds everything in place.
    /// Where `settings` have a step cache, it is tested; from here on, it is used only after it has passed, and tested
    /// again when a request draws otherwise.
    ///
    /// # Errors
    /// [`cooper_model::Error::Canceled`] within one token or one flow step of a stop; otherwise if the network fails.
    pub fn warm_up(&mut self, settings: &Settings, cancel: &Cancel) -> Result<()> {
        self.tests_cache = true;
        let mut settings = self.tested(settings, cancel)?;
        // No step of so few is forecast.
        settings.flow = settings.flow.exact();
        settings.flow.time_points = 2;
        settings.sampling.max_new_tokens = 1;
        settings.max_turns = 1;
        let image = test_image();
        for task in [Task::Depth, Task::Answer("What is near?".into())] {
            let mut control = Control::new(cancel.clone(), |_| {});
            self.run(&(&image).into(), &task, &settings, &mut control)?;
        }
        cancel.check()
    }

    /// `settings`, without the step cache where it has failed its self-test. A request with a deadline does not wait for
    /// the test.
    fn tested(&mut self, settings: &Settings, cancel: &Cancel) -> Result<Settings> {
        let mut settings = settings.clone();
        if !self.tests_cache {
            return Ok(settings);
        }
        let is_cached = settings.flow.cache_threshold > 0.0;
        let known = self.info.cache_test.take();
        let known = known.filter(|test| test.is_of(&settings.flow));
        let test = match known {
            None if is_cached && cancel.time_left().is_none() => {
                let request = self.model().map_request(MapKind::Depth, &settings);
                Some(CacheTest::run(
                    &self.engine,
                    &request,
                    &test_image(),
                    cancel,
                )?)
            }
            known => known,
        };
        if !test.as_ref().is_some_and(CacheTest::has_passed) {
            settings.flow = settings.flow.exact();
        }
        self.info.cache_test = test;
        Ok(settings)
    }

    fn run(
        &self,
        images: &Images,
        task: &Task,
        settings: &Settings,
        control: &mut Control,
    ) -> Result<TaskResult> {
        let (model, image) = (self.model(), images.first());
        match task {
            Task::Answer(question) => {
                let images = images.clone();
                answer(model, images, question, settings, control).map(TaskResult::Answer)
            }
            Task::Measure(measurement) => {
                let observation = observe(model, image, measurement, settings, control);
                observation.map(|observation| TaskResult::Measured(Box::new(observation)))
            }
            Task::Depth => {
                let request = model.map_request(MapKind::Depth, settings);
                estimate_depth(model.engine, &request, image, control).map(TaskResult::Depth)
            }
            Task::Segment => {
                let request = model.map_request(MapKind::Segmentation, settings);
                segment(model.engine, &request, image, control).map(TaskResult::Segmentation)
            }
            Task::Name(places) => {
                names_at(model, image, places, settings, control).map(TaskResult::Names)
            }
        }
    }

    fn model(&self) -> PromptedEngine<'_> {
        PromptedEngine {
            engine: &self.engine,
            prompts: &self.prompts,
        }
    }
}

/// What the warm-up and the step cache's test look at.
fn test_image() -> RgbImage {
    RgbImage::from_fn(64, 48, |x, y| image::Rgb([x as u8 * 4, y as u8 * 5, 128]))
}

impl ModelRunner for LoadedModel {
    fn run_task(
        &mut self,
        images: &Images,
        task: &Task,
        settings: &Settings,
        control: &mut Control,
    ) -> Result<TaskResult> {
        let settings = self.tested(settings, control.cancel())?;
        self.run(images, task, &settings, control)
    }

    fn info(&self) -> ModelInfo {
        self.info.clone()
    }

    fn speed(&self) -> Speed {
        self.engine.speed()
    }
}
