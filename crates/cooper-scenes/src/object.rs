//! An object of a scene and what is known about it.

use nalgebra::{Point2, Point3};

use super::body::Body;
use super::camera::Camera;
use super::cast::{Footprint, PixelBox};
use super::colors::ColorName;
use super::solid::{Category, Solid};

/// An object that is pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its shape and place.
    pub solid: Solid,
    /// Its colour; no other object of the scene has it.
    pub color: ColorName,
    /// The object under it, as an index into the scene's objects; the floor otherwise.
    pub stands_on: Option<usize>,
    /// The middle of its extents in the camera's optical frame.
    pub center_in_camera: Point3<f64>,
    /// How many pixels show it.
    pub visible_pixels: usize,
    /// How many pixels would show it if it were alone.
    pub covered_pixels: usize,
    /// The rectangle around the pixels that show it.
    pub bounding_box: PixelBox,
    /// The mean of the centres of the pixels that show it, column and row.
    pub centroid: Point2<f64>,
    /// From the camera to the nearest point of it that a pixel shows, as the crow flies.
    pub nearest_m: f64,
}

impl Object {
    pub(super) fn new(body: &Body, pixels: &Footprint, camera: &Camera) -> Self {
        let n = pixels.visible_pixels.max(1) as f64;
        Self {
            solid: body.solid,
            color: body.color,
            stands_on: body.stands_on,
            center_in_camera: camera
                .world_from_camera
                .inverse_transform_point(&body.solid.center),
            visible_pixels: pixels.visible_pixels,
            covered_pixels: pixels.covered_pixels,
            bounding_box: pixels.bounding_box(),
            centroid: Point2::new(pixels.column_sum as f64 / n, pixels.row_sum as f64 / n),
            nearest_m: pixels.nearest_m,
        }
    }

    /// For example `red box`.
    pub fn name(&self) -> String {
        format!("{} {}", self.color.word(), self.category().word())
    }

    /// What it is.
    pub fn category(&self) -> Category {
        self.solid.category
    }

    /// The middle of its extents in the world.
    pub fn center_in_world(&self) -> Point3<f64> {
        self.solid.center
    }

    /// From its lowest to its highest point.
    pub fn height_m(&self) -> f64 {
        2.0 * self.solid.half.z
    }

    /// Its diameter, or the larger horizontal side of a box.
    pub fn width_m(&self) -> f64 {
        2.0 * self.solid.half.x.max(self.solid.half.y)
    }
}
