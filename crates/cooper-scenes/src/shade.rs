//! Shading: a lamp, ambient light, dark spots under objects, noise.

use image::{Rgb, RgbImage};
use nalgebra::{Point3, Vector3};
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

use super::body::Body;
use super::cast::FIRST_OBJECT;
use super::config::SceneConfig;
use super::layout::Layout;
use super::ray::Ray;
use super::room::{Room, Side};
use super::sampling::{between, chance};

/// The dark spot around an object reaches this far.
const SPOT_M: f64 = 0.22;
/// At half this distance from the lamp, light begins to fade.
const LAMP_REACH_M: f64 = 4.5;

/// How one scene is lit.
struct Light {
    lamp: Point3<f64>,
    /// From everywhere, RGB.
    ambient: [f64; 3],
    /// From the lamp at no distance, RGB.
    diffuse: [f64; 3],
    /// How much darker the floor is right beside an object, in [0, 1].
    spot: f64,
}

/// How one object is painted, RGB in [0, 1].
struct Paint {
    color: [f64; 3],
    /// Width of a stripe in metres, and how much darker every other one is.
    stripes: Option<(f64, f64)>,
}

/// Draw the image of a layout.
pub(super) fn shade(config: &SceneConfig, layout: &Layout, rng: &mut StdRng) -> RgbImage {
    let light = Light::random(&layout.room, rng);
    let paints: Vec<Paint> = layout
        .bodies
        .iter()
        .map(|b| Paint::random(b, rng))
        .collect();
    let sigma = between(rng, config.noise_sigma);
    let mut at = 0;
    RgbImage::from_fn(config.width, config.height, |column, row| {
        // `from_fn` goes row by row, as the cast does.
        let depth = f64::from(layout.cast.depth[at]);
        let id = layout.cast.ids[at];
        at += 1;
        let ray = layout.camera.ray(f64::from(column), f64::from(row));
        let color = match id.checked_sub(FIRST_OBJECT).map(usize::from) {
            Some(i) => object_color(&layout.bodies[i], &paints[i], &light, &ray.at(depth)),
            None => room_color(layout, &light, &ray, depth),
        };
        Rgb(color.map(|c| {
            let noise: f64 = StandardNormal.sample(rng);
            // Saturating.
            ((c.min(1.0) + sigma * noise) * 255.0).round() as u8
        }))
    })
}

fn object_color(body: &Body, paint: &Paint, light: &Light, point: &Point3<f64>) -> [f64; 3] {
    let height = point.z - body.solid.center.z;
    light.reflect(paint.at(height), point, &body.solid.normal(point))
}

fn room_color(layout: &Layout, light: &Light, ray: &Ray, depth: f64) -> [f64; 3] {
    // Not the label: it does not say which wall.
    let (_, side) = layout.room.depth_along(ray);
    let (point, normal) = (ray.at(depth), side.normal());
    // The slanted extent of a pixel on the surface.
    let grazing = ray.direction.dot(&normal).abs().max(1e-3);
    let footprint = depth / layout.camera.fx * ray.direction.norm() / grazing;
    let albedo = layout.room.albedo(side, &point, footprint);
    let lit = light.reflect(albedo, &point, &normal);
    if side != Side::Floor {
        return lit;
    }
    let spot = light.spot_at(&layout.bodies, &point);
    lit.map(|c| c * spot)
}

impl Light {
    fn random(room: &Room, rng: &mut StdRng) -> Self {
        let warmth = between(rng, [-0.04, 0.04]);
        let tint = [1.0 + warmth, 1.0, 1.0 - warmth];
        let ambient = between(rng, [0.6, 0.72]);
        let diffuse = between(rng, [0.5, 0.75]);
        Self {
            lamp: Point3::new(
                room.width_m * between(rng, [-0.35, 0.35]),
                room.depth_m * between(rng, [0.1, 0.7]),
                room.height_m - between(rng, [0.1, 0.5]),
            ),
            ambient: tint.map(|t| t * ambient),
            diffuse: tint.map(|t| t * diffuse),
            spot: between(rng, [0.25, 0.5]),
        }
    }

    /// The light that a point with an outward normal reflects, RGB.
    fn reflect(&self, albedo: [f64; 3], point: &Point3<f64>, normal: &Vector3<f64>) -> [f64; 3] {
        let way = self.lamp - point;
        let distance = way.norm().max(1e-6);
        let facing = (way.dot(normal) / distance).max(0.0);
        let faded = facing / (1.0 + (distance / LAMP_REACH_M).powi(2));
        std::array::from_fn(|i| albedo[i] * (self.ambient[i] + self.diffuse[i] * faded))
    }

    /// The brightness that objects leave to a point of the floor, in [0, 1].
    fn spot_at(&self, bodies: &[Body], point: &Point3<f64>) -> f64 {
        let on_floor = bodies.iter().filter(|body| body.stands_on.is_none());
        let brightness = on_floor.map(|body| {
            let near = 1.0 - body.solid.distance_over_ground(point) / SPOT_M;
            1.0 - self.spot * near.max(0.0).powi(2)
        });
        brightness.product()
    }
}

impl Paint {
    fn random(body: &Body, rng: &mut StdRng) -> Self {
        let color = body.color.albedo(rng);
        let stripes = (between(rng, [0.06, 0.15]), between(rng, [0.08, 0.2]));
        Self {
            color,
            stripes: chance(rng, 0.4).then_some(stripes),
        }
    }

    /// The reflectance at a height over the object's middle.
    fn at(&self, height_m: f64) -> [f64; 3] {
        match self.stripes {
            Some((width, contrast)) if ((height_m / width).floor() as i64) & 1 == 1 => {
                self.color.map(|c| c * (1.0 - contrast))
            }
            _ => self.color,
        }
    }
}
