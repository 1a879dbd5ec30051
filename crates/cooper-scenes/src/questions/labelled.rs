//! Things of an image whose depth and classes are known: the connected regions of a class.
//!
//! Rooms that were photographed have no list of things, no gravity and no poses; what is asked about them follows from the
//! visible points alone, and only where that is clear.

use std::collections::BTreeMap;

use nalgebra::{Matrix3, Point2, Point3, Vector3};
use rand::rngs::StdRng;

use super::super::cast::PixelBox;
use super::question::Question;
use super::thing::{Thing, Things, UNKNOWN};
use super::{Grounding, ask, grounding};

/// Regions with a smaller share of the image are no things.
const LEAST_SHARE: f64 = 0.006;
/// Nor are those whose depth is known in less than this share of their pixels.
const LEAST_KNOWN: f64 = 0.5;
/// The nearest point of a region is nearer than all but this share of its points: single ones are errors.
const SPECKS: f64 = 0.02;
/// What is no thing, whatever a palette calls it.
const SURFACES: [&str; 7] = [
    "floor",
    "wall",
    "ceiling",
    "curtain",
    "soft thing",
    "other structure",
    "other furniture",
];
/// Two things of one class are told apart by their sides if their centroids differ by this share of the width.
const SIDE_SHARE: f64 = 0.12;
/// A region is seen whole if at most this share of its outline touches something nearer.
const HIDDEN_SHARE: f64 = 0.15;
/// Something is nearer if its depth is smaller by this share.
const NEARER_SHARE: f64 = 0.06;
/// The floor is known from this share of the image on.
const FLOOR_SHARE: f64 = 0.03;

/// An image whose depth and classes are known; all maps are row-major and of the image's size.
#[derive(Clone, Debug)]
pub struct LabelledImage<'a> {
    /// Width and height.
    pub size: (u32, u32),
    /// Metres along the optical axis; 0 is unknown.
    pub depth_m: &'a [f32],
    /// Classes; those that `names` does not have are unknown.
    pub labels: &'a [u8],
    /// What classes are called.
    pub names: BTreeMap<u8, &'a str>,
    /// Focal lengths along rows and columns, in pixels; the optical axis is in the middle.
    pub focal_px: [f64; 2],
}

