//! The FLUX autoencoder: images to latents of 1/8 the size and back.
//!
//! Source: BAGEL `modeling/autoencoder.py`. The posterior is sampled with given noise, never drawn inside.
//!
//! The finest levels have hundreds of channels at the image's size. On a CPU a block holds its input, its result and what
//! is between its two convolutions; all else is done tile by tile within them (see [`Conv2d`]).

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use cooper_kernels::{Conv2d, ConvPrecision, ConvShape, GroupNorm, attention, keys_dtype};

use super::config::VaeConfig;

const EPS: f64 = 1e-6;

/// Whether a tensor of the autoencoder is kept in 16-bit integers.
pub fn is_rounded(products: ConvPrecision, shape: &[usize]) -> bool {
    matches!(shape, [c_out, c_in, kernel, _] if products.are_rounded(*kernel, *c_in, *c_out))
}

/// What the layers share.
#[derive(Clone, Copy)]
struct Build {
    n_groups: usize,
    products: ConvPrecision,
}

impl Build {
    fn conv(self, c_in: usize, c_out: usize, shape: ConvShape, vb: VarBuilder) -> Result<Conv2d> {
        Conv2d::new((c_in, c_out), shape, vb)?.with_products(self.products)
    }

    fn conv3x3(self, c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Conv2d> {
        self.conv(c_in, c_out, ConvShape::SAME_3X3, vb)
    }

    fn conv1x1(self, c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Conv2d> {
        self.conv(c_in, c_out, ConvShape::POINTWISE, vb)
    }

    fn norm(self, c: usize, vb: VarBuilder) -> Result<GroupNorm> {
        GroupNorm::new(self.n_groups.min(c), c, EPS, vb)
    }
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
    fn new(build: Build, c_in: usize, c_out: usize, vb: VarBuilder) -> Result<Self> {
        let shortcut = (c_in != c_out).then(|| build.conv1x1(c_in, c_out, vb.pp("nin_shortcut")));
        Ok(Self {
            norm1: build.norm(c_in, vb.pp("norm1"))?,
            conv1: build.conv3x3(c_in, c_out, vb.pp("conv1"))?,
            norm2: build.norm(c_out, vb.pp("norm2"))?,
            conv2: build.conv3x3(c_out, c_out, vb.pp("conv2"))?,
            nin_shortcut: shortcut.transpose()?,
        })
    }

    fn forward(&self, xs: Tensor) -> Result<Tensor> {
        let hidden = self.conv1.forward_activated(&self.norm1, &xs)?;
        let skipped = match &self.nin_shortcut {
            Some(shortcut) => {
                let skipped = shortcut.forward(&xs)?;
                drop(xs); // its memory is wanted
                skipped
            }
            None => xs,
        };
        self.conv2.add_activated(&self.norm2, &hidden, skipped)
    }
}

/// Single-head attention over all cells.
#[derive(Clone, Debug)]
struct AttnBlock {
    norm: GroupNorm,
    q: Conv2d,
    k: Conv2d,
    v: Conv2d,
    proj_out: Conv2d,
    /// Of keys and values.
    keys_dtype: DType,
}

impl AttnBlock {
    fn new(build: Build, c: usize, vb: VarBuilder) -> Result<Self> {
        let conv = |name: &str| build.conv1x1(c, c, vb.pp(name));
        let is_rounded = build.products == ConvPrecision::I16;
        Ok(Self {
            keys_dtype: keys_dtype(vb.dtype(), is_rounded, c, vb.device()),
            norm: build.norm(c, vb.pp("norm"))?,
            q: conv("q")?,
            k: conv("k")?,
            v: conv("v")?,
            proj_out: conv("proj_out")?,
        })
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (b, c, hh, ww) = xs.dims4()?;
        let normed = self.norm.forward(xs)?;
        // Images of a batch do not see each other: they take the place of heads.
        let cells = |conv: &Conv2d| {
            conv.forward(&normed)?
                .flatten_from(2)?
                .transpose(1, 2)?
                .contiguous() // (b, hh·ww, c)
        };
        let [k, v] = [&self.k, &self.v].map(|conv| cells(conv)?.to_dtype(self.keys_dtype));
        let seen = attention(&cells(&self.q)?, &k?, &v?, None)?;
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
    fn new(build: Build, c: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            block_1: ResnetBlock::new(build, c, c, vb.pp("block_1"))?,
            attn_1: AttnBlock::new(build, c, vb.pp("attn_1"))?,
            block_2: ResnetBlock::new(build, c, c, vb.pp("block_2"))?,
        })
    }

    fn forward(&self, xs: Tensor) -> Result<Tensor> {
        let xs = self.block_1.forward(xs)?;
        self.block_2.forward(self.attn_1.forward(&xs)?)
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
    fn new(build: Build, n: usize, (c_in, c_out): (usize, usize), vb: &VarBuilder) -> Result<Self> {
        let block = |i: usize| {
            let c_in = if i == 0 { c_in } else { c_out };
            ResnetBlock::new(build, c_in, c_out, vb.pp(format!("block.{i}")))
        };
        Ok(Self {
            blocks: (0..n).map(block).collect::<Result<_>>()?,
            resample: None,
        })
    }

    fn forward(&self, xs: Tensor) -> Result<Tensor> {
        let mut blocks = self.blocks.iter();
        blocks.try_fold(xs, |xs, block| block.forward(xs))
    }
}

/// Images to the posterior's moments.
#[derive(Clone, Debug)]
struct Encoder {
    conv_in: Conv2d,
    down: Vec<Level>,
    mid: Mid,
    norm_out: GroupNorm,
    conv_out: Conv2d,
}

impl Encoder {
    fn new(config: &VaeConfig, build: Build, vb: VarBuilder) -> Result<Self> {
        let mut c = config.ch;
        let mut down = Vec::new();
        for (i, multiple) in config.ch_mult.iter().enumerate() {
            let vb = vb.pp(format!("down.{i}"));
            let c_out = config.ch * multiple;
            let mut level = Level::new(build, config.num_res_blocks, (c, c_out), &vb)?;
            if i + 1 < config.ch_mult.len() {
                let vb = vb.pp("downsample.conv");
                level.resample = Some(build.conv(c_out, c_out, ConvShape::HALVING, vb)?);
            }
            down.push(level);
            c = c_out;
        }
        Ok(Self {
            conv_in: build.conv3x3(config.in_channels, config.ch, vb.pp("conv_in"))?,
            down,
            mid: Mid::new(build, c, vb.pp("mid"))?,
            norm_out: build.norm(c, vb.pp("norm_out"))?,
            conv_out: build.conv3x3(c, 2 * config.z_channels, vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, pixels: &Tensor) -> Result<Tensor> {
        let mut xs = self.conv_in.forward(pixels)?;
        for level in &self.down {
            xs = level.forward(xs)?;
            if let Some(halving) = &level.resample {
                xs = halving.forward(&xs)?;
            }
        }
        let xs = self.mid.forward(xs)?;
        self.conv_out.forward_activated(&self.norm_out, &xs)
    }
}

/// Latents to images.
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
    fn new(config: &VaeConfig, build: Build, vb: VarBuilder) -> Result<Self> {
        let channels: Vec<usize> = config.ch_mult.iter().map(|m| config.ch * m).collect();
        let coarsest = channels.last().copied().unwrap_or(config.ch);
        let mut up = Vec::new();
        for (i, c_out) in channels.iter().enumerate() {
            let vb = vb.pp(format!("up.{i}"));
            let c_in = channels.get(i + 1).copied().unwrap_or(coarsest);
            let mut level = Level::new(build, config.num_res_blocks + 1, (c_in, *c_out), &vb)?;
            if i > 0 {
                level.resample = Some(build.conv3x3(*c_out, *c_out, vb.pp("upsample.conv"))?);
            }
            up.push(level);
        }
        let finest = channels.first().copied().unwrap_or(config.ch);
        Ok(Self {
            conv_in: build.conv3x3(config.z_channels, coarsest, vb.pp("conv_in"))?,
            mid: Mid::new(build, coarsest, vb.pp("mid"))?,
            up,
            norm_out: build.norm(finest, vb.pp("norm_out"))?,
            conv_out: build.conv3x3(finest, config.out_ch, vb.pp("conv_out"))?,
        })
    }

    fn forward(&self, latent: &Tensor) -> Result<Tensor> {
        let mut xs = self.mid.forward(self.conv_in.forward(latent)?)?;
        for level in self.up.iter().rev() {
            xs = level.forward(xs)?;
            if let Some(conv) = &level.resample {
                xs = conv.forward_doubled(&xs)?;
            }
        }
        self.conv_out.forward_activated(&self.norm_out, &xs)
    }
}

/// Encoder and decoder with the latent's scale and shift.
#[derive(Clone, Debug)]
pub struct FluxVae {
    encoder: Encoder,
    decoder: Decoder,
    config: VaeConfig,
}

impl FluxVae {
    /// Reads `encoder.*` and `decoder.*`.
    ///
    /// # Errors
    /// If a tensor is missing or misshapen.
    pub fn new(config: &VaeConfig, products: ConvPrecision, vb: VarBuilder) -> Result<Self> {
        let build = Build {
            n_groups: config.norm_num_groups,
            products,
        };
        Ok(Self {
            encoder: Encoder::new(config, build, vb.pp("encoder"))?,
            decoder: Decoder::new(config, build, vb.pp("decoder"))?,
            config: config.clone(),
        })
    }

    /// Pixels (b, 3, hh, ww) in [−1, 1] → mean and log-variance (b, 2z, hh/8, ww/8).
    ///
    /// # Errors
    /// If shapes do not fit.
    pub fn moments(&self, pixels: &Tensor) -> Result<Tensor> {
        self.encoder.forward(pixels)
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
        self.decoder.forward(&z)
    }
}
