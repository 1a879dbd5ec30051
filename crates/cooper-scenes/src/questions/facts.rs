//! Thoughts: facts about the objects of a question in a fixed form.
//!
//! An object's place is its visible centroid in percent of the image's width and height, two digits each.

use super::thing::{Thing, Things};

/// `red box at 24 61`
pub(super) fn place(things: &Things, thing: &Thing) -> String {
    let [x, y] = percent_place(things, thing);
    format!("{} at {x:02} {y:02}", thing.name)
}

/// `red box at 24 61, 2.4 m.`
pub(super) fn range(things: &Things, thing: &Thing) -> String {
    format!("{}, {:.1} m.", place(things, thing), thing.nearest_m)
}

/// `red box at 24 61, 0.3 m high.`
pub(super) fn height(things: &Things, thing: &Thing) -> String {
    let height = thing.height_m.unwrap_or_default();
    format!("{}, {height:.1} m high.", place(things, thing))
}

/// `red box at 24 61, 0.4 m left, 2.3 m ahead.`
pub(super) fn position(things: &Things, thing: &Thing) -> String {
    let center = thing.center_in_camera;
    let side = side(thing);
    format!(
        "{}, {:.1} m {side}, {:.1} m ahead.",
        place(things, thing),
        center.x.abs(),
        center.z
    )
}

/// On which side of the camera's axis an object's centre is.
pub(super) fn side(thing: &Thing) -> &'static str {
    if thing.center_in_camera.x < 0.0 {
        "left"
    } else {
        "right"
    }
}

/// `red box at 24 61, 2.4 m, 20 tall.`
pub(super) fn tall(things: &Things, thing: &Thing) -> String {
    let percent = percent(thing.bounding_box.height, things.size.1);
    let place = place(things, thing);
    format!("{place}, {:.1} m, {percent} tall.", thing.nearest_m)
}

/// `red box at 24 61, 2.4 m, 20 wide.`
pub(super) fn wide(things: &Things, thing: &Thing) -> String {
    let percent = percent(thing.bounding_box.width, things.size.0);
    let place = place(things, thing);
    format!("{place}, {:.1} m, {percent} wide.", thing.nearest_m)
}

/// The centroid in whole percent of the image, 0 to 99.
pub(super) fn percent_place(things: &Things, thing: &Thing) -> [u32; 2] {
    let (width, height) = things.size;
    let share = |at: f64, size: u32| (at + 0.5) / f64::from(size);
    [
        share(thing.centroid.x, width),
        share(thing.centroid.y, height),
    ]
    .map(|share| ((share * 100.0) as u32).min(99))
}

fn percent(extent: u32, whole: u32) -> u32 {
    (100.0 * f64::from(extent) / f64::from(whole)).round() as u32
}
