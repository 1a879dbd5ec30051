//! What lights a scene.

use glam::{Vec3, Vec3A};

/// A source of light.
#[derive(Clone, Copy, Debug)]
pub(super) enum Light {
    /// A ball that shines to all sides.
    Lamp {
        center: Vec3A,
        radius: f32,
        /// Light at a distance of one metre.
        power: Vec3A,
    },
    /// A rectangle that shines to its front.
    Pane {
        center: Vec3A,
        /// To the middles of its sides.
        half: [Vec3A; 2],
        /// A unit vector.
        front: Vec3A,
        /// Light of each square metre at a distance of one metre, straight ahead.
        power: Vec3A,
    },
}

/// Where a light shines from, and how strongly it arrives if nothing is in the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub source: Vec3A,
    /// On a surface with the given normal.
    pub light: Vec3A,
}

impl Light {
    pub(super) fn pane(center: Vec3, half: [Vec3; 2], front: Vec3, power: Vec3) -> Self {
        Self::Pane {
            center: center.into(),
            half: half.map(Vec3A::from),
            front: front.into(),
            power: power.into(),
        }
    }

    pub(super) fn lamp(center: Vec3, radius: f32, power: Vec3) -> Self {
        Self::Lamp {
            center: center.into(),
            radius,
            power: power.into(),
        }
    }

    /// From a point of the source that two numbers in [0, 1) choose.
    pub(super) fn arrival(&self, point: Vec3A, normal: Vec3A, [a, b]: [f32; 2]) -> Arrival {
        match *self {
            Self::Lamp {
                center,
                radius,
                power,
            } => {
                let angle = std::f32::consts::TAU * a;
                let height = 2.0 * b - 1.0;
                let ring = (1.0 - height * height).sqrt() * radius;
                let source =
                    center + Vec3A::new(ring * angle.cos(), ring * angle.sin(), height * radius);
                Arrival {
                    source,
                    light: power * falloff(source - point, normal, 0.04),
                }
            }
            Self::Pane {
                center,
                half,
                front,
                power,
            } => {
                let source = center + half[0] * (2.0 * a - 1.0) + half[1] * (2.0 * b - 1.0);
                let way = source - point;
                let facing = (-way.dot(front) / way.length().max(1e-6)).max(0.0);
                let area = 4.0 * half[0].length() * half[1].length();
                Arrival {
                    source,
                    light: power * (area * facing * falloff(way, normal, 0.1)),
                }
            }
        }
    }
}

/// Cosine at the surface over the squared distance, of which `least` is not gone below.
fn falloff(way: Vec3A, normal: Vec3A, least: f32) -> f32 {
    let squared = way.length_squared();
    let facing = (way.dot(normal) / squared.sqrt().max(1e-6)).max(0.0);
    facing / squared.max(least)
}
