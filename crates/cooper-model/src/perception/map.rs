//! One drawn map, as the model looks at it and as robots read it.

use candle_core::Tensor;
use cooper_imaging::spectral;
use image::RgbImage;

use crate::engine::{
    Cancel, Control, Engine, FlowParams, GuidanceContexts, MapKind, Noise, Progress, Stage, Views,
};
use crate::error::Result;
use crate::model::pixels::from_unit_pixels;

/// A map at the model's size.
#[derive(Clone, Debug)]
pub struct DrawnMap {
    /// Width and height.
    pub size: (u32, u32),
    /// What was decoded.
    pub pixels: MapPixels,
    /// The latent tokens (n, p·p·z) that it was decoded from.
    pub latent: Tensor,
    /// Flow steps that were computed; the step cache forecast the others.
    pub n_computed: usize,
}

/// The pixels of a map, row-major.
#[derive(Clone, Debug)]
pub enum MapPixels {
    /// Relative depth in [0, 1], 0 near.
    Depth(Vec<f32>),
    /// Flat colours.
    Segmentation(RgbImage),
}

impl DrawnMap {
    /// What the model looks at: Spectral colours of depth, or the segmentation's own colours.
    pub fn image(&self) -> RgbImage {
        match &self.pixels {
            MapPixels::Depth(values) => spectral(values, self.size.0, self.size.1),
            MapPixels::Segmentation(image) => image.clone(),
        }
    }
}

/// What to draw in contexts that already hold the instruction.
#[derive(Clone, Copy, Debug)]
pub struct MapSpec<'a> {
    /// Depth or segmentation.
    pub kind: MapKind,
    /// Width and height, multiples of a latent token's side.
    pub size: (u32, u32),
    /// How it is drawn.
    pub flow: &'a FlowParams,
}

/// How a map of an image is asked for, with all that the map follows from besides the image and the model.
#[derive(Clone, Copy, Debug)]
pub struct MapRequest<'a> {
    /// The prompt that asks for the map.
    pub instruction: &'a str,
    /// How it is drawn.
    pub flow: &'a FlowParams,
    /// Of its noise.
    pub seed: u64,
}

/// Draw a map in contexts that already hold its instruction.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn draw_map(
    engine: &Engine,
    spec: MapSpec,
    contexts: &GuidanceContexts,
    noise: &mut Noise,
    control: &mut Control,
) -> Result<DrawnMap> {
    let MapSpec { kind, size, flow } = spec;
    let drawn = engine.sample_latent(contexts, size, flow, noise, control)?;
    let latent = drawn.tokens;
    control.check()?;
    let pixels = engine.decode_latent(&latent, size)?;
    let pixels = match kind {
        MapKind::Depth => {
            let brightness: Vec<f32> = pixels.mean(0)?.flatten_all()?.to_vec1()?;
            let curve = engine.depth_curve();
            MapPixels::Depth(brightness.into_iter().map(|b| curve.decode(b)).collect())
        }
        MapKind::Segmentation => MapPixels::Segmentation(from_unit_pixels(&pixels)?),
    };
    Ok(DrawnMap {
        size,
        pixels,
        latent,
        n_computed: drawn.n_computed,
    })
}

/// Draw a map of an image at the size that the model draws.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn draw_map_of(
    engine: &Engine,
    kind: MapKind,
    request: &MapRequest,
    image: &RgbImage,
    control: &mut Control,
) -> Result<DrawnMap> {
    control.check()?;
    control.report(Progress::Stage(Stage::Prefill, 0));
    let image = engine.vae_rule().apply(image);
    let mut noise = Noise::seeded(request.seed);
    let contexts = contexts_of(engine, request.instruction, &image, &mut noise, control)?;
    control.report(Progress::Stage(stage_of(kind), 0));
    let spec = MapSpec {
        kind,
        size: image.dimensions(),
        flow: request.flow,
    };
    draw_map(engine, spec, &contexts, &mut noise, control)
}

/// How far a map that is drawn with the step cache is from the exact one: see [`Engine::cache_error`].
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn cache_error_of(
    engine: &Engine,
    request: &MapRequest,
    image: &RgbImage,
    cancel: &Cancel,
) -> Result<f64> {
    let MapRequest {
        instruction,
        flow,
        seed,
    } = *request;
    let (noise, control) = (
        &mut Noise::seeded(seed),
        Control::new(cancel.clone(), |_| {}),
    );
    let image = engine.vae_rule().apply(image);
    let contexts = contexts_of(engine, instruction, &image, noise, &control)?;
    engine.cache_error(&contexts, image.dimensions(), flow, seed, cancel)
}

/// The contexts in which a map of `image`, of the autoencoder's size, is drawn.
fn contexts_of(
    engine: &Engine,
    instruction: &str,
    image: &RgbImage,
    noise: &mut Noise,
    control: &Control,
) -> Result<GuidanceContexts> {
    let without_text = engine.read_frame(None, image, Views::VaeAndVit, noise, control)?;
    control.check()?;
    let mut full = without_text.clone();
    engine.prefill_text(&mut full, instruction)?;
    Ok(GuidanceContexts {
        full,
        without_text,
        without_image: engine.read_opening(Some(instruction))?,
    })
}

/// The stage in which a map is drawn.
pub fn stage_of(kind: MapKind) -> Stage {
    match kind {
        MapKind::Depth => Stage::Depth,
        MapKind::Segmentation => Stage::Segmentation,
    }
}
