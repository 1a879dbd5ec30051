//! Drawing images: rectified flow in latent space, guided by two poorer contexts, decoded to pixels.

use std::time::Duration;

use candle_core::{DType, Result as CandleResult, Tensor};
use cooper_kernels::Noise;

use super::Engine;
use super::control::{Cancel, Control, Progress};
use super::flow_params::FlowParams;
use super::speed::Part;
use crate::error::{Error, Result};
use crate::flow::{Step, StepCache, Velocities, relative_error, sample};
use crate::model::{Grid, KvContext};

/// What was drawn.
#[derive(Clone, Debug)]
pub struct SampledLatent {
    /// Latent tokens (n, p·p·z).
    pub tokens: Tensor,
    /// Of the steps, those whose velocity was computed; the others were forecast.
    pub n_computed: usize,
}

/// The three contexts of a drawing.
#[derive(Clone, Debug, Default)]
pub struct GuidanceContexts {
    /// With everything.
    pub full: KvContext,
    /// Without the text that asks for the drawing.
    pub without_text: KvContext,
    /// Without the input image.
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
    /// engine was measured to be; at least [`super::MIN_FITTED_STEPS`].
    pub fn fitted(
        &self,
        flow: &FlowParams,
        (width, height): (u32, u32),
        within: Duration,
    ) -> FlowParams {
        let n_tokens = self.latent_grid(width, height).n_tokens();
        flow.fitted(n_tokens, within, &self.speed())
    }

    /// Draw an image of `width` by `height` pixels (multiples of a latent token's side).
    ///
    /// # Errors
    /// [`Error::Canceled`] within one step of a stop; [`Error::InvalidInput`] if the size is no multiple.
    pub fn sample_latent(
        &self,
        contexts: &GuidanceContexts,
        (width, height): (u32, u32),
        flow: &FlowParams,
        noise: &mut Noise,
        control: &mut Control,
    ) -> Result<SampledLatent> {
        let grid = self.latent_grid(width, height);
        let side = self.config.latent_downsample();
        if (grid.columns * side, grid.rows * side) != (width as usize, height as usize) {
            let why = format!("expected sides that are multiples of {side}, got {width}x{height}");
            return Err(Error::invalid("image to draw", why));
        }
        let shape = (grid.n_tokens(), self.config.patch_latent_dim());
        let start = noise.normal(shape, self.model.device())?;
        let (schedule, guidance) = (flow.schedule(), flow.guidance());
        let times: Vec<f32> = schedule.steps().map(|(t, _)| t).collect();
        let contexts = contexts.branches();
        let drawing = self.model.drawing(&contexts, grid, &times)?;
        let n_steps = schedule.n_steps();
        let (mut number, mut n_computed) = (0, 0);
        let mut cache = StepCache::new(flow.cache_threshold);
        let tokens = sample(start, &schedule, |x_t, t| {
            control.check()?;
            let n_branches = guidance.n_branches(t);
            let step = Step {
                t,
                n_branches,
                is_last: number + 1 == n_steps,
            };
            let velocity = || {
                let branches = drawing.velocities(x_t, number, n_branches)?;
                let branch = |n: usize| (n < n_branches).then(|| branches.get(n)).transpose();
                guidance.combine(&Velocities {
                    full: branches.get(0)?,
                    without_text: branch(1)?,
                    without_image: branch(2)?,
                })
            };
            let velocity = if let Some(forecast) = cache.forecast(step)? {
                self.note(|work| work.flow_forecasts += 1);
                forecast
            } else {
                let n_latents = n_branches * grid.n_tokens();
                let computed = self.timed(Part::FlowStep(n_branches), |_| n_latents, velocity)?;
                self.note(|work| work.flow_branches += n_branches as u64);
                n_computed += 1;
                cache.learn(step, &computed)?;
                computed
            };
            number += 1;
            control.report(Progress::Fraction(number as f32 / n_steps as f32));
            Ok::<_, Error>(velocity)
        })?;
        Ok(SampledLatent { tokens, n_computed })
    }

    /// How far a drawing with the step cache is from the exact one that begins with the same noise: the
    /// [`relative_error`] of its latent tokens.
    ///
    /// # Errors
    /// As [`Self::sample_latent`].
    pub fn cache_error(
        &self,
        contexts: &GuidanceContexts,
        size: (u32, u32),
        flow: &FlowParams,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<f64> {
        let draw = |flow: &FlowParams| {
            let mut control = Control::new(cancel.clone(), |_| {});
            self.sample_latent(contexts, size, flow, &mut Noise::seeded(seed), &mut control)
        };
        let (cached, exact) = (draw(flow)?, draw(&flow.exact())?);
        Ok(relative_error(&cached.tokens, &exact.tokens)?)
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
