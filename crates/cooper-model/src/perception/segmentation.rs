//! Segmentations: the model paints objects in flat colours; here the colours become regions.
//!
//! A region is a connected area of one colour. Colours stand for classes only where the model has a palette.

use std::collections::BTreeMap;

use image::{Rgb, RgbImage, imageops};
use nalgebra::{Point2, Vector2};

use super::map::{MapRequest, draw_map_of};
use super::paints::{connected, drawn_of, least_pixels, nearest, nearest_paint, paints_of};
use crate::engine::{Control, Engine, MapKind};
use crate::error::Result;
use crate::model::Palette;

/// The label of pixels that belong to no region.
pub const UNLABELED: u16 = u16::MAX;

/// A connected area is a region if it covers at least this share of the image.
const MIN_REGION_SHARE: f64 = 0.002;

/// A rectangle in pixels, both corners inside the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundingBox {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// A connected area of one colour.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its number in the label image: by size, the largest is 0, unless a [`super::RegionTracker`] gave it another.
    pub id: u16,
    /// Its paint.
    pub color: [u8; 3],
    /// Its size.
    pub n_pixels: u32,
    /// The rectangle around it.
    pub bounding_box: BoundingBox,
    /// The mean of its pixels' centres, x to the right and y down, in pixels.
    pub centroid: Point2<f32>,
    /// The id of its class in the model's palette; none without a palette.
    pub class: Option<u8>,
    /// The name of its class; without one the model's name for it, empty without an answer, none before the model is asked.
    pub name: Option<String>,
}

/// A segmentation at the source image's size.
#[derive(Clone, Debug)]
pub struct Segmentation {
    /// The map as drawn.
    pub color: RgbImage,
    /// Row-major region ids, [`UNLABELED`] between them.
    pub labels: Vec<u16>,
    /// By id.
    pub regions: Vec<Region>,
}

/// Draw the segmentation of `image`, bring it to the image's size, and find its regions.
///
/// # Errors
/// [`crate::Error::Canceled`] within one flow step of a stop.
pub fn segment(
    engine: &Engine,
    request: &MapRequest,
    image: &RgbImage,
    control: &mut Control,
) -> Result<Segmentation> {
    let map = draw_map_of(engine, MapKind::Segmentation, request, image, control)?;
    let palette = engine.config().palette.as_ref();
    Ok(Segmentation::at_size(
        &map.image(),
        image.dimensions(),
        palette,
    ))
}

impl Segmentation {
    /// The regions of a drawn image, brought to the size `source` (width, height); with the palette's classes if there is one.
    pub fn at_size(
        drawn: &RgbImage,
        (width, height): (u32, u32),
        palette: Option<&Palette>,
    ) -> Self {
        let nearest = imageops::FilterType::Nearest;
        let color = imageops::resize(drawn, width, height, nearest);
        match palette {
            Some(palette) => Self::from_palette(color, palette),
            None => Self::from_colors(color),
        }
    }

    /// Find the regions of an image in flat colours.
    pub fn from_colors(color: RgbImage) -> Self {
        let paints = paints_of(&color);
        let painted: Vec<Option<usize>> = color.pixels().map(|p| nearest(&paints, p.0)).collect();
        Self::painted(color, &paints, &painted)
    }

    /// Find the regions of an image in a palette's colours: each pixel, however blurred, has the class of the nearest colour
    /// that covers enough of the image.
    pub fn from_palette(mut color: RgbImage, palette: &Palette) -> Self {
        let classes = palette.classes();
        let all: Vec<[u8; 3]> = classes.iter().map(|class| class.color).collect();
        let paints = drawn_of(&all, &color);
        let painted = color.pixels_mut().map(|pixel| {
            let place = nearest_paint(&paints, pixel.0);
            *pixel = Rgb(paints[place]);
            Some(place)
        });
        let painted: Vec<Option<usize>> = painted.collect();
        let mut found = Self::painted(color, &paints, &painted);
        for region in &mut found.regions {
            let class = classes.iter().find(|class| class.color == region.color);
            region.class = class.map(|class| class.id);
            region.name = class.map(|class| class.name.clone());
        }
        found
    }

