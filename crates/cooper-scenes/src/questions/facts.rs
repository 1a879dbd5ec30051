//! Thoughts: facts about the objects of a question in a fixed form.
//!
//! An object's place is its visible centroid in percent of the image's width and height, two digits each.

use super::super::object::Object;
use super::super::scene::Scene;

/// `the red box`
pub(super) fn the(object: &Object) -> String {
    format!("the {}", object.name())
}

/// `red box at 24 61`
pub(super) fn place(scene: &Scene, object: &Object) -> String {
    let [x, y] = percent_place(scene, object);
    format!("{} at {x:02} {y:02}", object.name())
}

/// `red box at 24 61, 2.4 m.`
pub(super) fn range(scene: &Scene, object: &Object) -> String {
    format!("{}, {:.1} m.", place(scene, object), object.nearest_m)
}

/// `red box at 24 61, 0.3 m high.`
pub(super) fn height(scene: &Scene, object: &Object) -> String {
    let height = object.center_in_world().z;
    format!("{}, {height:.1} m high.", place(scene, object))
}

/// `red box at 24 61, 0.4 m left, 2.3 m ahead.`
pub(super) fn position(scene: &Scene, object: &Object) -> String {
    let center = object.center_in_camera;
    let side = side(object);
    format!(
        "{}, {:.1} m {side}, {:.1} m ahead.",
        place(scene, object),
        center.x.abs(),
        center.z
    )
}

/// On which side of the camera's axis an object's centre is.
pub(super) fn side(object: &Object) -> &'static str {
    if object.center_in_camera.x < 0.0 {
        "left"
    } else {
        "right"
    }
}

/// `red box at 24 61, 2.4 m, 20 tall.`
pub(super) fn tall(scene: &Scene, object: &Object) -> String {
    let percent = percent(object.bounding_box.height, scene.image.height());
    let place = place(scene, object);
    format!("{place}, {:.1} m, {percent} tall.", object.nearest_m)
}

/// `red box at 24 61, 2.4 m, 20 wide.`
pub(super) fn wide(scene: &Scene, object: &Object) -> String {
    let percent = percent(object.bounding_box.width, scene.image.width());
    let place = place(scene, object);
    format!("{place}, {:.1} m, {percent} wide.", object.nearest_m)
}

/// The centroid in whole percent of the image, 0 to 99.
pub(super) fn percent_place(scene: &Scene, object: &Object) -> [u32; 2] {
    let (width, height) = scene.image.dimensions();
    let share = |at: f64, size: u32| (at + 0.5) / f64::from(size);
    [
        share(object.centroid.x, width),
        share(object.centroid.y, height),
    ]
    .map(|share| ((share * 100.0) as u32).min(99))
}

fn percent(extent: u32, whole: u32) -> u32 {
    (100.0 * f64::from(extent) / f64::from(whole)).round() as u32
}
