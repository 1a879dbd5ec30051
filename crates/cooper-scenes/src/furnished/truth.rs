//! What is known about the things of a scene.

use std::collections::BTreeMap;

use glam::{Vec3A, Vec3Swizzles};
use nalgebra::{Point2, Point3};

use super::layout::item::Item;
use super::render::Seen;
use super::stage::Stage;
use super::viewpoint::pixel_ray;
use crate::camera::Camera;
use crate::cast::{FIRST_OBJECT, PixelBox};

/// The label of what is seen, but is no object of the list: too small, or outdoors.
pub const UNLISTED: u8 = 255;
/// At most so many objects are listed.
const MOST_OBJECTS: usize = 240;
/// Rays that tell how much of a thing is hidden, along each side of it.
const PROBES: u32 = 14;

/// A thing that is seen.
#[derive(Clone, Debug, PartialEq)]
pub struct FurnishedObject {
    /// What it is, for example `night stand`.
    pub name: String,
    /// Its class of the palette, or [`UNLABELLED`](super::UNLABELLED).
    pub class: u8,
    /// The name of the colour that most of what is seen of it has, if one does.
    pub color: Option<&'static str>,
    /// The model of a catalogue or of a world.
    pub model: Option<String>,
    /// The object under it, as an index into the scene's objects; floor, wall or something unlisted otherwise.
    pub stands_on: Option<usize>,
    /// Width, depth and height of the box around it in metres.
    pub size_m: [f64; 3],
    /// How its front is turned to the left from the world's -y, in radians.
    pub yaw: f64,
    /// The middle of its box in the world.
    pub center_in_world: Point3<f64>,
    /// The middle of its box in the camera's optical frame.
    pub center_in_camera: Point3<f64>,
    /// How many pixels show it.
    pub visible_pixels: usize,
    /// How much of its outline is in the image and not hidden, in [0, 1].
    pub visible_share: f64,
    /// The rectangle around the pixels that show it.
    pub bounding_box: PixelBox,
    /// The mean of the centres of the pixels that show it, column and row.
    pub centroid: Point2<f64>,
    /// From the camera to the nearest point of it that a pixel shows, as the crow flies, in metres.
    pub nearest_m: f64,
}

/// The pixels of one thing.
#[derive(Default)]
struct Pixels {
    n: usize,
    sum: [u64; 2],
    low: [u32; 2],
    high: [u32; 2],
    nearest_m: f64,
    colors: BTreeMap<&'static str, usize>,
}

/// The listed objects, and each pixel's label: floor, wall, ceiling, an object's, or [`UNLISTED`].
pub(super) fn objects(
    items: &[Item],
    stage: &Stage,
    camera: &Camera,
    seen: &Seen,
    visible_from: usize,
) -> (Vec<FurnishedObject>, Vec<u8>) {
    let first = u16::from(FIRST_OBJECT);
    let pixels = gather(seen, camera);
    let mut listed: Vec<u16> = pixels
        .iter()
        .filter(|(id, pixels)| {
            **id >= first && usize::from(**id - first) < items.len() && pixels.n >= visible_from
        })
        .map(|(id, _)| *id)
        .collect();
    listed.truncate(MOST_OBJECTS);
    let position = |id: u16| listed.binary_search(&id).ok();
    let objects = listed.iter().filter_map(|&id| {
        let item = &items[usize::from(id - first)];
        let support = item.support.and_then(|i| position(i as u16 + first));
        let pixels = pixels.get(&id)?;
        let share = pixels.n as f64 / covered(id, item, stage, camera).max(1.0);
        Some(object(item, support, pixels, share.min(1.0), camera))
    });
    let label = |&id: &u16| match id {
        0..3 => id as u8,
        _ => position(id).map_or(UNLISTED, |i| FIRST_OBJECT + i as u8),
    };
    (objects.collect(), seen.ids.iter().map(label).collect())
}

fn gather(seen: &Seen, camera: &Camera) -> BTreeMap<u16, Pixels> {
    let mut all: BTreeMap<u16, Pixels> = BTreeMap::new();
    for (i, (&id, &depth)) in seen.ids.iter().zip(&seen.depth).enumerate() {
        let at = [(i % seen.width) as u32, (i / seen.width) as u32];
        let x = (f64::from(at[0]) - camera.cx) / camera.fx;
        let y = (f64::from(at[1]) - camera.cy) / camera.fy;
        let range_m = f64::from(depth) * (x * x + y * y + 1.0).sqrt();
        let pixels = all.entry(id).or_insert_with(|| Pixels {
            low: at,
            nearest_m: f64::INFINITY,
            ..Pixels::default()
        });
        pixels.n += 1;
        for (axis, value) in at.into_iter().enumerate() {
            pixels.sum[axis] += u64::from(value);
            pixels.low[axis] = pixels.low[axis].min(value);
            pixels.high[axis] = pixels.high[axis].max(value);
        }
        pixels.nearest_m = pixels.nearest_m.min(range_m);
        *pixels.colors.entry(color_name(seen.albedo[i])).or_default() += 1;
    }
    all
}