impl LabelledImage<'_> {
    /// All that can be asked with a clear answer, each once, in random order and wording.
    pub fn questions(&self, rng: &mut StdRng) -> Vec<Question> {
        ask::all(&self.things(), rng)
    }

    /// `n` questions that tie names and distances to places, perhaps with repetitions.
    pub fn grounding(&self, n: usize, rng: &mut StdRng) -> Vec<Grounding> {
        grounding::some(&self.things(), n, rng)
    }

    fn things(&self) -> Things {
        let is_surface = |name: &str| SURFACES.contains(&name);
        let classes: Vec<u8> = (self.names.iter())
            .filter(|(_, name)| !is_surface(name))
            .map(|(id, _)| *id)
            .collect();
        let surfaces: Vec<String> = self
            .names
            .values()
            .filter(|name| is_surface(name))
            .map(|name| name.to_string())
            .collect();
        let floor = self.floor();
        let mut regions = self.regions(&classes);
        regions.retain(|region| self.is_thing(region));
        let names = unique_names(
            &regions,
            |region| self.names[&classes[region.group]].to_string(),
            self.size.0,
        );
        let all: Vec<Thing> = regions
            .iter()
            .zip(names)
            .map(|(region, (name, is_unique))| self.thing(region, name, is_unique, floor))
            .collect();
        let mut shown = vec![UNKNOWN; self.labels.len()];
        for (i, region) in regions.iter().enumerate() {
            for &pixel in &region.pixels {
                shown[pixel] = i as u16;
            }
        }
        for (shown, label) in shown.iter_mut().zip(self.labels) {
            let name = self.names.get(label);
            if let Some(place) = name.and_then(|name| surfaces.iter().position(|s| s == name)) {
                *shown = (all.len() + place) as u16;
            }
        }
        Things {
            size: self.size,
            all,
            is_complete: false,
            groups: classes.iter().map(|id| plural(self.names[id])).collect(),
            shown,
            surfaces,
            depth_m: self.depth_m.to_vec(),
            focal_px: self.focal_px[0],
        }
    }

    /// Connected pixels of these classes.
    fn regions(&self, classes: &[u8]) -> Vec<Region> {
        let (width, n) = (self.size.0 as usize, self.labels.len());
        let mut is_done = vec![false; n];
        let mut regions = Vec::new();
        for start in 0..n {
            let label = self.labels[start];
            let group = classes.iter().position(|class| *class == label);
            let (false, Some(group)) = (is_done[start], group) else {
                continue;
            };
            is_done[start] = true;
            let mut pixels = vec![start];
            let mut next = 0;
            while let Some(&pixel) = pixels.get(next) {
                next += 1;
                for neighbour in neighbours(pixel, width, n) {
                    if !is_done[neighbour] && self.labels[neighbour] == label {
                        is_done[neighbour] = true;
                        pixels.push(neighbour);
                    }
                }
            }
            regions.push(Region { group, pixels });
        }
        regions
    }

    fn is_thing(&self, region: &Region) -> bool {
        let n = region.pixels.len() as f64;
        let known = region
            .pixels
            .iter()
            .filter(|p| self.depth_m[**p] > 0.0)
            .count() as f64;
        n >= LEAST_SHARE * self.labels.len() as f64 && known >= LEAST_KNOWN * n
    }

    /// The point that a pixel shows, in the camera's optical frame.
    fn point(&self, pixel: usize) -> Option<Point3<f64>> {
        let z = f64::from(self.depth_m[pixel]);
        let (width, height) = self.size;
        let at = [pixel % width as usize, pixel / width as usize];
        let middle = [width, height].map(|n| (f64::from(n) - 1.0) / 2.0);
        let [x, y] = [0, 1].map(|axis| (at[axis] as f64 - middle[axis]) / self.focal_px[axis] * z);
        (z > 0.0).then(|| Point3::new(x, y, z))
    }

    fn thing(&self, region: &Region, name: String, is_unique: bool, floor: Option<Floor>) -> Thing {
        let points: Vec<Point3<f64>> = region
            .pixels
            .iter()
            .filter_map(|p| self.point(*p))
            .collect();
        let center = Point3::from(Vector3::from_fn(|axis, _| {
            quantile(points.iter().map(|p| p[axis]), 0.5)
        }));
        let bounding_box = region.bounding_box(self.size.0 as usize);
        Thing {
            name,
            is_unique,
            group: region.group,
            centroid: region.centroid(self.size.0 as usize),
            bounding_box,
            nearest_m: quantile(points.iter().map(|p| p.coords.norm()), SPECKS),
            center_in_camera: center,
            height_m: floor.map(|floor| floor.height_of(&center)),
            extent_m: self.is_whole(region, bounding_box).then(|| {
                let side = |n: u32, axis: usize| f64::from(n) / self.focal_px[axis] * center.z;
                [side(bounding_box.height, 1), side(bounding_box.width, 0)]
            }),
        }
    }

    /// Whether the outline tells the size: not cut off by the image's edges, and hardly hidden.
    fn is_whole(&self, region: &Region, bounds: PixelBox) -> bool {
        let (width, height) = self.size;
        let is_inside = bounds.x > 0
            && bounds.y > 0
            && bounds.x + bounds.width < width
            && bounds.y + bounds.height < height;
        let (mut n, mut hidden) = (0, 0);
        for &pixel in &region.pixels {
            for other in neighbours(pixel, width as usize, self.labels.len()) {
                let [own, beside] = [pixel, other].map(|p| f64::from(self.depth_m[p]));
                if self.labels[other] != self.labels[pixel] && own > 0.0 && beside > 0.0 {
                    n += 1;
                    hidden += usize::from(beside < own * (1.0 - NEARER_SHARE));
                }
            }
        }
        is_inside && n > 0 && f64::from(hidden as u32) <= HIDDEN_SHARE * f64::from(n)
    }

    /// The plane through the pixels of the class `floor`.
    fn floor(&self) -> Option<Floor> {
        let id = self
            .names
            .iter()
            .find(|(_, name)| **name == "floor")
            .map(|(id, _)| *id)?;
        let points: Vec<Point3<f64>> = (0..self.labels.len())
            .filter(|p| self.labels[*p] == id)
            .filter_map(|p| self.point(p))
            .collect();
        if (points.len() as f64) < FLOOR_SHARE * self.labels.len() as f64 {
            return None;
        }
        // y = a·x + b·z + c, by least squares.
        let (mut left, mut right) = (Matrix3::zeros(), Vector3::zeros());
        for point in &points {
            let row = Vector3::new(point.x, point.z, 1.0);
            left += row * row.transpose();
            right += row * point.y;
        }
        left.lu().solve(&right).map(|plane| Floor { plane })
    }
}

