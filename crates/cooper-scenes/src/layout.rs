//! The arrangement of a scene: attempts continue until as many objects are visible as are wanted.

use nalgebra::{Point3, Vector3};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::body::Body;
use super::camera::Camera;
use super::cast::{Cast, cast_rays};
use super::colors::ColorName;
use super::config::SceneConfig;
use super::room::Room;
use super::sampling::{Span, between, chance, one_of, whole};
use super::solid::{Category, Solid};

/// Places that are tried for an object before it is left out.
const PLACES: usize = 60;
/// Between two objects on the floor, and to the walls.
const GAP_M: f64 = 0.05;
/// From the camera to the nearest surface, over the floor.
const CLEARANCE_M: f64 = 0.6;
/// A box that carries something is at least this wide and at most this high.
const CARRIER_WIDTH_M: f64 = 0.4;
const CARRIER_HEIGHT_M: f64 = 0.8;
/// The extents of an object on a box.
const CARRIED_M: Span = [0.25, 0.55];
/// A center is projected at least this share of the image away from its edges.
const EDGE_SHARE: f64 = 0.04;

/// A room with objects in it and a camera.
pub(super) struct Layout {
    pub room: Room,
    pub camera: Camera,
    pub bodies: Vec<Body>,
    pub cast: Cast,
}

impl Layout {
    /// The first arrangement with the wanted number of objects, all visible; the best one if there is none.
    pub(super) fn random(config: &SceneConfig, rng: &mut StdRng) -> Self {
        let [fewest, most] = config.objects.map(|n| n.min(ColorName::ALL.len()));
        let wanted = whole(rng, fewest, most);
        let mut best = Self::attempt(config, wanted, rng);
        for _ in 1..config.attempts {
            if best.bodies.len() == wanted {
                break;
            }
            let other = Self::attempt(config, wanted, rng);
            if other.bodies.len() > best.bodies.len() {
                best = other;
            }
        }
        best
    }

    /// One arrangement of at most `wanted` objects, all of which are visible.
    fn attempt(config: &SceneConfig, wanted: usize, rng: &mut StdRng) -> Self {
        let room = Room::random(config, rng);
        let camera = Camera::random(config, &room, rng);
        let mut bodies = arrange(config, &room, &camera, wanted, rng);
        loop {
            let cast = cast_rays(config, &room, &camera, &bodies);
            let is_visible: Vec<bool> = cast
                .footprints
                .iter()
                .map(|pixels| pixels.visible_pixels >= config.visible_from())
                .collect();
            if is_visible.iter().all(|&is| is) {
                return Self {
                    room,
                    camera,
                    bodies,
                    cast,
                };
            }
            // Without the others, the remaining objects show at least as much.
            bodies = keep(bodies, &is_visible);
        }
    }
}

/// The wanted bodies, without those whose support is gone.
fn keep(bodies: Vec<Body>, wanted: &[bool]) -> Vec<Body> {
    let stays = |i: usize| wanted[i] && bodies[i].stands_on.is_none_or(|under| wanted[under]);
    let stays: Vec<bool> = (0..bodies.len()).map(stays).collect();
    let new_index = |old: usize| stays[..old].iter().filter(|&&stays| stays).count();
    let kept = bodies.iter().zip(&stays).filter(|(_, stays)| **stays);
    kept.map(|(body, _)| Body {
        stands_on: body.stands_on.map(new_index),
        ..body.clone()
    })
    .collect()
}

/// Put up to `wanted` objects into the room, in view and apart from each other.
fn arrange(
    config: &SceneConfig,
    room: &Room,
    camera: &Camera,
    wanted: usize,
    rng: &mut StdRng,
) -> Vec<Body> {
    let mut colors = ColorName::ALL;
    colors.shuffle(rng);
    let mut solids: Vec<(Solid, Option<usize>)> = Vec::with_capacity(wanted);
    if wanted >= 2 && chance(rng, config.stacked_share) {
        let stack = (0..PLACES).find_map(|_| stack(config, room, camera, rng));
        if let Some([carrier, carried]) = stack {
            solids.extend([(carrier, None), (carried, Some(0))]);
        }
    }
    while solids.len() < wanted {
        let found = (0..PLACES).find_map(|_| {
            let (category, half) = shape(config, rng);
            let solid = on_floor(config, camera, category, half, rng);
            let fits = is_in_view(config, room, camera, &solid)
                && solids.iter().all(|(other, _)| are_apart(other, &solid));
            fits.then_some(solid)
        });
        let Some(solid) = found else { break };
        solids.push((solid, None));
    }
    let bodies = solids.into_iter().zip(colors);
    bodies
        .map(|((solid, stands_on), color)| Body {
            solid,
            color,
            stands_on,
        })
        .collect()
}

