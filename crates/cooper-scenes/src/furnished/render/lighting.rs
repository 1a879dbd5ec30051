//! How much light arrives at the surface that each pixel shows.

use glam::Vec3A;
use obvhs::ray::Ray;

use super::super::dice::Dice;
use super::super::hash::unit;
use super::super::light::Light;
use super::super::stage::Stage;
use super::smooth::smooth;
use super::trace::{NOTHING, Seen};

/// Surfaces nearer than this keep ambient light off.
const CREVICE_M: f32 = 0.9;
/// How much of the ambient light arrives in a crevice.
const CREVICE_LIGHT: f32 = 0.3;
/// The surface of the room that the light fills, guessed from what is seen, in square metres.
pub(super) fn enclosing_area(seen: &Seen) -> f32 {
    let points = || {
        seen.points
            .iter()
            .zip(&seen.ids)
            .filter(|(_, id)| **id != NOTHING)
    };
    let low = points().fold(Vec3A::INFINITY, |low, (p, _)| low.min(*p));
    let high = points().fold(Vec3A::NEG_INFINITY, |high, (p, _)| high.max(*p));
    let extent = (high - low).clamp(Vec3A::splat(2.0), Vec3A::splat(8.0));
    2.0 * (extent.x * extent.y + extent.y * extent.z + extent.z * extent.x)
}

/// Light that arrives at each pixel's surface.
pub(super) fn light(
    stage: &Stage,
    lights: &[Light],
    area: f32,
    seen: &Seen,
    dice: &mut Dice,
) -> Vec<Vec3A> {
    let ambient = ambient(lights, area) * dice.between(0.6, 1.3);
    let seed = dice.seed();
    let mut weights = vec![0.0; lights.len()];
    let mut direct_at = |i: usize| {
        let draw = Draw::new(i % seen.width, i / seen.width, seed);
        direct(
            stage,
            lights,
            [seen.start(i), seen.normals[i]],
            &draw,
            &mut weights,
        )
    };
    let (mut directs, mut opens) = (Vec::new(), Vec::new());
    for i in 0..seen.ids.len() {
        let (x, y) = (i % seen.width, i / seen.width);
        // Every other pixel is asked about lights, every fourth about crevices, which are soft.
        let is_thing = seen.ids[i] != NOTHING;
        directs.push((is_thing && (x + y) % 2 == 0).then(|| direct_at(i)));
        opens.push((is_thing && (x + 2 * y) % 4 == 0).then(|| {
            let draw = Draw::new(x, y, seed);
            openness(stage, seen.start(i), seen.normals[i], &draw)
        }));
    }
    let directs = smooth(&directs, seen, 1);
    let opens = smooth(&smooth(&opens, seen, 1), seen, 3);
    let lit = directs.into_iter().zip(opens).enumerate();
    lit.map(|(i, (direct, open))| {
        if seen.ids[i] == NOTHING {
            return Vec3A::ZERO;
        }
        let up = 0.85 + 0.15 * seen.normals[i].z;
        // A thing of one pixel has no neighbour that was asked.
        direct.unwrap_or_else(|| direct_at(i)) + ambient * (up * open.unwrap_or(1.0))
    })
    .collect()
}

/// What lamps and panes leave in the room after the first bounces.
fn ambient(lights: &[Light], area: f32) -> Vec3A {
    let flux = lights.iter().map(|light| match *light {
        Light::Lamp { power, .. } => power * (4.0 * std::f32::consts::PI),
        Light::Pane { half, power, .. } => {
            power * (std::f32::consts::PI * 4.0 * half[0].length() * half[1].length())
        }
    });
    let flux: Vec3A = flux.sum();
    // Never dark: there is always a lamp somewhere.
    flux * (0.9 / area) + Vec3A::splat(0.02)
}

/// Numbers for one pixel: those of a block of 4 x 4 pixels are spread evenly.
struct Draw {
    light: f32,
    on_light: [f32; 2],
    around: [f32; 2],
}

impl Draw {
    fn new(x: usize, y: usize, seed: u32) -> Self {
        /// Each row and column and quarter has spread numbers.
        const ORDER: [u8; 16] = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5];
        let rank = ORDER[(x & 3) + 4 * (y & 3)];
        // All blocks have the same numbers: then the mean over any 4 x 4 pixels is of the same ones.
        let spread =
            |factor: f32, k: u32| (f32::from(rank) * factor + unit(0, 0, seed ^ k)).fract();
        Self {
            // The eight pixels of a block that are asked have eight numbers.
            light: spread(1.0 / 8.0, 1),
            // Multiples of these numbers fill squares and cubes evenly.
            on_light: [spread(0.754_877_7, 2), spread(0.569_840_3, 3)],
            around: [spread(0.819_172_5, 4), spread(0.671_043_6, 5)],
        }
    }
}

/// Light from one source, chosen by what it would give, in place of all.
fn direct(
    stage: &Stage,
    lights: &[Light],
    [point, normal]: [Vec3A; 2],
    draw: &Draw,
    weights: &mut [f32],
) -> Vec3A {
    for (weight, light) in weights.iter_mut().zip(lights) {
        *weight = light.arrival(point, normal, [0.5, 0.5]).light.element_sum();
    }
    let sum: f32 = weights.iter().sum();
    if sum <= 1e-6 {
        return Vec3A::ZERO;
    }
    let mut left = draw.light * sum;
    for (&weight, light) in weights.iter().zip(lights) {
        left -= weight;
        if left > 0.0 || weight <= 0.0 {
            continue;
        }
        let arrival = light.arrival(point, normal, draw.on_light);
        let ray = Ray::new(point, arrival.source - point, 0.0, 0.999);
        if stage.blocks(ray) {
            return Vec3A::ZERO;
        }
        return arrival.light * (sum / weight);
    }
    Vec3A::ZERO
}

/// How much of the half space over a surface is open, by one ray.
fn openness(stage: &Stage, point: Vec3A, normal: Vec3A, draw: &Draw) -> f32 {
    let [a, b] = draw.around;
    let angle = std::f32::consts::TAU * a;
    let (radius, height) = (b.sqrt(), (1.0 - b).max(0.0).sqrt());
    let (u, v) = normal.any_orthonormal_pair();
    let direction = u * (radius * angle.cos()) + v * (radius * angle.sin()) + normal * height;
    if stage.blocks(Ray::new(point, direction, 0.0, CREVICE_M)) {
        CREVICE_LIGHT
    } else {
        1.0
    }
}
