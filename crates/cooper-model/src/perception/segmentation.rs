//! Segmentations: the model paints objects in flat colours; here the colours become regions.
//!
//! There are no classes in the image, only colours: a region is a connected area of one colour.

use std::collections::BTreeMap;

use image::{RgbImage, imageops};
use nalgebra::{Point2, Vector2};

use super::map::{MapRequest, draw_map_of};
use crate::engine::{Control, Engine, MapKind};
use crate::error::Result;

/// The label of pixels that belong to no region.
pub const UNLABELED: u16 = u16::MAX;

/// A colour is flat paint if at least this share of the image has it.
const MIN_COLOR_SHARE: f64 = 0.004;
/// A connected area is a region if it covers at least this share of the image.
const MIN_REGION_SHARE: f64 = 0.002;
/// Colours nearer than this (Euclidean, 8-bit RGB) are one paint, blurred by decoding.
const SAME_PAINT: i32 = 48;

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
    /// The model's name for it, empty without an answer; none before the model is asked.
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
    Ok(Segmentation::at_size(&map.image(), image.dimensions()))
}

impl Segmentation {
    /// The regions of a drawn image, brought to the size `source` (width, height).
    pub fn at_size(drawn: &RgbImage, (width, height): (u32, u32)) -> Self {
        let nearest = imageops::FilterType::Nearest;
        Self::from_colors(imageops::resize(drawn, width, height, nearest))
    }

    /// Find the regions of an image in flat colours.
    pub fn from_colors(color: RgbImage) -> Self {
        let paints = paints_of(&color);
        let painted: Vec<Option<usize>> = color.pixels().map(|p| nearest(&paints, p.0)).collect();
        let width = color.width() as usize;
        let min_pixels = (painted.len() as f64 * MIN_REGION_SHARE).ceil() as usize;
        let mut areas: Vec<(usize, Vec<usize>)> = connected(&painted, width)
            .into_iter()
            .filter(|(_, pixels)| pixels.len() >= min_pixels.max(1))
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
            name: None,
        }
    }
}

/// The colours that cover enough of the image, the commonest first.
fn paints_of(color: &RgbImage) -> Vec<[u8; 3]> {
    // Count in cells of 16 levels a channel, keeping sums so that a paint is the mean of its cell.
    let mut cells = vec![(0u64, [0u64; 3]); 16 * 16 * 16];
    for pixel in color.pixels() {
        let [r, g, b] = pixel.0.map(usize::from);
        let (n, sums) = &mut cells[(r >> 4) << 8 | (g >> 4) << 4 | b >> 4];
        *n += 1;
        for (sum, value) in sums.iter_mut().zip([r, g, b]) {
            *sum += value as u64;
        }
    }
    cells.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    let n_pixels = u64::from(color.width()) * u64::from(color.height());
    let min_pixels = (n_pixels as f64 * MIN_COLOR_SHARE).ceil() as u64;
    let mut paints: Vec<[u8; 3]> = Vec::new();
    for (n, sums) in cells {
        if n < min_pixels.max(1) {
            break;
        }
        let paint = sums.map(|sum| (sum / n) as u8);
        if nearest(&paints, paint).is_none() {
            paints.push(paint);
        }
    }
    paints
}

/// The paint that a colour is a shade of, if any.
fn nearest(paints: &[[u8; 3]], color: [u8; 3]) -> Option<usize> {
    let distance = |paint: &[u8; 3]| -> i32 {
        let difference = |(a, b): (&u8, u8)| (i32::from(*a) - i32::from(b)).pow(2);
        paint.iter().zip(color).map(difference).sum()
    };
    paints
        .iter()
        .map(distance)
        .enumerate()
        .filter(|(_, d)| *d < SAME_PAINT * SAME_PAINT)
        .min_by_key(|(_, d)| *d)
        .map(|(i, _)| i)
}

/// Areas of one paint, joined over edges; each with its pixels in the order of discovery, the first one topmost.
fn connected(painted: &[Option<usize>], width: usize) -> Vec<(usize, Vec<usize>)> {
    let mut seen = vec![false; painted.len()];
    let mut areas = Vec::new();
    for start in 0..painted.len() {
        let Some(paint) = painted[start] else {
            continue;
        };
        if seen[start] {
            continue;
        }
        seen[start] = true;
        let mut pixels = vec![start];
        let mut next = 0;
        while let Some(&pixel) = pixels.get(next) {
            next += 1;
            let x = pixel % width;
            let neighbors = [
                (x > 0).then(|| pixel - 1),
                (x + 1 < width).then(|| pixel + 1),
                pixel.checked_sub(width),
                Some(pixel + width).filter(|p| *p < painted.len()),
            ];
            for neighbor in neighbors.into_iter().flatten() {
                if !seen[neighbor] && painted[neighbor] == Some(paint) {
                    seen[neighbor] = true;
                    pixels.push(neighbor);
                }
            }
        }
        areas.push((paint, pixels));
    }
    areas
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

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