    /// The connected areas of these paints, of which each pixel has the one at its place in `painted`.
    fn painted(color: RgbImage, paints: &[[u8; 3]], painted: &[Option<usize>]) -> Self {
        let width = color.width() as usize;
        let min_pixels = least_pixels(&color, MIN_REGION_SHARE) as usize;
        let mut areas: Vec<(usize, Vec<usize>)> = connected(painted, width)
            .into_iter()
            .filter(|(_, pixels)| pixels.len() >= min_pixels)
            .collect();
        areas.sort_by_key(|(_, pixels)| (std::cmp::Reverse(pixels.len()), pixels[0]));
        areas.truncate(usize::from(UNLABELED));
        let mut labels = vec![UNLABELED; painted.len()];
        let mut regions = Vec::with_capacity(areas.len());
        for (id, (paint, pixels)) in (0u16..).zip(areas) {
            for pixel in &pixels {
                labels[*pixel] = id;
            }
            regions.push(Region::new(id, paints[paint], &pixels, width));
        }
        Self {
            color,
            labels,
            regions,
        }
    }

    /// For each region, by id, the pixel that lies deepest inside of it, where what is there is clearest: a bent
    /// region's centroid may lie outside. Of equals, the one nearest to the centroid.
    pub fn inner_pixels(&self) -> BTreeMap<u16, Point2<u32>> {
        let width = self.color.width();
        let mut deepest: BTreeMap<u16, (u32, f32, Point2<u32>)> = BTreeMap::new();
        let centroids: BTreeMap<u16, Point2<f32>> =
            self.regions.iter().map(|r| (r.id, r.centroid)).collect();
        let pixels = (0u32..).map(|i| Point2::new(i % width, i / width));
        let depths = inner_depths(&self.labels, width as usize);
        for ((pixel, depth), label) in pixels.zip(depths).zip(&self.labels) {
            let Some(centroid) = centroids.get(label) else {
                continue;
            };
            let off = (pixel.cast::<f32>() - centroid).norm();
            let best = deepest.entry(*label).or_insert((0, f32::INFINITY, pixel));
            if (depth, -off) > (best.0, -best.1) {
                *best = (depth, off, pixel);
            }
        }
        let pixel = |(id, (_, _, pixel))| (id, pixel);
        deepest.into_iter().map(pixel).collect()
    }
}

/// Steps along rows and columns from each pixel to the nearest one outside of its region; outside of the image is
/// outside of all.
fn inner_depths(labels: &[u16], width: usize) -> Vec<u32> {
    let n = labels.len();
    let mut depths = vec![0u32; n];
    let step = |depths: &[u32], pixel: usize, other: Option<usize>| {
        let same = other.filter(|other| labels[*other] == labels[pixel]);
        same.map_or(1, |other| depths[other] + 1)
    };
    for pixel in 0..n {
        let left = (pixel % width > 0).then(|| pixel - 1);
        let above = pixel.checked_sub(width);
        depths[pixel] = step(&depths, pixel, left).min(step(&depths, pixel, above));
    }
    for pixel in (0..n).rev() {
        let right = (pixel % width + 1 < width).then(|| pixel + 1);
        let below = Some(pixel + width).filter(|below| *below < n);
        let back = step(&depths, pixel, right).min(step(&depths, pixel, below));
        depths[pixel] = depths[pixel].min(back);
    }
    depths
}

