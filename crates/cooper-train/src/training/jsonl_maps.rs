//! Rows of stage 1: an image, and the map that shall be drawn of it.
//!
//! Source: `cooper_spec.md` §8. Depth is linear in metres between the ends of its data set's range.

use std::sync::Arc;

use cooper_imaging::{ResizeRule, bicubic_whole, load_grey16};
use cooper_model::engine::{MapKind, Views};
use cooper_model::reasoning::Prompts;
use cooper_model::{Error, Result};
use image::{GenericImageView, Pixel, SubImage, imageops};
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use super::jsonl::{JsonlRows, Row, RowForm};
use super::sample::{Part, Sample, Target};

/// Columns and rows of KITTI's benchmark.
const KITTI: (u32, u32) = (1216, 352);

/// Data sets whose depth is stored in a known way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DepthDataset {
    /// Virtual KITTI: centimetres, to 80 m.
    Vkitti,
    /// KITTI: 1/256 m, to 80 m.
    Kitti,
    /// Hypersim: millimetres, to 65 m.
    Hypersim,
    /// NYU: millimetres, to 10 m.
    Nyu,
}

impl DepthDataset {
    /// Its numbers.
    pub fn scale(self) -> DepthScale {
        let (scale, lo, hi) = match self {
            Self::Vkitti => (100.0, 1e-5, 80.0),
            Self::Kitti => (256.0, 1e-5, 80.0),
            Self::Hypersim => (1000.0, 1e-5, 65.0),
            Self::Nyu => (1000.0, 1e-3, 10.0),
        };
        DepthScale { scale, lo, hi }
    }
}

/// How depth is stored and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DepthScale {
    /// Stored units of a metre.
    pub scale: f64,
    /// The depth that is drawn as 0, metres.
    pub lo: f64,
    /// The depth that is drawn as 1, metres.
    pub hi: f64,
}

impl DepthScale {
    pub(super) fn check(&self) -> Result<()> {
        let Self { scale, lo, hi } = *self;
        if scale > 0.0 && scale.is_finite() && lo >= 0.0 && lo < hi && hi.is_finite() {
            return Ok(());
        }
        let why = format!("expected scale > 0 and 0 <= lo < hi, got {scale}, {lo}, {hi}");
        Err(Error::invalid("jsonl: depth_scale", why))
    }

    /// Stored depth in [0, 1].
    fn relative(&self, stored: i32) -> f32 {
        let metres = (f64::from(stored) / self.scale).clamp(self.lo, self.hi);
        ((metres - self.lo) / (self.hi - self.lo)) as f32
    }
}

/// The image, the instruction, and the map to draw; both mirrored or neither.
pub(super) fn sample(
    row: &Row,
    config: &JsonlRows,
    rule: ResizeRule,
    prompts: &Prompts,
    rng: &mut StdRng,
) -> Result<Sample> {
    let flip = rng.random_bool(config.flip);
    let whole = row.image("rgb_image")?;
    let (kind, target) = match (config.rows, config.scale()) {
        (RowForm::Depth, Some(scale)) => {
            let map = load_grey16(&row.path("depth_image")?);
            let map = map.map_err(|e| row.wrong("depth_image", e.to_string()))?;
            check_size(row, "depth_image", map.dimensions(), whole.dimensions())?;
            let map = cut(row, "depth_image", &map, config.crops(), flip)?;
            (
                MapKind::Depth,
                depth(map.as_raw(), map.dimensions(), &scale, rule)?,
            )
        }
        _ => {
            let map = row.image("seg_image")?;
            check_size(row, "seg_image", map.dimensions(), whole.dimensions())?;
            let map = cut(row, "seg_image", &map, config.crops(), flip)?;
            (MapKind::Segmentation, Target::Image(Arc::new(map)))
        }
    };
    let image = Arc::new(cut(row, "rgb_image", &whole, config.crops(), flip)?);
    Ok(Sample {
        trunk: vec![
            Part::read(&image, Views::VaeAndVit),
            Part::prompt(prompts.instruction(kind)),
            Part::Draw(target),
        ],
        branches: Vec::new(),
    })
}

fn check_size(row: &Row, key: &str, got: (u32, u32), expected: (u32, u32)) -> Result<()> {
    if got == expected {
        return Ok(());
    }
    let ((w, h), (ww, hh)) = (got, expected);
    Err(row.wrong(
        key,
        format!("expected {ww}x{hh} pixels, as rgb_image has, got {w}x{h}"),
    ))
}

type Pixels<P> = image::ImageBuffer<P, Vec<<P as Pixel>::Subpixel>>;

/// KITTI's cut if wanted, then the mirror if wanted.
fn cut<P: Pixel + 'static>(
    row: &Row,
    key: &str,
    whole: &Pixels<P>,
    crop: bool,
    flip: bool,
) -> Result<Pixels<P>> {
    let (width, height) = whole.dimensions();
    let mut part: SubImage<&Pixels<P>> = whole.view(0, 0, width, height);
    if crop {
        let (w, h) = KITTI;
        if width < w || height < h {
            let why =
                format!("expected at least {w}x{h} pixels for kitti_crop, got {width}x{height}");
            return Err(row.wrong(key, why));
        }
        part = whole.view((width - w) / 2, height - h, w, h);
    }
    Ok(if flip {
        imageops::flip_horizontal(&*part)
    } else {
        part.to_image()
    })
}

/// Stored depth at the size of drawings, in [0, 1].
fn depth(stored: &[u16], size: (u32, u32), scale: &DepthScale, rule: ResizeRule) -> Result<Target> {
    let stored: Vec<i32> = stored.iter().map(|depth| i32::from(*depth)).collect();
    let (width, height) = rule.output_size(size.0, size.1);
    let resized = bicubic_whole(&stored, size, (width, height))?;
    Ok(Target::Depth {
        values: Arc::new(
            resized
                .into_iter()
                .map(|depth| scale.relative(depth))
                .collect(),
        ),
        width,
        height,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_depth_is_linear_between_the_ends_of_its_range() {
        for (dataset, stored, expected) in [
            (DepthDataset::Vkitti, 4000, 0.5),
            (DepthDataset::Kitti, 20_480, 1.0),
            (DepthDataset::Hypersim, 13_000, 0.2),
            (DepthDataset::Nyu, 2500, 0.249_925),
            (DepthDataset::Nyu, 65_535, 1.0),
            (DepthDataset::Nyu, 0, 0.0),
        ] {
            let got = dataset.scale().relative(stored);
            assert!((got - expected).abs() < 1e-6, "{dataset:?}: {got}");
        }
    }
}
