//! Scenes in worlds: which part of a building is seen, and how it is lit.

use glam::{Quat, Vec2, Vec3, Vec3A};
use obvhs::ray::Ray;

use super::assets::world::World;
use super::dice::Dice;
use super::layout::Volume;
use super::layout::item::Item;
use super::light::Light;
use super::palette::ids;
use super::stage::Stage;

/// Larger things are no obstacle as a whole: there are ways through them.
const LARGEST_M: f32 = 2.6;

/// The things of a world, each in a tint of its own.
pub(super) fn items(world: &World, dice: &mut Dice) -> Vec<Item> {
    let items = world.parts.iter().map(|part| {
        let (low, high) = (part.mesh.low, part.mesh.high);
        let matrix = part.world_from_model.matrix3;
        let scale = Vec3::new(
            matrix.x_axis.length(),
            matrix.y_axis.length(),
            matrix.z_axis.length(),
        );
        let base = ((low + high) / 2.0).with_z(low.z);
        let place = part.world_from_model.transform_point3(base);
        let yaw = matrix.x_axis.y.atan2(matrix.x_axis.x);
        Item {
            mesh: part.mesh.clone(),
            word: part.word.clone(),
            class: part.class,
            model: Some(part.model.clone()),
            world_from_model: part.world_from_model,
            volume: Volume::of((high - low) * scale, place, yaw),
            support: None,
            tint: Vec3::splat(dice.between(0.75, 1.15)),
            glow: if part.class == ids::LAMP { 1.0 } else { 0.0 },
        }
    });
    items.collect()
}

/// Things in which no camera can be.
pub(super) fn obstacles(items: &[Item]) -> Vec<Volume> {
    let solid = items.iter().filter(|item| item.class > ids::CEILING);
    let volumes = solid.map(|item| item.volume);
    volumes
        .filter(|v| v.half.max_element() < LARGEST_M / 2.0)
        .collect()
}

/// The extent of the floor, from the things on it.
pub(super) fn extent(items: &[Item]) -> [Vec2; 2] {
    let floors = || items.iter().filter(|item| item.class == ids::FLOOR);
    let corners = || floors().flat_map(|item| item.volume.corners());
    [
        corners().fold(Vec2::INFINITY, Vec2::min),
        corners().fold(Vec2::NEG_INFINITY, Vec2::max),
    ]
}

/// Lamps under the ceiling around a place.
pub(super) fn lights(stage: &Stage, eye: Vec3, dice: &mut Dice) -> Vec<Light> {
    let warmth = dice.unit();
    let color = Vec3::new(1.0, 0.95 - 0.2 * warmth, 0.9 - 0.45 * warmth);
    let n = dice.whole(2, 4);
    let lamps = (0..n).map(|_| {
        let away = Quat::from_rotation_z(dice.angle()) * Vec3::X;
        // Not behind a wall.
        let reach = free_way(stage, eye, away, 4.0) - 0.3;
        let spot = eye + away * (reach.max(0.0) * dice.between(0.2, 1.0));
        let up = free_way(stage, spot, Vec3::Z, 3.0) - 0.25;
        let power = color * dice.between(1.5, 5.0);
        Light::lamp(
            spot + Vec3::Z * up.max(0.0),
            dice.between(0.05, 0.25),
            power,
        )
    });
    lamps.collect()
}

fn free_way(stage: &Stage, from: Vec3, direction: Vec3, most: f32) -> f32 {
    let ray = Ray::new(Vec3A::from(from), Vec3A::from(direction), 0.0, most);
    stage.nearest(ray).map_or(most, |hit| hit.t)
}