/// A box in view and a smaller object on it.
fn stack(
    config: &SceneConfig,
    room: &Room,
    camera: &Camera,
    rng: &mut StdRng,
) -> Option<[Solid; 2]> {
    let side = clip([CARRIER_WIDTH_M, 0.8], config.size_m);
    let height = clip([0.3, CARRIER_HEIGHT_M], config.size_m);
    let half = Vector3::from([side, side, height].map(|span| between(rng, span) / 2.0));
    let carrier = on_floor(config, camera, Category::Box, half, rng);
    let [low, high] = clip(CARRIED_M, config.size_m);
    // What stands on a box does not stick out of it, even if it is turned.
    let narrower = half.x.min(half.y);
    let category = one_of(rng, Category::ALL);
    let most = match category {
        Category::Box => narrower * std::f64::consts::SQRT_2,
        _ => narrower * 2.0,
    };
    let width = between(rng, [low, high.min(most).max(low)]);
    let carried_half = Vector3::new(width, width, between(rng, [low, high])) / 2.0;
    let yaw = between(rng, [0.0, std::f64::consts::TAU]);
    let mut carried = Solid::new(category, carrier.center, carried_half, yaw);
    carried.center.z = 2.0 * half.z + carried.half.z;
    let fits = carried.radius() <= narrower + 1e-9
        && is_in_view(config, room, camera, &carrier)
        && is_in_image(config, camera, &carried.center);
    fits.then_some([carrier, carried])
}

/// A category with half extents in metres.
fn shape(config: &SceneConfig, rng: &mut StdRng) -> (Category, Vector3<f64>) {
    let category = one_of(rng, Category::ALL);
    // Width, length, height: balls are not too large, cans and cones not too flat.
    let spans = match category {
        Category::Box => [[0.25, 1.0], [0.25, 1.0], [0.25, 1.2]],
        Category::Ball => [[0.25, 0.9]; 3],
        Category::Can => [[0.25, 0.7], [0.25, 0.7], [0.3, 1.2]],
        Category::Cone => [[0.3, 0.8], [0.3, 0.8], [0.35, 1.2]],
    };
    let extents = spans.map(|span| between(rng, clip(span, config.size_m)));
    (category, Vector3::from(extents) / 2.0)
}

/// Where the two spans overlap; the end of `limits` that is nearer if they do not.
fn clip(span: Span, limits: Span) -> Span {
    span.map(|value| value.max(limits[0]).min(limits[1]))
}

/// A solid on the floor somewhere ahead of the camera.
fn on_floor(
    config: &SceneConfig,
    camera: &Camera,
    category: Category,
    half: Vector3<f64>,
    rng: &mut StdRng,
) -> Solid {
    let half_fov = (f64::from(config.width) / 2.0 / camera.fx).atan();
    let aside = between(rng, [-half_fov, half_fov]).tan();
    let ahead = camera.world_from_camera * Vector3::new(aside, 0.0, 1.0);
    let distance = between(rng, config.distance_m);
    let way = ahead.xy().try_normalize(0.0).unwrap_or_default() * distance;
    let yaw = between(rng, [0.0, std::f64::consts::TAU]);
    let position = camera.position();
    let mut solid = Solid::new(category, position, half, yaw);
    solid.center = Point3::new(position.x + way.x, position.y + way.y, solid.half.z);
    solid
}

/// Whether a solid on the floor is in the room, clear of the camera, and its middle in the image.
fn is_in_view(config: &SceneConfig, room: &Room, camera: &Camera, solid: &Solid) -> bool {
    let way = solid.center.xy() - camera.position().xy();
    way.norm() - solid.radius() >= CLEARANCE_M
        && room.contains(&solid.center, solid.radius(), GAP_M)
        && is_in_image(config, camera, &solid.center)
}

fn is_in_image(config: &SceneConfig, camera: &Camera, point: &Point3<f64>) -> bool {
    let inside = |at: f64, size: u32| {
        let share = (at + 0.5) / f64::from(size);
        (EDGE_SHARE..=1.0 - EDGE_SHARE).contains(&share)
    };
    camera
        .project(point)
        .is_some_and(|p| inside(p.x, config.width) && inside(p.y, config.height))
}

/// Whether two solids on the floor keep their distance.
fn are_apart(a: &Solid, b: &Solid) -> bool {
    (a.center.xy() - b.center.xy()).norm() >= a.radius() + b.radius() + GAP_M
}