fn object(
    item: &Item,
    stands_on: Option<usize>,
    pixels: &Pixels,
    visible_share: f64,
    camera: &Camera,
) -> FurnishedObject {
    let volume = &item.volume;
    let n = pixels.n.max(1) as f64;
    let height = (volume.low + volume.high) / 2.0;
    let [x, y] = volume.center.to_array().map(f64::from);
    let center = Point3::new(x, y, f64::from(height));
    let most = pixels.colors.iter().max_by_key(|(_, n)| **n);
    FurnishedObject {
        name: item.word.clone(),
        class: item.class,
        color: most
            .filter(|(_, n)| **n * 5 >= pixels.n * 3)
            .map(|(name, _)| *name),
        model: item.model.clone(),
        stands_on,
        size_m: [
            2.0 * volume.half.x,
            2.0 * volume.half.y,
            volume.high - volume.low,
        ]
        .map(f64::from),
        yaw: f64::from(volume.yaw),
        center_in_world: center,
        center_in_camera: camera.world_from_camera.inverse_transform_point(&center),
        visible_pixels: pixels.n,
        visible_share,
        bounding_box: PixelBox {
            x: pixels.low[0],
            y: pixels.low[1],
            width: pixels.high[0] - pixels.low[0] + 1,
            height: pixels.high[1] - pixels.low[1] + 1,
        },
        centroid: Point2::new(pixels.sum[0] as f64 / n, pixels.sum[1] as f64 / n),
        nearest_m: pixels.nearest_m,
    }
}

/// How many pixels a thing would have in a picture without edges if it were alone, by a grid of rays.
fn covered(id: u16, item: &Item, stage: &Stage, camera: &Camera) -> f64 {
    let corners = item.volume.corners();
    let points = corners
        .iter()
        .flat_map(|c| [item.volume.low, item.volume.high].map(|z| c.extend(z)));
    let (mut low, mut high) = ([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]);
    for point in points {
        let [x, y] = point.xy().to_array().map(f64::from);
        let Some(at) = camera.project(&Point3::new(x, y, f64::from(point.z))) else {
            // It reaches behind the camera.
            return f64::INFINITY;
        };
        for (axis, value) in [at.x, at.y].into_iter().enumerate() {
            low[axis] = low[axis].min(value);
            high[axis] = high[axis].max(value);
        }
    }
    let step = [0, 1].map(|axis| (high[axis] - low[axis]) / f64::from(PROBES));
    let hits = (0..PROBES * PROBES).filter(|k| {
        let at = |axis: usize, i: u32| (low[axis] + step[axis] * (f64::from(i) + 0.5)) as f32;
        let ray = pixel_ray(camera, at(0, k % PROBES), at(1, k / PROBES));
        stage.meets(id, ray)
    });
    hits.count() as f64 * step[0] * step[1]
}

/// The name of a reflectance.
fn color_name(albedo: Vec3A) -> &'static str {
    let coded = albedo.max(Vec3A::ZERO).powf(1.0 / 2.2);
    let (high, low) = (coded.max_element(), coded.min_element());
    let chroma = high - low;
    if high < 0.22 {
        return "black";
    }
    if chroma < 0.12 || chroma < 0.16 * high {
        return match high {
            0.0..0.4 => "black",
            0.4..0.78 => "grey",
            _ => "white",
        };
    }
    let hue = if high == coded.x {
        60.0 * (coded.y - coded.z) / chroma
    } else if high == coded.y {
        120.0 + 60.0 * (coded.z - coded.x) / chroma
    } else {
        240.0 + 60.0 * (coded.x - coded.y) / chroma
    };
    match hue.rem_euclid(360.0) {
        12.0..48.0 if high < 0.75 || chroma < 0.5 * high => "brown",
        12.0..40.0 => "orange",
        40.0..68.0 => "yellow",
        68.0..165.0 => "green",
        165.0..200.0 => "cyan",
        200.0..255.0 => "blue",
        255.0..295.0 => "purple",
        295.0..345.0 => "pink",
        _ => "red",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_names() {
        for (color, name) in [
            ([0.9, 0.9, 0.88], "white"),
            ([0.2, 0.2, 0.2], "grey"),
            ([0.01, 0.01, 0.01], "black"),
            ([0.7, 0.02, 0.02], "red"),
            ([0.25, 0.12, 0.05], "brown"),
            ([0.02, 0.05, 0.6], "blue"),
            ([0.05, 0.4, 0.05], "green"),
        ] {
            assert_eq!(color_name(Vec3A::from(color)), name);
        }
    }
}
