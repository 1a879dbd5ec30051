//! Rows of stage 1: an image, and the map to draw of it.
//!
//! Source: `cooper_spec.md` §8. Depth is linear in metres between the ends of its data set's range.

use std::sync::Arc;

use cooper_imaging::{ResizeRule, bicubic_i32, load_grey16};
use cooper_model::Result;
use cooper_model::engine::{MapKind, Views};
use cooper_model::reasoning::Prompts;
use image::{GenericImageView, Pixel, SubImage, imageops};
use rand::Rng;
use rand::rngs::StdRng;

use super::config::{Crop, DepthScale, JsonlRows, RowForm};
use super::row::Row;
use crate::training::sample::{Part, Sample, Target};

/// Columns and rows of KITTI's benchmark.
const KITTI: (u32, u32) = (1216, 352);

/// The image, the instruction, and the map to draw; both mirrored or neither.
pub(super) fn sample(
    row: &Row,
    config: &JsonlRows,
    rule: ResizeRule,
    prompts: &Prompts,
    rng: &mut StdRng,
) -> Result<Sample> {
    let crop = config.crop();
    let side = match rng.random_bool(config.flip) {
        true => Side::Mirrored,
        false => Side::AsStored,
    };
    let whole = row.image("rgb_image")?;
    let (kind, target) = match (config.rows, config.scale()) {
        (RowForm::Depth, Some(scale)) => {
            let map = load_grey16(&row.path("depth_image")?);
            let map = map.map_err(|e| row.wrong("depth_image", e.to_string()))?;
            check_size(row, "depth_image", map.dimensions(), whole.dimensions())?;
            let map = cut(row, "depth_image", &map, crop, side)?;
            (
                MapKind::Depth,
                depth(map.as_raw(), map.dimensions(), &scale, rule)?,
            )
        }
        _ => {
            let map = row.image("seg_image")?;
            check_size(row, "seg_image", map.dimensions(), whole.dimensions())?;
            let map = cut(row, "seg_image", &map, crop, side)?;
            (MapKind::Segmentation, Target::Image(Arc::new(map)))
        }
    };
    let image = Arc::new(cut(row, "rgb_image", &whole, crop, side)?);
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

/// Whether an image is mirrored left to right.
#[derive(Clone, Copy, Debug)]
enum Side {
    AsStored,
    Mirrored,
}

/// The part of an image that is kept, mirrored or not.
fn cut<P: Pixel + 'static>(
    row: &Row,
    key: &str,
    whole: &Pixels<P>,
    crop: Crop,
    side: Side,
) -> Result<Pixels<P>> {
    let (width, height) = whole.dimensions();
    let mut part: SubImage<&Pixels<P>> = whole.view(0, 0, width, height);
    if crop == Crop::Kitti {
        let (w, h) = KITTI;
        if width < w || height < h {
            let why =
                format!("expected at least {w}x{h} pixels for kitti_crop, got {width}x{height}");
            return Err(row.wrong(key, why));
        }
        part = whole.view((width - w) / 2, height - h, w, h);
    }
    Ok(match side {
        Side::Mirrored => imageops::flip_horizontal(&*part),
        Side::AsStored => part.to_image(),
    })
}

/// Stored depth at the size of drawn maps, in [0, 1].
fn depth(stored: &[u16], size: (u32, u32), scale: &DepthScale, rule: ResizeRule) -> Result<Target> {
    let stored: Vec<i32> = stored.iter().map(|depth| i32::from(*depth)).collect();
    let (width, height) = rule.output_size(size.0, size.1);
    let resized = bicubic_i32(&stored, size, (width, height))?;
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
