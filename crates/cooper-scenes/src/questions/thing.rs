//! What questions are asked about: things, wherever they come from.

use nalgebra::{Point2, Point3};

use super::super::cast::{CEILING, FIRST_OBJECT, FLOOR, PixelBox, WALL};
use super::super::object::Object;
use super::super::scene::Scene;
use super::super::solid::Category;

/// A size is asked for if at least this share of the thing is visible.
const WHOLE_SHARE: f64 = 0.85;

/// The things of an image, the groups in which they are counted, and what each pixel shows.
#[derive(Clone, Debug)]
pub(super) struct Things {
    /// Width and height of the image.
    pub(super) size: (u32, u32),
    pub(super) all: Vec<Thing>,
    /// Whether these are all things; else only groups are counted.
    pub(super) is_complete: bool,
    /// What is counted together, in plural words.
    pub(super) groups: Vec<String>,
    /// By pixel: an index into the things, behind them into the surfaces; [`UNKNOWN`].
    pub(super) shown: Vec<u16>,
    /// What is no thing: floor, walls and their like.
    pub(super) surfaces: Vec<String>,
    /// By pixel, metres along the optical axis; 0 is unknown.
    pub(super) depth_m: Vec<f32>,
    /// Focal length along rows, in pixels.
    pub(super) focal_px: f64,
}

/// A pixel of which nobody knows what it shows.
pub(super) const UNKNOWN: u16 = u16::MAX;

/// A thing with what is known about it.
#[derive(Clone, Debug)]
pub(super) struct Thing {
    /// For example `red box`.
    pub(super) name: String,
    /// Whether no other thing has its name.
    pub(super) is_unique: bool,
    /// As an index into the groups.
    pub(super) group: usize,
    /// The mean of the centres of the pixels that show it.
    pub(super) centroid: Point2<f64>,
    pub(super) bounding_box: PixelBox,
    /// From the camera to its nearest visible point.
    pub(super) nearest_m: f64,
    /// Its middle in the camera's optical frame.
    pub(super) center_in_camera: Point3<f64>,
    /// Of its middle, over the floor, where the floor is known.
    pub(super) height_m: Option<f64>,
    /// Height and width, if it is seen nearly whole.
    pub(super) extent_m: Option<[f64; 2]>,
}

impl Thing {
    /// `the red box`
    pub(super) fn the(&self) -> String {
        format!("the {}", self.name)
    }
}

impl Things {
    pub(super) fn of_scene(scene: &Scene) -> Self {
        let thing = |object: &Object| Thing {
            name: object.name(),
            is_unique: true,
            group: (Category::ALL.iter().position(|c| *c == object.category())).unwrap_or_default(),
            centroid: object.centroid,
            bounding_box: object.bounding_box,
            nearest_m: object.nearest_m,
            center_in_camera: object.center_in_camera,
            height_m: Some(object.center_in_world().z),
            extent_m: is_whole(scene, object).then(|| [object.height_m(), object.width_m()]),
        };
        let n = scene.objects.len() as u16;
        let shown = |id: &u8| match *id {
            FLOOR => n,
            WALL => n + 1,
            CEILING => n + 2,
            id => u16::from(id - FIRST_OBJECT),
        };
        Self {
            size: scene.image.dimensions(),
            all: scene.objects.iter().map(thing).collect(),
            is_complete: true,
            groups: Category::ALL
                .map(|category| category.plural().into())
                .into(),
            shown: scene.ids.iter().map(shown).collect(),
            surfaces: ["floor", "wall", "ceiling"].map(Into::into).into(),
            depth_m: scene.depth.clone(),
            focal_px: scene.camera.fx,
        }
    }

    /// The name of what a pixel shows.
    pub(super) fn name_at(&self, pixel: usize) -> Option<&str> {
        self.name_of(*self.shown.get(pixel)?)
    }

    /// The name of a thing or a surface.
    pub(super) fn name_of(&self, shown: u16) -> Option<&str> {
        match self.all.get(usize::from(shown)) {
            Some(thing) => Some(&thing.name),
            None => self.surface(shown),
        }
    }

    /// The name of a surface.
    pub(super) fn surface(&self, shown: u16) -> Option<&str> {
        let place = usize::from(shown).checked_sub(self.all.len())?;
        self.surfaces.get(place).map(String::as_str)
    }
}

/// Whether an object's outline tells its size: hardly covered, and not cut off by the image's edges.
fn is_whole(scene: &Scene, object: &Object) -> bool {
    let bounds = object.bounding_box;
    let (width, height) = scene.image.dimensions();
    let is_inside = bounds.x > 0
        && bounds.y > 0
        && bounds.x + bounds.width < width
        && bounds.y + bounds.height < height;
    is_inside && object.visible_pixels as f64 >= WHOLE_SHARE * object.covered_pixels as f64
}