impl Region {
    fn new(id: u16, color: [u8; 3], pixels: &[usize], width: usize) -> Self {
        let mut sum = Vector2::<f64>::zeros();
        let (mut left, mut top, mut right, mut bottom) = (usize::MAX, usize::MAX, 0, 0);
        for pixel in pixels {
            let (x, y) = (pixel % width, pixel / width);
            sum += Vector2::new(x as f64, y as f64);
            (left, right) = (left.min(x), right.max(x));
            (top, bottom) = (top.min(y), bottom.max(y));
        }
        Self {
            id,
            color,
            n_pixels: pixels.len() as u32,
            bounding_box: BoundingBox {
                x: left as u32,
                y: top as u32,
                width: (right - left + 1) as u32,
                height: (bottom - top + 1) as u32,
            },
            centroid: Point2::from((sum / pixels.len() as f64).cast::<f32>()),
            class: None,
            name: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PaletteClass;

    fn palette(classes: &[(&str, [u8; 3])]) -> Palette {
        let class = |(id, (name, color)): (u8, &(&str, [u8; 3]))| PaletteClass {
            id,
            name: (*name).into(),
            color: *color,
            parent: None,
        };
        Palette::new((0..).zip(classes).map(class).collect()).unwrap()
    }

    #[test]
    fn a_palette_gives_regions_classes_and_names_and_seams_have_none_of_their_own() {
        // Blue above grey, with a seam of half a colour that is the palette's `rug`; and far from any colour on the left.
        let color = RgbImage::from_fn(60, 40, |x, y| {
            Rgb(match (x, y) {
                (..2, ..5) => [250, 120, 110],
                (_, ..20) => [10, 20, 230],
                (30, 20) => [50, 50, 150],
                _ => [70, 55, 60],
            })
        });
        let palette = palette(&[
            ("floor", [60; 3]),
            ("rug", [50, 50, 150]),
            ("chair", [0, 0, 255]),
        ]);
        let found = Segmentation::from_palette(color, &palette);
        let named: Vec<_> = (found.regions.iter())
            .map(|region| (region.class, region.name.as_deref(), region.color))
            .collect();
        let floor = (Some(0), Some("floor"), [60; 3]);
        assert_eq!(named, [floor, (Some(2), Some("chair"), [0, 0, 255]), floor]);
        let sizes: Vec<u32> = found.regions.iter().map(|r| r.n_pixels).collect();
        assert_eq!(sizes, [20 * 60, 20 * 60 - 10, 10]);
        assert!(!found.labels.contains(&UNLABELED));
    }

    #[test]
    fn areas_of_one_color_are_regions_by_size() {
        // A red rectangle and two blue squares of different sizes on grey, with a little noise.
        let inside = |x: u32, y: u32, (left, top, w, h): (u32, u32, u32, u32)| {
            (left..left + w).contains(&x) && (top..top + h).contains(&y)
        };
        let color = RgbImage::from_fn(60, 40, |x, y| {
            let noise = ((x * 7 + y * 13) % 5) as u8;
            Rgb(if inside(x, y, (5, 5, 20, 10)) {
                [200 + noise, 10, 10]
            } else if inside(x, y, (40, 5, 8, 8)) || inside(x, y, (40, 25, 6, 6)) {
                [10, 10, 200 + noise]
            } else {
                [90 + noise, 90, 90]
            })
        });
        let segmentation = Segmentation::from_colors(color);
        let sizes: Vec<u32> = segmentation.regions.iter().map(|r| r.n_pixels).collect();
        assert_eq!(sizes, [2400 - 200 - 64 - 36, 200, 64, 36]);
        let red = &segmentation.regions[1];
        assert_eq!(
            red.bounding_box,
            BoundingBox {
                x: 5,
                y: 5,
                width: 20,
                height: 10
            }
        );
        assert_eq!(red.centroid, Point2::new(14.5, 9.5));
        assert_eq!(segmentation.labels[5 * 60 + 5], 1);
        assert!(!segmentation.labels.contains(&UNLABELED));
    }

    #[test]
    fn inner_pixels_lie_inside_and_far_from_edges() {
        // A frame of grey, 5 wide on the left and 1 wide elsewhere, around red.
        let color = RgbImage::from_fn(30, 20, |x, y| {
            let red = (5..29).contains(&x) && (1..19).contains(&y);
            Rgb(if red { [200, 0, 0] } else { [90; 3] })
        });
        let segmentation = Segmentation::from_colors(color);
        let inner = segmentation.inner_pixels();
        let (red, grey) = (inner[&0], inner[&1]);
        assert_eq!(red.y.abs_diff(10).min(red.y.abs_diff(9)), 0, "{red}");
        assert!((10..24).contains(&red.x), "{red}");
        assert_eq!((grey.x, segmentation.labels[30 * 9 + 2]), (2, 1), "{grey}");
    }

    #[test]
    fn noise_has_no_regions() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let noise = RgbImage::from_fn(64, 48, |_, _| Rgb([random(), random(), random()]));
        let segmentation = Segmentation::from_colors(noise);
        assert!(segmentation.regions.len() < 3, "{:?}", segmentation.regions);
    }
}
