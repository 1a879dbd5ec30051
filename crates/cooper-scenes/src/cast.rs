//! Ray casting: the surface and the depth of each pixel.

use super::body::Body;
use super::camera::Camera;
use super::config::SceneConfig;
use super::room::{Room, Side};

/// The label of the floor.
pub const FLOOR: u8 = 0;
/// The label of the walls.
pub const WALL: u8 = 1;
/// The label of the ceiling.
pub const CEILING: u8 = 2;
/// The label of the first object.
pub const FIRST_OBJECT: u8 = 3;

/// A rectangle of pixels, both corners inside the image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PixelBox {
    /// Left column.
    pub x: u32,
    /// Top row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// What the rays of an image hit.
pub(super) struct Cast {
    /// Metres along the optical axis, row-major.
    pub depth: Vec<f32>,
    /// [`FLOOR`], [`WALL`], [`CEILING`] or [`FIRST_OBJECT`] + i, row-major.
    pub ids: Vec<u8>,
    /// One for each body.
    pub footprints: Vec<Footprint>,
}

/// The pixels of one body.
#[derive(Clone, Debug)]
pub(super) struct Footprint {
    pub visible_pixels: usize,
    pub covered_pixels: usize,
    pub column_sum: u64,
    pub row_sum: u64,
    /// First and last column.
    columns: [u32; 2],
    /// First and last row.
    rows: [u32; 2],
    pub nearest_m: f64,
}

impl Footprint {
    fn empty() -> Self {
        Self {
            visible_pixels: 0,
            covered_pixels: 0,
            column_sum: 0,
            row_sum: 0,
            columns: [u32::MAX, 0],
            rows: [u32::MAX, 0],
            nearest_m: f64::INFINITY,
        }
    }

    fn add(&mut self, column: u32, row: u32, range_m: f64) {
        self.visible_pixels += 1;
        self.column_sum += u64::from(column);
        self.row_sum += u64::from(row);
        self.columns = [self.columns[0].min(column), self.columns[1].max(column)];
        self.rows = [self.rows[0].min(row), self.rows[1].max(row)];
        self.nearest_m = self.nearest_m.min(range_m);
    }

    pub(super) fn bounding_box(&self) -> PixelBox {
        let length = |[first, last]: [u32; 2]| (last + 1).saturating_sub(first);
        PixelBox {
            x: self.columns[0],
            y: self.rows[0],
            width: length(self.columns),
            height: length(self.rows),
        }
    }
}

/// Send a ray through each pixel's centre.
pub(super) fn cast_rays(
    config: &SceneConfig,
    room: &Room,
    camera: &Camera,
    bodies: &[Body],
) -> Cast {
    let n_pixels = config.width as usize * config.height as usize;
    let mut cast = Cast {
        depth: Vec::with_capacity(n_pixels),
        ids: Vec::with_capacity(n_pixels),
        footprints: vec![Footprint::empty(); bodies.len()],
    };
    for row in 0..config.height {
        for column in 0..config.width {
            let ray = camera.ray(f64::from(column), f64::from(row));
            let (mut depth, side) = room.depth_along(&ray);
            let mut hit = None;
            for (i, body) in bodies.iter().enumerate() {
                let Some(entry) = body.solid.depth_along(&ray) else {
                    continue;
                };
                cast.footprints[i].covered_pixels += 1;
                if entry < depth {
                    (depth, hit) = (entry, Some(i));
                }
            }
            if let Some(i) = hit {
                cast.footprints[i].add(column, row, depth * ray.direction.norm());
            }
            cast.depth.push(depth as f32);
            cast.ids.push(label(side, hit));
        }
    }
    cast
}

fn label(side: Side, hit: Option<usize>) -> u8 {
    match (hit, side) {
        // There are at most as many objects as colours.
        (Some(i), _) => FIRST_OBJECT + i as u8,
        (None, Side::Floor) => FLOOR,
        (None, Side::Wall(_)) => WALL,
        (None, Side::Ceiling) => CEILING,
    }
}
