//! Colours of rooms and things, in linear light.

use glam::Vec3;

use super::super::assets::texture::linear_color;
use super::super::dice::Dice;
use crate::colors::rgb;

/// A colour by hue in degrees, saturation and value.
pub(in super::super) fn hsv(hue: f32, saturation: f32, value: f32) -> Vec3 {
    let color = rgb([hue, saturation, value].map(f64::from));
    linear_color(color.map(|c| c as f32))
}

/// Any colour, strong or weak.
pub(in super::super) fn any(dice: &mut Dice) -> Vec3 {
    let saturation = dice.unit() * dice.unit();
    hsv(
        dice.between(0.0, 360.0),
        saturation,
        dice.between(0.15, 0.95),
    )
}

/// White to beige to grey, seldom a colour.
pub(in super::super) fn wall(dice: &mut Dice) -> Vec3 {
    if dice.chance(0.25) {
        return hsv(
            dice.between(0.0, 360.0),
            dice.between(0.08, 0.45),
            dice.between(0.5, 0.9),
        );
    }
    hsv(
        dice.between(20.0, 60.0),
        dice.between(0.0, 0.18),
        dice.between(0.65, 0.96),
    )
}

/// Light to dark wood.
pub(in super::super) fn wood(dice: &mut Dice) -> Vec3 {
    hsv(
        dice.between(18.0, 38.0),
        dice.between(0.25, 0.65),
        dice.between(0.25, 0.8),
    )
}
