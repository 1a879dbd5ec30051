//! Drawing pictures: rectified flow in latent space, guided by two poorer contexts, decoded to pixels.

use std::path::Path;

use candle_core::{DType, Result as CandleResult, Tensor};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::control::{Control, Progress};
use crate::error::{Error, Result};
use crate::flow::Guidance;
use crate::flow::Renorm;
use crate::flow::Schedule;
use crate::flow::Velocities;
use crate::flow::sample;
use crate::model::Grid;
use crate::model::KvContext;
use crate::tensor::Noise;

/// File name of a model's own [`FlowParams`], optional and ours.
pub const FLOW_CONFIG_NAME: &str = "flow_config.json";

/// How maps are drawn. The defaults are the ones behind the paper's numbers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowParams {
    /// Points of time from noise to picture, from 2; one step fewer is computed.
    pub time_points: usize,
    /// Scale of guidance by the text; 1 is none.
    pub guidance_text: f64,
    /// Scale of guidance by the picture; 1 is none.
    pub guidance_image: f64,
    /// Guide only for shifted times in (low, high].
    pub guidance_interval: [f64; 2],
    /// See [`Renorm`].
    pub renorm: Renorm,
    /// The least factor of renormalisation, [0, 1]; 1 turns it off.
    pub renorm_min: f64,
    /// Above 1, more of the time points lie near the noise.
    pub timestep_shift: f64,
}

impl Default for FlowParams {
    fn default() -> Self {
        Self {
            time_points: 50,
            guidance_text: 4.0,
            guidance_image: 2.0,
            guidance_interval: [0.0, 1.0],
            renorm: Renorm::TextChannel,
            renorm_min: 0.0,
            timestep_shift: 3.0,
        }
    }
}

impl FlowParams {
    /// Those of a model directory's `flow_config.json`, the defaults where it has none.
    ///
    /// # Errors
    /// [`Error::Weights`] with the key that is wrong.
    pub fn of_model(dir: &Path) -> Result<Self> {
        let file = dir.join(FLOW_CONFIG_NAME);
        let Ok(text) = std::fs::read_to_string(&file) else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).map_err(|e| Error::Weights {
            path: file,
            why: e.to_string(),
        })
    }

    /// How many steps are computed.
    pub fn n_steps(&self) -> usize {
        self.schedule().n_steps()
    }

    /// Whether the poorer contexts of [`GuidanceContexts`] are looked at.
    pub fn is_guided(&self) -> bool {
        self.guidance_text > 1.0
    }

    fn schedule(&self) -> Schedule {
        Schedule::new(self.time_points, self.timestep_shift)
    }

    fn guidance(&self) -> Guidance {
        Guidance {
            text: self.guidance_text,
            image: self.guidance_image,
            interval: self.guidance_interval,
            renorm: self.renorm,
            renorm_min: self.renorm_min,
        }
    }
}

/// The three contexts of a drawing.
#[derive(Clone, Debug, Default)]
pub struct GuidanceContexts {
    /// With everything.
    pub full: KvContext,
    /// Without the text that asks for the drawing.
    pub without_text: KvContext,
    /// Without the input picture.
    pub without_image: KvContext,
}

impl GuidanceContexts {
    /// In the order in which guidance needs them: none without those before it.
    pub fn branches(&self) -> [&KvContext; 3] {
        [&self.full, &self.without_text, &self.without_image]
    }
}

impl Engine {
    /// Draw a picture of `width` by `height` pixels (multiples of a latent token's side): latent tokens (n, p·p·z).
    ///
    /// # Errors
    /// [`Error::Canceled`] within one step of a stop; [`Error::InvalidInput`] if the size is no multiple.
    pub fn draw_latent(
        &self,
        contexts: &GuidanceContexts,
        (width, height): (u32, u32),
        flow: &FlowParams,
        noise: &mut Noise,
        control: &mut Control,
    ) -> Result<Tensor> {
        let grid = self.latent_grid(width, height);
        let side = self.config.latent_downsample();
        if (grid.columns * side, grid.rows * side) != (width as usize, height as usize) {
            let why = format!("expected sides that are multiples of {side}, got {width}x{height}");
            return Err(Error::invalid("picture to draw", why));
        }
        let shape = (grid.n_tokens(), self.config.patch_latent_dim());
        let start = noise.normal(shape, self.model.device())?;
        let (schedule, guidance) = (flow.schedule(), flow.guidance());
        let times: Vec<f32> = schedule.steps().map(|(t, _)| t).collect();
        let contexts = contexts.branches();
        let drawing = self.model.drawing(&contexts, grid, &times)?;
        let mut step = 0;
        sample(start, &schedule, |x_t, t| {
            control.check()?;
            let (text, image) = (
                guidance.needs_text_branch(t),
                guidance.needs_image_branch(t),
            );
            // The image branch is never needed alone.
            let n_branches = 1 + usize::from(text) + usize::from(image);
            let branches = drawing.velocities(x_t, step, n_branches)?;
            self.note(|work| work.flow_branches += n_branches as u64);
            let velocities = Velocities {
                full: branches.get(0)?,
                without_text: text.then(|| branches.get(1)).transpose()?,
                without_image: image.then(|| branches.get(2)).transpose()?,
            };
            step += 1;
            control.tell(Progress::Fraction(step as f32 / schedule.n_steps() as f32));
            Ok::<_, Error>(guidance.combine(&velocities)?)
        })
    }

    /// Latent tokens (n, p·p·z) → pixels (3, hh, ww) in [0, 1], f32.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn decode_latent(
        &self,
        tokens: &Tensor,
        (width, height): (u32, u32),
    ) -> CandleResult<Tensor> {
        let latent = self.unpatchify_latent(tokens, self.latent_grid(width, height))?;
        let pixels = self
            .vae
            .decode(&latent.to_dtype(self.vae_dtype())?.unsqueeze(0)?)?;
        let pixels = pixels.squeeze(0)?.to_dtype(DType::F32)?;
        ((pixels * 0.5)? + 0.5)?.clamp(0f32, 1f32)
    }

    /// Tokens (n, p·p·z) in (row, column, channel) order → a latent (z, lh, lw).
    fn unpatchify_latent(
        &self,
        tokens: &Tensor,
        Grid { rows, columns }: Grid,
    ) -> CandleResult<Tensor> {
        let (p, z) = (
            self.config.bagel.latent_patch_size,
            self.config.vae.z_channels,
        );
        tokens
            .reshape((rows, columns, p, p, z))?
            .permute((4, 0, 2, 1, 3))? // (z, rows, p, columns, p)
            .reshape((z, rows * p, columns * p))
    }

    pub(super) fn vae_dtype(&self) -> DType {
        if self.model.device().is_cpu() {
            DType::F32
        } else {
            self.model.dtype()
        }
    }
}
