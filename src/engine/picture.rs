//! Drawing pictures: rectified flow in latent space, guided by two poorer contexts, decoded to pixels.

use std::path::Path;
use std::time::Duration;

use candle_core::{DType, Result as CandleResult, Tensor};
use serde::{Deserialize, Serialize};

use super::Engine;
use super::control::{Control, Progress};
use super::speed::{Part, Speed};
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

/// A map that is fitted into a time budget has at least so many steps, unless it was to have fewer.
pub const MIN_FITTED_STEPS: usize = 4;
/// A fitted map may take this much longer than was measured.
const FITTED_MARGIN: f64 = 1.25;

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

    /// The same with as many steps, at most its own and at least [`MIN_FITTED_STEPS`], as are drawn and decoded within
    /// this time, for `n_tokens` latent tokens and at this speed. Without a measurement it stays as it is.
    fn fitted(&self, n_tokens: usize, within: Duration, speed: &Speed) -> Self {
        let with = |time_points| Self {
            time_points,
            ..self.clone()
        };
        let fits = |flow: &Self| {
            let seconds = flow.seconds(n_tokens, speed);
            seconds.is_none_or(|s| s * FITTED_MARGIN <= within.as_secs_f64())
        };
        let least = with(self.time_points.min(MIN_FITTED_STEPS + 1));
        let fewer = (least.time_points + 1..=self.time_points).rev().map(with);
        fewer.into_iter().find(fits).unwrap_or(least)
    }

    /// How long a map of `n_tokens` latent tokens takes, if the speed is known.
    fn seconds(&self, n_tokens: usize, speed: &Speed) -> Option<f64> {
        let guidance = self.guidance();
        let mut units = [0.0; 4];
        for (t, _) in self.schedule().steps() {
            let n_branches = guidance.n_branches(t);
            units[n_branches] += (n_branches * n_tokens) as f64;
        }
        let decode = speed.seconds_per_unit(Part::Decode)? * n_tokens as f64;
        let per_unit = |n: usize| speed.seconds_per_unit(Part::FlowStep(n));
        let steps = (1..=3).map(|n| Some(per_unit(n)? * units[n]));
        Some(decode + steps.sum::<Option<f64>>()?)
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
    /// `flow` with fewer steps where a map of this size (width, height) would take longer than `within`, as fast as this
    /// engine was measured to be; at least [`MIN_FITTED_STEPS`].
    pub fn fitted(
        &self,
        flow: &FlowParams,
        (width, height): (u32, u32),
        within: Duration,
    ) -> FlowParams {
        let n_tokens = self.latent_grid(width, height).n_tokens();
        flow.fitted(n_tokens, within, &self.speed())
    }

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
            let n_branches = guidance.n_branches(t);
            let velocity = || {
                let branches = drawing.velocities(x_t, step, n_branches)?;
                let branch = |n: usize| (n < n_branches).then(|| branches.get(n)).transpose();
                guidance.combine(&Velocities {
                    full: branches.get(0)?,
                    without_text: branch(1)?,
                    without_image: branch(2)?,
                })
            };
            let n_latents = n_branches * grid.n_tokens();
            let velocity = self.timed(Part::FlowStep(n_branches), |_| n_latents, velocity)?;
            self.note(|work| work.flow_branches += n_branches as u64);
            step += 1;
            control.tell(Progress::Fraction(step as f32 / schedule.n_steps() as f32));
            Ok::<_, Error>(velocity)
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
        let grid = self.latent_grid(width, height);
        let decode = || {
            let latent = self.unpatchify_latent(tokens, grid)?;
            let latent = latent.to_dtype(self.vae_dtype())?.unsqueeze(0)?;
            let pixels = self.vae.decode(&latent)?.squeeze(0)?;
            ((pixels.to_dtype(DType::F32)? * 0.5)? + 0.5)?.clamp(0f32, 1f32)
        };
        self.timed(Part::Decode, |_| grid.n_tokens(), decode)
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
