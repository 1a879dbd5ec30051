//! From things and lights to pixels: what is seen, how it is lit, what a camera makes of it.

mod edges;
mod lighting;
mod outdoor;
mod sensor;
mod smooth;
mod trace;

use image::RgbImage;

use super::config::FurnishedConfig;
use super::dice::Dice;
use super::light::Light;
use super::stage::Stage;
use crate::camera::Camera;

pub(super) use trace::{NOTHING, Seen};

/// Draw an image, and say what each pixel shows.
pub(super) fn render(
    config: &FurnishedConfig,
    stage: &Stage,
    lights: &[Light],
    camera: &Camera,
    dice: &mut Dice,
) -> (RgbImage, Seen) {
    let outdoor = outdoor::Outdoor::random(lights, dice);
    let mut seen = trace::trace(config, stage, camera, &outdoor);
    let area = lighting::enclosing_area(&seen);
    let light = lighting::light(stage, lights, area, &seen, dice);
    let mut radiance = seen.radiance(&light);
    edges::smooth_edges(stage, camera, &seen, &mut radiance);
    // What lit surfaces needs no more.
    seen.forget_shading();
    (sensor::develop(config, radiance, dice), seen)
}
