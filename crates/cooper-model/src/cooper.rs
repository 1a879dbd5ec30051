//! The model with all that a program needs to ask it: the front door of this crate.

use std::path::Path;

use image::RgbImage;

use crate::engine::{Control, Engine, FlowParams, MapKind, ModelOptions};
use crate::error::Result;
use crate::perception::{DepthMap, Segmentation, estimate_depth, segment};
use crate::reasoning::{PromptedEngine, Prompts, Settings, Transcript, answer};

/// A loaded model with its prompts and settings.
///
/// Every result is a function of the image, the question and [`Cooper::settings`], which hold the seed: the same input
/// gives the same result on the same device. Calls block until they are done. For streamed text, progress, stops and
/// time budgets call [`crate::reasoning::answer`] with [`Cooper::model`] and a [`Control`] of your own:
///
/// ```
/// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
/// use std::time::{Duration, Instant};
///
/// use cooper_model::{Cooper, image};
/// use cooper_model::engine::{Cancel, Control, Progress};
/// use cooper_model::reasoning::{Mode, Settings, answer};
///
/// let cooper = Cooper::open(dir.as_ref())?;
/// let image = image::RgbImage::from_pixel(128, 96, image::Rgb([90, 90, 90]));
/// let settings = Settings {
///     mode: Mode::Text,
///     seed: 7,
///     ..cooper.settings.clone()
/// };
/// let deadline = Instant::now() + Duration::from_secs(30);
/// let mut control = Control::new(Cancel::at(deadline), |progress| {
///     if let Progress::Text(delta) = progress {
///         print!("{delta}");
///     }
/// });
/// let transcript = answer(cooper.model(), &image, "How many boxes?", &settings, &mut control)?;
/// assert!(!transcript.turns.is_empty());
/// # Ok::<(), cooper_model::Error>(())
/// ```
#[derive(Debug)]
pub struct Cooper {
    /// The network with its tokenizer and prefix cache.
    pub engine: Engine,
    /// System prompts and instructions.
    pub prompts: Prompts,
    /// How questions are answered and maps are drawn. Change them between calls.
    pub settings: Settings,
}

/// Read a PNG or JPEG file as RGB; transparency is laid over white.
///
/// # Errors
/// [`crate::Error::Io`] if it cannot be read, [`crate::Error::InvalidInput`] if it is no image or too large.
pub fn load_rgb(path: &Path) -> Result<RgbImage> {
    Ok(cooper_imaging::load_rgb(path)?)
}

impl Cooper {
    /// Load a model directory on the best device here, with the model's own settings.
    ///
    /// ```
    /// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
    /// use cooper_model::{Cooper, image};
    ///
    /// let cooper = Cooper::open(dir.as_ref())?;
    /// let image = image::RgbImage::from_fn(128, 96, |x, y| image::Rgb([x as u8, y as u8, 90]));
    /// let depth = cooper.estimate_depth(&image)?;
    /// assert_eq!((depth.width, depth.height), (128, 96));
    /// assert!(depth.values.iter().all(|relative| (0.0..=1.0).contains(relative)));
    /// # Ok::<(), cooper_model::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::Weights`] that names everything that is missing or wrong in the directory.
    pub fn open(dir: &Path) -> Result<Self> {
        Self::load(&ModelOptions {
            dir: dir.into(),
            ..ModelOptions::default()
        })
    }

    /// Load a model as `options` say: another device, number format or quantisation, weights that lie elsewhere.
    ///
    /// # Errors
    /// As [`Cooper::open`]; [`crate::Error::Model`] if there is no such device.
    pub fn load(options: &ModelOptions) -> Result<Self> {
        Ok(Self {
            engine: Engine::load(options)?,
            prompts: Prompts::load(None, &options.dir)?,
            settings: Settings {
                flow: FlowParams::of_model(&options.dir)?,
                ..Settings::default()
            },
        })
    }

    /// Answer a question about an image, in the mode of [`Cooper::settings`].
    ///
    /// A transcript without an answer is no error: see [`Transcript::status`].
    ///
    /// ```
    /// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
    /// # let mut cooper = cooper_model::Cooper::open(dir.as_ref())?;
    /// # use cooper_model::image;
    /// # let image = image::RgbImage::from_pixel(128, 96, image::Rgb([90, 90, 90]));
    /// use cooper_model::reasoning::Mode;
    ///
    /// cooper.settings.mode = Mode::Direct;
    /// let transcript = cooper.ask(&image, "How many boxes are there?")?;
    /// println!("{}: {}", transcript.status, transcript.answer);
    /// # Ok::<(), cooper_model::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`crate::Error::InvalidInput`] for an empty or too long question.
    pub fn ask(&self, image: &RgbImage, question: &str) -> Result<Transcript> {
        let mut control = Control::default();
        answer(self.model(), image, question, &self.settings, &mut control)
    }

    /// Draw the relative depth of an image, 0 near to 1 far, at the image's size. It has no metres: scale and shift are
    /// unknown.
    ///
    /// # Errors
    /// If the network fails.
    pub fn estimate_depth(&self, image: &RgbImage) -> Result<DepthMap> {
        let request = self.model().map_request(MapKind::Depth, &self.settings);
        estimate_depth(&self.engine, &request, image, &mut Control::default())
    }

    /// Draw the segmentation of an image and find its regions, at the image's size.
    ///
    /// ```
    /// # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
    /// # let cooper = cooper_model::Cooper::open(dir.as_ref())?;
    /// use cooper_model::image;
    ///
    /// let image = image::RgbImage::from_fn(128, 96, |x, y| image::Rgb([x as u8, y as u8, 90]));
    /// let segmentation = cooper.segment(&image)?;
    /// for region in &segmentation.regions {
    ///     println!("{}: {} pixels around {}", region.id, region.n_pixels, region.centroid);
    /// }
    /// assert_eq!(segmentation.labels.len(), 128 * 96);
    /// # Ok::<(), cooper_model::Error>(())
    /// ```
    ///
    /// # Errors
    /// If the network fails.
    pub fn segment(&self, image: &RgbImage) -> Result<Segmentation> {
        let model = self.model();
        let request = model.map_request(MapKind::Segmentation, &self.settings);
        segment(&self.engine, &request, image, &mut Control::default())
    }

    /// Engine and prompts, as [`crate::reasoning`] and [`crate::measure`] take them.
    pub fn model(&self) -> PromptedEngine<'_> {
        PromptedEngine {
            engine: &self.engine,
            prompts: &self.prompts,
        }
    }
}
