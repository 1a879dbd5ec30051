//! Where cameras stand and what they look at.

use glam::{Vec2, Vec3, Vec3A};
use nalgebra::{Isometry3, Translation3};
use obvhs::ray::Ray;

use super::config::FurnishedConfig;
use super::dice::Dice;
use super::layout::Volume;
use super::stage::Stage;
use crate::camera::{Camera, rotation};

/// How often a viewpoint is tried; the best one counts.
const ATTEMPTS: usize = 40;
/// Rays that judge a view.
const GRID: [u32; 2] = [16, 12];

/// What a camera can stand in and look at.
pub(super) struct Space<'a> {
    pub stage: &'a Stage,
    /// Where no camera can be.
    pub taken: Vec<Volume>,
    /// Tops that are looked at from near by.
    pub tops: Vec<Volume>,
    /// What is looked at from afar.
    pub targets: Vec<Vec3>,
    /// The floor's extent.
    pub low: Vec2,
    pub high: Vec2,
}

/// What kind of camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    Person,
    Robot,
    TableTop,
}

/// A camera with a good view.
pub(super) fn choose(config: &FurnishedConfig, space: &Space, dice: &mut Dice) -> Camera {
    let share = f64::from(dice.unit());
    let carrier = if share < config.table_view_share && !space.tops.is_empty() {
        Carrier::TableTop
    } else if share > 1.0 - config.robot_view_share {
        Carrier::Robot
    } else {
        Carrier::Person
    };
    let half_fov = dice.of(config.horizontal_fov_deg).to_radians() / 2.0;
    let focal = f64::from(config.width) / 2.0 / f64::from(half_fov.tan());
    let mut best = (f32::INFINITY, None);
    for _ in 0..ATTEMPTS {
        let (position, target) = propose(config, carrier, space, dice);
        let camera = look_at(config, focal, [position, target], carrier, dice);
        let obstruction = space.obstruction(position);
        if obstruction >= best.0 {
            continue;
        }
        let fault = obstruction + space.fault(config, &camera, carrier);
        if fault < best.0 {
            best = (fault, Some(camera));
        }
        if fault <= 0.0 {
            break;
        }
    }
    let middle = ((space.low + space.high) / 2.0).extend(1.5);
    let fallback = [middle, middle + Vec3::Y];
    best.1
        .unwrap_or_else(|| look_at(config, focal, fallback, carrier, dice))
}

/// A place and what is looked at.
fn propose(
    config: &FurnishedConfig,
    carrier: Carrier,
    space: &Space,
    dice: &mut Dice,
) -> (Vec3, Vec3) {
    let x = dice.between(space.low.x + 0.15, space.high.x - 0.15);
    let spot = Vec2::new(x, dice.between(space.low.y + 0.15, space.high.y - 0.15));
    match carrier {
        Carrier::Robot => {
            let position = spot.extend(dice.of(config.robot_height_m));
            let away = Vec2::from_angle(dice.angle()) * 2.0;
            let pitch = dice.between(-0.45, 0.45);
            (position, position + away.extend(pitch))
        }
        Carrier::Person => {
            let position = spot.extend(dice.of(config.camera_height_m));
            let target = dice.pick(&space.targets).filter(|_| dice.chance(0.6));
            let target = target.unwrap_or_else(|| {
                let x = dice.between(space.low.x, space.high.x);
                Vec3::new(
                    x,
                    dice.between(space.low.y, space.high.y),
                    dice.between(0.2, 1.4),
                )
            });
            (position, target)
        }
        Carrier::TableTop => {
            let Some(top) = dice.pick(&space.tops) else {
                return (Vec3::ZERO, Vec3::Y);
            };
            let local = top.half * Vec2::new(dice.between(-0.6, 0.6), dice.between(-0.6, 0.6));
            let target = top.center + Vec2::from_angle(top.yaw).rotate(local);
            let target = target.extend(top.high);
            let distance = dice.of(config.table_distance_m);
            let (round, up) = (dice.angle(), dice.between(0.25, 1.05));
            let level = Vec2::from_angle(round) * up.cos();
            (target + level.extend(up.sin()) * distance, target)
        }
    }
}

