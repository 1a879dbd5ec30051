//! The FLUX autoencoder: pictures to latents of 1/8 the size and back.
//!
//! Source: BAGEL `modeling/autoencoder.py`. The posterior is sampled with given noise, never drawn inside.
//!
//! The finest levels hold hundreds of channels at the picture's size. Above `MOST_WHOLE` pixels they go band by band:
//! a group norm is measured over the whole picture and applied to some rows at a time, each band with the rows beside it
//! that the convolution sees. So the result is the same, and only what goes in and what comes out is held.

use std::ops::Range;

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;

use super::config::VaeConfig;
use crate::tensor::Conv2d;
use crate::tensor::GroupNorm;
use crate::tensor::attention;
use crate::tensor::silu;
use crate::tensor::upsample_2x;

const EPS: f64 = 1e-6;

/// Pixels of a level up to which it is computed as a whole.
pub(super) const MOST_WHOLE: usize = 1 << 18;
/// Numbers in the rows of a band: 16 MiB.
pub(super) const BAND: usize = 1 << 22;

fn conv3x3(c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Conv2d> {
    Conv2d::new((c_in, c_out), 3, 1, 1, vb)
}

fn conv1x1(c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Conv2d> {
    Conv2d::new((c_in, c_out), 1, 1, 0, vb)
}

fn norm(n_groups: usize, c: usize, vb: VarBuilder) -> Result<GroupNorm> {
    GroupNorm::new(n_groups.min(c), c, EPS, vb)
}

#[derive(Clone, Debug)]
struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv2d,
    norm2: GroupNorm,
    conv2: Conv2d,
    nin_shortcut: Option<Conv2d>,
}

impl ResnetBlock {
    fn new(groups: usize, c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Self> {
        let shortcut = (c_in != c_out).then(|| conv1x1(c_in, c_out, vb.pp("nin_shortcut")));
        Ok(Self {
            norm1: norm(groups, c_in, vb.pp("norm1"))?,
            conv1: conv3x3(c_in, c_out, vb.pp("conv1"))?,
            norm2: norm(groups, c_out, vb.pp("norm2"))?,
            conv2: conv3x3(c_out, c_out, vb.pp("conv2"))?,
            nin_shortcut: shortcut.transpose()?,
        })
    }

    fn forward(&self, xs: &Tensor, most_whole: usize) -> Result<Tensor> {
        let skip = |xs: &Tensor| match &self.nin_shortcut {
            Some(shortcut) => shortcut.forward(xs),
            None => Ok(xs.clone()),
        };
        let hidden = activated_conv(&self.norm1, &self.conv1, xs, most_whole)?;
        if !is_large(xs, most_whole)? {
            let hidden = activated_conv(&self.norm2, &self.conv2, &hidden, most_whole)?;
            return skip(xs)? + hidden;
        }
        let (scale, shift) = self.norm2.affine(&hidden)?;
        in_bands(&hidden, 1, |band, rows| {
            let band = self.conv2.forward(&activated(band, &scale, &shift)?)?;
            let skipped = skip(&xs.narrow(2, rows.start, rows.len())?.contiguous()?)?;
            band + skipped
        })
    }
}

/// Norm, SiLU and convolution.
fn activated_conv(
    norm: &GroupNorm,
    conv: &Conv2d,
    xs: &Tensor,
    most_whole: usize,
) -> Result<Tensor> {
    if !is_large(xs, most_whole)? {
        return conv.forward(&norm.forward_silu(xs)?);
    }
    let (scale, shift) = norm.affine(xs)?;
    in_bands(xs, 1, |band, _| {
        conv.forward(&activated(band, &scale, &shift)?)
    })
}

/// SiLU of what a group norm makes of a band.
fn activated(band: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    silu(&band.broadcast_mul(scale)?.broadcast_add(shift)?)
}

/// Whether a level is to go band by band: on a CPU, and not where gradients are wanted.
fn is_large(xs: &Tensor, most_whole: usize) -> Result<bool> {
    let (_, _, hh, ww) = xs.dims4()?;
    let is_plain = xs.device().is_cpu() && xs.dtype() == DType::F32 && !xs.track_op();
    Ok(is_plain && hh * ww > most_whole)
}

/// What `apply` makes of (b, c, hh, ww), rows of which it may see one beyond: some rows at a time, with the rows beside
/// them, whose results are left out. `apply` gets the rows and their numbers and makes `growth` times as many.
fn in_bands(
    xs: &Tensor,
    growth: usize,
    apply: impl Fn(&Tensor, Range<usize>) -> Result<Tensor>,
) -> Result<Tensor> {
    let (b, c, hh, ww) = xs.dims4()?;
    let n_rows = (BAND / (c * ww * growth * growth)).max(1);
    let mut out: Option<Tensor> = None;
    for start in (0..hh).step_by(n_rows) {
        let end = (start + n_rows).min(hh);
        let seen = start.saturating_sub(1)..(end + 1).min(hh);
        let band = apply(
            &xs.narrow(2, seen.start, seen.len())?.contiguous()?,
            seen.clone(),
        )?;
        let own = band.narrow(2, (start - seen.start) * growth, (end - start) * growth)?;
        let out = match &out {
            Some(out) => out,
            None => {
                let shape = (b, band.dim(1)?, hh * growth, ww * growth);
                out.insert(Tensor::zeros(shape, xs.dtype(), xs.device())?)
            }
        };
        out.slice_set(&own.contiguous()?, 2, start * growth)?;
    }
    out.map_or_else(|| Ok(xs.clone()), Ok)
}

/// Single-head attention over all cells.
#[derive(Clone, Debug)]
struct AttnBlock {
    norm: GroupNorm,
    q: Conv2d,
    k: Conv2d,
    v: Conv2d,
    proj_out: Conv2d,
}

impl AttnBlock {
    fn new(groups: usize, c: usize, vb: VarBuilder) -> Result<Self> {
        let conv = |name: &str| conv1x1(c, c, vb.pp(name));
        Ok(Self {
            norm: norm(groups, c, vb.pp("norm"))?,
            q: conv("q")?,
            k: conv("k")?,
            v: conv("v")?,
            proj_out: conv("proj_out")?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (b, c, hh, ww) = xs.dims4()?;
        let normed = self.norm.forward(xs)?;
        // Pictures of a batch do not see each other: they take the place of heads.
        let cells = |conv: &Conv2d| {
            conv.forward(&normed)?
                .flatten_from(2)?
                .transpose(1, 2)?
                .contiguous() // (b, hh·ww, c)
        };
        let seen = attention(&cells(&self.q)?, &cells(&self.k)?, &cells(&self.v)?, None)?;
        let seen = seen.transpose(1, 2)?.reshape((b, c, hh, ww))?;
        xs + self.proj_out.forward(&seen)?
    }
}

#[derive(Clone, Debug)]
struct Mid {
    block_1: ResnetBlock,
    attn_1: AttnBlock,
    block_2: ResnetBlock,
}

impl Mid {
    fn new(groups: usize, c: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            block_1: ResnetBlock::new(groups, c, c, vb.pp("block_1"))?,
            attn_1: AttnBlock::new(groups, c, vb.pp("attn_1"))?,
            block_2: ResnetBlock::new(groups, c, c, vb.pp("block_2"))?,
        })
    }

    fn forward(&self, xs: &Tensor, most_whole: usize) -> Result<Tensor> {
        let xs = self.block_1.forward(xs, most_whole)?;
        self.block_2.forward(&self.attn_1.forward(&xs)?, most_whole)
    }
}

/// The blocks of one resolution, and how the size changes after them.
#[derive(Clone, Debug)]
struct Level {
    blocks: Vec<ResnetBlock>,
    resample: Option<Conv2d>,
}

impl Level {
    /// `n` blocks from `c_in` to `c_out` channels.
    fn new(
        groups: usize,
        n: usize,
        (c_in, c_out): (usize, usize),
        vb: &VarBuilder,
    ) -> Result<Self> {
        let block = |i: usize| {
            let c_in = if i == 0 { c_in } else { c_out };
            ResnetBlock::new(groups, c_in, c_out, vb.pp(format!("block.{i}")))
        };
        Ok(Self {
            blocks: (0..n).map(block).collect::<Result<_>>()?,
            resample: None,
        })
    }

    fn forward(&self, xs: Tensor, most_whole: usize) -> Result<Tensor> {
        let mut blocks = self.blocks.iter();
        blocks.try_fold(xs, |xs, block| block.forward(&xs, most_whole))
    }
}

/// Pictures to the posterior's moments.
#[derive(Clone, Debug)]
struct Encoder {
    conv_in: Conv2d,
    down: Vec<Level>,
    mid: Mid,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn new(config: &VaeConfig, vb: VarBuilder) -> Result<Self> {
        let groups = config.norm_num_groups;
        let mut c = config.ch;
        let mut down = Vec::new();
        for (i, multiple) in config.ch_mult.iter().enumerate() {
            let vb = vb.pp(format!("down.{i}"));
            let c_out = config.ch * multiple;
            let mut level = Level::new(groups, config.num_res_blocks, (c, c_out), &vb)?;
            if i + 1 < config.ch_mult.len() {
                let conv = Conv2d::new((c_out, c_out), 3, 2, 0, vb.pp("downsample.conv"))?;
                level.resample = Some(conv);
            }
            down.push(level);
            c = c_out;
        }
        Ok(Self {
            conv_in: conv3x3(config.in_channels, config.ch, vb.pp("conv_in"))?,
            down,
            mid: Mid::new(groups, c, vb.pp("mid"))?,
            norm_out: norm(groups, c, vb.pp("norm_out"))?,
            conv_out: conv3x3(c, 2 * config.z_channels, vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, pixels: &Tensor, most_whole: usize) -> Result<Tensor> {
        let mut xs = self.conv_in.forward(pixels)?;
        for level in &self.down {
            xs = level.forward(xs, most_whole)?;
            if let Some(halving) = &level.resample {
                let padded = xs.pad_with_zeros(2, 0, 1)?.pad_with_zeros(3, 0, 1)?;
                xs = halving.forward(&padded)?;
            }
        }
        let xs = self.mid.forward(&xs, most_whole)?;
        activated_conv(&self.norm_out, &self.conv_out, &xs, most_whole)
    }
}

/// Latents to pictures.
#[derive(Clone, Debug)]
struct Decoder {
    conv_in: Conv2d,
    mid: Mid,
    /// By resolution, the finest first; they run from the last to the first.
    up: Vec<Level>,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Decoder {
    fn new(config: &VaeConfig, vb: VarBuilder) -> Result<Self> {
        let groups = config.norm_num_groups;
        let channels: Vec<usize> = config.ch_mult.iter().map(|m| config.ch * m).collect();
        let coarsest = channels.last().copied().unwrap_or(config.ch);
        let mut up = Vec::new();
        for (i, c_out) in channels.iter().enumerate() {
            let vb = vb.pp(format!("up.{i}"));
            let c_in = channels.get(i + 1).copied().unwrap_or(coarsest);
            let mut level = Level::new(groups, config.num_res_blocks + 1, (c_in, *c_out), &vb)?;
            if i > 0 {
                level.resample = Some(conv3x3(*c_out, *c_out, vb.pp("upsample.conv"))?);
            }
            up.push(level);
        }
        let finest = channels.first().copied().unwrap_or(config.ch);
        Ok(Self {
            conv_in: conv3x3(config.z_channels, coarsest, vb.pp("conv_in"))?,
            mid: Mid::new(groups, coarsest, vb.pp("mid"))?,
            up,
            norm_out: norm(groups, finest, vb.pp("norm_out"))?,
            conv_out: conv3x3(finest, config.out_ch, vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, latent: &Tensor, most_whole: usize) -> Result<Tensor> {
        let xs = self.conv_in.forward(latent)?;
        let mut xs = self.mid.forward(&xs, most_whole)?;
        for level in self.up.iter().rev() {
            xs = level.forward(xs, most_whole)?;
            if let Some(conv) = &level.resample {
                // It has four times the pixels behind it.
                xs = match is_large(&xs, most_whole / 4)? {
                    true => in_bands(&xs, 2, |band, _| conv.forward(&upsample_2x(band)?))?,
                    false => conv.forward(&upsample_2x(&xs)?)?,
                };
            }
        }
        activated_conv(&self.norm_out, &self.conv_out, &xs, most_whole)
    }
}

/// Encoder and decoder with the latent's scale and shift.
#[derive(Clone, Debug)]
pub struct FluxVae {
    encoder: Encoder,
    decoder: Decoder,
    config: VaeConfig,
    most_whole: usize,
}

impl FluxVae {
    /// Reads `encoder.*` and `decoder.*`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(config: &VaeConfig, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            encoder: Encoder::new(config, vb.pp("encoder"))?,
            decoder: Decoder::new(config, vb.pp("decoder"))?,
            config: config.clone(),
            most_whole: MOST_WHOLE,
        })
    }

    /// The same, with levels of more than so many pixels computed band by band.
    pub fn in_bands_above(self, most_whole: usize) -> Self {
        Self { most_whole, ..self }
    }

    /// Pixels (b, 3, hh, ww) in [−1, 1] → mean and log-variance (b, 2z, hh/8, ww/8).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn moments(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encoder.forward(pixels, self.most_whole)
    }

    /// Moments (b, 2z, …) → a latent (b, z, …): `mean + exp(logvar / 2) · noise`, scaled; the mean without noise.
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn latent(&self, moments: &Tensor, noise: Option<&Tensor>) -> Result<Tensor> {
        let halves = moments.chunk(2, 1)?;
        let (mean, log_variance) = (&halves[0], &halves[1]);
        let z = match noise {
            Some(noise) => {
                (mean + ((log_variance * 0.5)?.exp()? * noise.to_dtype(mean.dtype())?)?)?
            }
            None => mean.clone(),
        };
        (z - self.config.shift_factor)? * self.config.scale_factor
    }

    /// Latent (b, z, hh/8, ww/8) → pixels (b, 3, hh, ww), about [−1, 1].
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn decode(&self, latent: &Tensor) -> Result<Tensor> {
        let z = ((latent / self.config.scale_factor)? + self.config.shift_factor)?;
        self.decoder.forward(&z, self.most_whole)
    }
}
