//! A scene and the maps that follow from it.

use image::{Rgb, RgbImage};

use super::camera::Camera;
use super::cast::{CEILING, FIRST_OBJECT, FLOOR};
use super::colors::{CEILING_GREY, FLOOR_GREY, WALL_GREY};
use super::config::SceneConfig;
use super::layout::Layout;
use super::object::Object;
use super::relative_depth::relative_depth;
use super::room::Room;
use super::sampling::scene_rng;
use super::shade::shade;
use super::split::Split;

/// An image of a room with everything that is known about it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The set it belongs to.
    pub split: Split,
    /// Its number in the set.
    pub index: u64,
    /// The camera's image.
    pub image: RgbImage,
    /// Metres along the optical axis, row-major.
    pub depth: Vec<f32>,
    /// Row-major: 0 floor, 1 wall, 2 ceiling, 3 + i is `objects[i]`.
    pub ids: Vec<u8>,
    /// The camera.
    pub camera: Camera,
    /// The room.
    pub room: Room,
    /// All objects; each is visible.
    pub objects: Vec<Object>,
}

impl Scene {
    /// Scene number `index` of a set; the same bytes every time.
    pub fn generate(config: &SceneConfig, split: Split, index: u64) -> Self {
        let mut rng = scene_rng(split, index);
        let layout = Layout::random(config, &mut rng);
        let image = shade(config, &layout, &mut rng);
        let objects = layout.bodies.iter().zip(&layout.cast.footprints);
        Self {
            split,
            index,
            image,
            objects: objects
                .map(|(body, pixels)| Object::new(body, pixels, &layout.camera))
                .collect(),
            camera: layout.camera,
            room: layout.room,
            depth: layout.cast.depth,
            ids: layout.cast.ids,
        }
    }

    /// Depth scaled linearly from 0 at `near_m` to 1 at `far_m` and clamped, row-major.
    pub fn relative_depth(&self, near_m: f32, far_m: f32) -> Vec<f32> {
        relative_depth(&self.depth, near_m, far_m)
    }

    /// Each object in the segmentation colour of its name, floor, walls and ceiling in three greys.
    ///
    /// A pixel's colour depends only on the surface there, not on other objects.
    pub fn segmentation_image(&self) -> RgbImage {
        let (width, height) = self.image.dimensions();
        let mut ids = self.ids.iter();
        RgbImage::from_fn(width, height, |_, _| {
            Rgb(self.paint(ids.next().copied().unwrap_or(FLOOR)))
        })
    }

    fn paint(&self, id: u8) -> [u8; 3] {
        let object = id.checked_sub(FIRST_OBJECT).map(usize::from);
        match object.and_then(|i| self.objects.get(i)) {
            Some(object) => object.color.paint(),
            None if id == FLOOR => FLOOR_GREY,
            None if id == CEILING => CEILING_GREY,
            None => WALL_GREY,
        }
    }
}