fn look_at(
    config: &FurnishedConfig,
    focal: f64,
    [from, to]: [Vec3; 2],
    carrier: Carrier,
    dice: &mut Dice,
) -> Camera {
    let way = to - from;
    let yaw = (-way.x).atan2(way.y);
    let pitch = (-way.z).atan2(way.truncate().length());
    let pitch = match carrier {
        Carrier::Person => pitch.clamp(-0.25, 0.7),
        Carrier::Robot | Carrier::TableTop => pitch,
    };
    let roll = if carrier == Carrier::Robot {
        0.01
    } else {
        0.035
    } * dice.normal();
    let position = Translation3::new(f64::from(from.x), f64::from(from.y), f64::from(from.z));
    let turn = rotation(f64::from(yaw), f64::from(pitch), f64::from(roll));
    Camera {
        fx: focal,
        fy: focal,
        cx: (f64::from(config.width) - 1.0) / 2.0,
        cy: (f64::from(config.height) - 1.0) / 2.0,
        world_from_camera: Isometry3::from_parts(position, turn.into()),
    }
}

/// The ray through a pixel coordinate; its parameter is depth.
pub(super) fn pixel_ray(camera: &Camera, column: f32, row: f32) -> Ray {
    let ray = camera.ray(f64::from(column), f64::from(row));
    let [x, y, z] = [ray.direction.x, ray.direction.y, ray.direction.z].map(|v| v as f32);
    let origin = Vec3A::new(
        ray.origin.x as f32,
        ray.origin.y as f32,
        ray.origin.z as f32,
    );
    Ray::new(origin, Vec3A::new(x, y, z), 1e-3, f32::INFINITY)
}

impl Space<'_> {
    /// How wrong it is to put a camera at a place; 0 is well.
    fn obstruction(&self, position: Vec3) -> f32 {
        let flat = position.truncate();
        if flat.cmplt(self.low + 0.12).any() || flat.cmpgt(self.high - 0.12).any() {
            return 1000.0;
        }
        let inside = self
            .taken
            .iter()
            .any(|volume| volume.grown(0.1).contains(position));
        let mut fault = if inside { 500.0 } else { 0.0 };
        let corners = (0..14).map(|i| match i {
            0..8 => [i & 1, i >> 1 & 1, i >> 2 & 1].map(|bit| 2.0 * bit as f32 - 1.0),
            _ => {
                let mut axis = [0.0; 3];
                axis[(i - 8) / 2] = if i % 2 == 0 { 1.0 } else { -1.0 };
                axis
            }
        });
        for direction in corners {
            let direction = Vec3A::from(direction).normalize_or_zero();
            let ray = Ray::new(position.into(), direction, 0.0, f32::INFINITY);
            match self.stage.nearest(ray) {
                Some(hit) if hit.t > 0.12 => {}
                Some(_) => fault += 50.0,
                // Outside of everything. Worlds have holes upwards.
                None => fault += 20.0,
            }
        }
        fault
    }

    /// How far a view is from a good one; 0 is good.
    fn fault(&self, config: &FurnishedConfig, camera: &Camera, carrier: Carrier) -> f32 {
        let (mut depths, mut ids, mut misses) = (Vec::new(), Vec::new(), 0);
        for (i, j) in (0..GRID[0] * GRID[1]).map(|k| (k % GRID[0], k / GRID[0])) {
            let column = (i as f32 + 0.5) / GRID[0] as f32 * config.width as f32 - 0.5;
            let row = (j as f32 + 0.5) / GRID[1] as f32 * config.height as f32 - 0.5;
            match self.stage.nearest(pixel_ray(camera, column, row)) {
                Some(hit) => {
                    depths.push(hit.t);
                    ids.push(self.stage.id(&hit));
                }
                None => misses += 1,
            }
        }
        if depths.is_empty() {
            return 1000.0;
        }
        depths.sort_by(f32::total_cmp);
        ids.sort_unstable();
        let share = |n: usize| n as f32 / (GRID[0] * GRID[1]) as f32;
        let runs: Vec<(u16, usize)> = ids
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0], run.len()))
            .collect();
        let largest = runs.iter().map(|run| run.1).max().unwrap_or(0);
        let n_things = runs.iter().filter(|run| run.0 > 2 && run.1 >= 2).count();
        let (near, median) = match carrier {
            Carrier::Person => (0.6, [1.6, 6.0]),
            Carrier::Robot => (0.2, [0.7, 5.0]),
            Carrier::TableTop => (0.2, [0.4, 2.2]),
        };
        let below = |value: f32, least: f32| (least - value).max(0.0);
        let middle = depths[depths.len() / 2];
        let wanted = if carrier == Carrier::TableTop { 2 } else { 3 };
        4.0 * below(depths[depths.len() / 50], near)
            + below(middle, median[0])
            + below(median[1], middle)
            + 4.0 * below(0.6, share(largest))
            + below(n_things as f32, wanted as f32)
            + 10.0 * share(misses)
    }
}
