//! What is seen through windows: a bright sky, something dark under it, at night nearly nothing.

use glam::{Vec2, Vec3A};

use super::super::dice::Dice;
use super::super::light::Light;
use super::super::pattern::value_noise;

/// The world outside.
pub(super) struct Outdoor {
    sky: Vec3A,
    land: Vec3A,
    brightness: f32,
    seed: u32,
}

impl Outdoor {
    pub(super) fn random(lights: &[Light], dice: &mut Dice) -> Self {
        let daylight = lights.iter().find_map(|light| match light {
            Light::Pane { power, .. } => Some(power.max_element()),
            Light::Lamp { .. } => None,
        });
        let grey = dice.unit();
        Self {
            sky: Vec3A::new(0.55, 0.75, 1.0).lerp(Vec3A::ONE, grey),
            land: Vec3A::new(
                dice.between(0.05, 0.3),
                dice.between(0.1, 0.3),
                dice.between(0.03, 0.2),
            ),
            brightness: 2.0 * daylight.unwrap_or(0.03),
            seed: dice.seed(),
        }
    }

    /// Light from a direction.
    pub(super) fn radiance(&self, direction: Vec3A) -> Vec3A {
        let d = direction.normalize_or_zero();
        let around = Vec2::new(d.y.atan2(d.x), d.z);
        let skyline = 0.25 * (value_noise(around.with_y(0.0) * 6.0, self.seed) - 0.3);
        let coarse = value_noise(around * 9.0, self.seed ^ 1);
        let detail = 0.4 + 0.7 * coarse + 0.5 * value_noise(around * 60.0, self.seed ^ 2);
        let color = if d.z < skyline {
            self.land * detail
        } else {
            self.sky
        };
        color * self.brightness
    }
}