/// y = a·x + b·z + c in the camera's optical frame.
#[derive(Clone, Copy)]
struct Floor {
    plane: Vector3<f64>,
}

impl Floor {
    fn height_of(self, point: &Point3<f64>) -> f64 {
        let [a, b, c] = self.plane.into();
        (a * point.x + b * point.z + c - point.y) / (a * a + b * b + 1.0).sqrt()
    }
}

/// Connected pixels of a class.
struct Region {
    group: usize,
    pixels: Vec<usize>,
}

impl Region {
    fn centroid(&self, width: usize) -> Point2<f64> {
        let n = self.pixels.len().max(1) as f64;
        let sum = |part: fn(usize, usize) -> usize| {
            self.pixels.iter().map(|p| part(*p, width)).sum::<usize>()
        };
        Point2::new(sum(|p, w| p % w) as f64 / n, sum(|p, w| p / w) as f64 / n)
    }

    fn bounding_box(&self, width: usize) -> PixelBox {
        let span = |part: fn(usize, usize) -> usize| {
            let all = || self.pixels.iter().map(|p| part(*p, width) as u32);
            let low = all().min().unwrap_or_default();
            (low, all().max().unwrap_or_default() - low + 1)
        };
        let ((x, width), (y, height)) = (span(|p, w| p % w), span(|p, w| p / w));
        PixelBox {
            x,
            y,
            width,
            height,
        }
    }
}

/// The pixels beside, above and below.
fn neighbours(pixel: usize, width: usize, n: usize) -> impl Iterator<Item = usize> {
    let column = pixel % width;
    [
        (column > 0).then(|| pixel - 1),
        (column + 1 < width).then(|| pixel + 1),
        pixel.checked_sub(width),
        Some(pixel + width).filter(|p| *p < n),
    ]
    .into_iter()
    .flatten()
}

/// What regions are called, and whether no other is called so: of a class, the only one has its name, those on the outer sides
/// `left` and `right` before it.
fn unique_names(
    regions: &[Region],
    name: impl Fn(&Region) -> String,
    width: u32,
) -> Vec<(String, bool)> {
    let column = |region: &Region| region.centroid(width as usize).x;
    let named = regions.iter().map(|region| {
        let mut columns: Vec<f64> = regions
            .iter()
            .filter(|r| r.group == region.group)
            .map(column)
            .collect();
        columns.sort_by(f64::total_cmp);
        let (own, apart) = (column(region), SIDE_SHARE * f64::from(width));
        let name = name(region);
        match columns.as_slice() {
            [_] => (name, true),
            [first, second, ..] if own == *first && second - first >= apart => {
                (format!("left {name}"), true)
            }
            [.., before, last] if own == *last && last - before >= apart => {
                (format!("right {name}"), true)
            }
            _ => (name, false),
        }
    });
    named.collect()
}

/// The number below which this share of the numbers lies.
fn quantile(numbers: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = numbers.collect();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len() as f64) as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn plural(name: &str) -> String {
    match name {
        "books" | "scissors" => name.into(),
        "person" => "people".into(),
        _ if name.ends_with(['s', 'x']) => format!("{name}es"),
        _ if name.ends_with("shelf") => name.replace("shelf", "shelves"),
        _ => format!("{name}s"),
    }
}
