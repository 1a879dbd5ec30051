//! A furnished scene and the maps that follow from it.

use image::{Rgb, RgbImage};

use super::palette::{UNLABELLED, label_color};
use super::truth::FurnishedObject;
use crate::camera::Camera;
use crate::relative_depth::relative_depth;
use crate::split::Split;

/// An image of a furnished room with everything that is known about it.
#[derive(Clone, Debug)]
pub struct FurnishedScene {
    /// The set it belongs to.
    pub split: Split,
    /// Its number in the set.
    pub index: u64,
    /// What the camera sees.
    pub image: RgbImage,
    /// Metres along the optical axis, row-major; 0 where nothing is, which only worlds have.
    pub depth: Vec<f32>,
    /// Row-major: 0 floor, 1 wall, 2 ceiling, 3 + i is `objects[i]`, 255 is no object of the list.
    pub ids: Vec<u8>,
    /// Row-major classes of the palette; 255 is unlabelled.
    pub labels: Vec<u8>,
    /// Where it was seen from.
    pub camera: Camera,
    /// Width, depth and height of the room in metres; none in a world.
    pub room_m: Option<[f64; 3]>,
    /// The world that it is seen in, if it is one.
    pub world: Option<String>,
    /// What is seen, each with enough pixels.
    pub objects: Vec<FurnishedObject>,
}

impl FurnishedScene {
    /// Depth on a line from 0 at `near_m` to 1 at `far_m`, clamped, row-major.
    pub fn relative_depth(&self, near_m: f32, far_m: f32) -> Vec<f32> {
        relative_depth(&self.depth, near_m, far_m)
    }

    /// Each pixel in the colour of its class; what has none is black.
    pub fn segmentation_image(&self) -> RgbImage {
        let (width, height) = self.image.dimensions();
        let mut labels = self.labels.iter();
        RgbImage::from_fn(width, height, |_, _| {
            Rgb(label_color(labels.next().copied().unwrap_or(UNLABELLED)))
        })
    }
}
