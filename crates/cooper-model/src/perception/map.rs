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
    /// What the model looks at: Spectral colours of depth, or the segmentation's own colours.
    pub image: RgbImage,
    /// For depth, the values in [0, 1], 0 near, row-major.
    pub depth: Option<Vec<f32>>,
    /// The latent tokens (n, p·p·z) that it was decoded from.
    pub latent: Tensor,
    /// Flow steps that were computed; the step cache forecast the others.
    pub n_computed: usize,
}

/// Draw a map of `size` (width, height) in contexts that already hold its instruction; `turn` is for the news.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn draw_map(
    engine: &Engine,
    kind: MapKind,
    contexts: &GuidanceContexts,
    size: (u32, u32),
    flow: &FlowParams,
    noise: &mut Noise,
    control: &mut Control,
) -> Result<DrawnMap> {
    let drawn = engine.sample_latent(contexts, size, flow, noise, control)?;
    let latent = drawn.tokens;
    control.check()?;
    let pixels = engine.decode_latent(&latent, size)?;
    let (image, depth) = match kind {
        MapKind::Depth => {
            let depth: Vec<f32> = pixels.mean(0)?.flatten_all()?.to_vec1()?;
            (spectral(&depth, size.0, size.1), Some(depth))
        }
        MapKind::Segmentation => (from_unit_pixels(&pixels)?, None),
    };
    Ok(DrawnMap {
        image,
        depth,
        latent,
        n_computed: drawn.n_computed,
    })
}

/// Draw a map of an image that nothing else was said about.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn draw_map_of(
    engine: &Engine,
    kind: MapKind,
    instruction: &str,
    image: &RgbImage,
    flow: &FlowParams,
    noise: &mut Noise,
    control: &mut Control,
) -> Result<DrawnMap> {
    control.check()?;
    control.tell(Progress::Stage(Stage::Prefill, 0));
    let image = engine.vae_rule().apply(image);
    let contexts = contexts_of(engine, instruction, &image, noise, control)?;
    control.tell(Progress::Stage(stage_of(kind), 0));
    draw_map(
        engine,
        kind,
        &contexts,
        image.dimensions(),
        flow,
        noise,
        control,
    )
}

/// How far the step cache takes a map of an image that nothing else was said about: see [`Engine::cache_error`].
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn cache_error_of(
    engine: &Engine,
    instruction: &str,
    image: &RgbImage,
    flow: &FlowParams,
    seed: u64,
    cancel: &Cancel,
) -> Result<f64> {
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
