//! How rooms are furnished.

pub(super) mod item;
mod openings;
mod plan;
mod recipes;
mod tops;
mod volume;

use glam::{Vec2, Vec3};

use super::assets::library::Furniture;
use super::assets::role::Role;
use super::config::FurnishedConfig;
use super::dice::Dice;
use super::light::Light;
use super::props::{self, builder::MeshBuilder};
use super::room::{Coverings, Hole, RoomPlan};
use crate::split::Split;

use super::palette::ids;
pub(super) use plan::Plan;
pub(super) use recipes::RoomKind;
pub(super) use volume::Volume;

/// Furnish a room of random size and kind.
pub(super) fn furnish<'a>(
    config: &FurnishedConfig,
    furniture: &'a Furniture,
    split: Split,
    mut dice: Dice,
) -> (Plan<'a>, Coverings) {
    let kind = RoomKind::random(&mut dice);
    let mut sides = [dice.of(config.room_width_m), dice.of(config.room_depth_m)];
    if kind.is_wet() {
        sides = sides.map(|side| side.min(dice.between(2.2, 3.6)));
    }
    sides.sort_by(f32::total_cmp);
    let room = RoomPlan {
        width: sides[0],
        depth: sides[1],
        height: dice.of(config.room_height_m),
        holes: Default::default(),
    };
    let coverings = Coverings::random(kind.is_wet(), &mut dice);
    let mut plan = Plan::new(furniture, split, dice, room);
    openings::add_doors(&mut plan);
    openings::add_windows(&mut plan, kind.is_wet());
    if plan.dice.chance(0.15) {
        add_pillar(&mut plan, &coverings);
    }
    recipes::furnish(&mut plan, kind);
    hang_pictures(&mut plan, kind);
    hang_lamps(&mut plan);
    tops::fill_tops(&mut plan, config.clutter as f32);
    tops::scatter(&mut plan, config.clutter as f32);
    (plan, coverings)
}

fn add_pillar(plan: &mut Plan, coverings: &Coverings) {
    let half = Vec2::new(plan.dice.between(0.12, 0.35), plan.dice.between(0.12, 0.35));
    let mut mesh = MeshBuilder::default();
    let look = mesh.material(coverings.walls[0].clone());
    let height = plan.room.height - 0.002;
    mesh.cuboid((-half).extend(0.0), half.extend(height), look);
    let Some(mesh) = mesh.build() else { return };
    let wall = plan.room.wall(plan.dice.whole(0, 3));
    let along = plan.dice.one([
        half.x + 0.005,
        wall.length - half.x - 0.005,
        wall.length / 2.0,
    ]);
    let place = wall.at(along, half.y + 0.005, 0.0);
    let what = ("pillar", ids::OTHER_STRUCTURE);
    plan.add(item::Item::standing(mesh, what, place, wall.yaw));
}

fn hang_pictures(plan: &mut Plan, kind: RoomKind) {
    let n = if kind.is_wet() {
        plan.dice.whole(0, 1)
    } else {
        plan.dice.whole(0, 6)
    };
    for _ in 0..n {
        let Some(prop) = props::picture(&mut plan.dice) else {
            continue;
        };
        for _ in 0..6 {
            let wall = plan.room.wall(plan.dice.whole(0, 3));
            let (half, tall) = (prop.mesh.high.x, prop.mesh.high.z);
            let along = plan
                .dice
                .between(half + 0.05, (wall.length - half - 0.05).max(half));
            let middle = plan.dice.between(1.35, 1.7);
            let low = middle - tall / 2.0;
            let part = Hole {
                low: Vec2::new(along - half, low),
                high: Vec2::new(along + half, low + tall),
            };
            let item = Plan::prop_item(&prop, wall.at(along, 0.006, low), wall.yaw);
            if plan.room.is_free(wall.index, part, 0.05) && plan.add(item).is_some() {
                break;
            }
        }
    }
    for _ in 0..plan.dice.whole(0, 2) {
        hang_model(plan);
    }
}

/// Hang a model that has an elevation onto a wall.
fn hang_model(plan: &mut Plan) {
    let Some(choice) = plan.choose(Role::OnWall) else {
        return;
    };
    let half = choice.mesh.high.x;
    let low = choice.model.elevation.unwrap_or(1.2) + plan.dice.between(-0.15, 0.15);
    for _ in 0..6 {
        let wall = plan.room.wall(plan.dice.whole(0, 3));
        let along = plan
            .dice
            .between(half + 0.05, (wall.length - half - 0.05).max(half));
        let part = Hole {
            low: Vec2::new(along - half, low),
            high: Vec2::new(along + half, low + choice.model.size.z),
        };
        if plan.room.is_free(wall.index, part, 0.05)
            && plan.at_wall(&choice, &wall, along, low).is_some()
        {
            return;
        }
    }
}

/// Lamps at the ceiling, with or without a model, and their light.
fn hang_lamps(plan: &mut Plan) {
    let (width, depth) = (plan.room.width, plan.room.depth);
    let n = if width * depth > 14.0 {
        plan.dice.whole(1, 3)
    } else {
        plan.dice.whole(1, 2)
    };
    let warmth = plan.dice.between(0.0, 1.0);
    let color = Vec3::new(1.0, 0.94 - 0.22 * warmth, 0.88 - 0.5 * warmth);
    let daylit = plan
        .lights
        .iter()
        .any(|light| matches!(light, Light::Pane { .. }));
    // By day lamps are often off.
    let strength = if daylit && plan.dice.chance(0.5) {
        0.15
    } else {
        1.0
    };
    for i in 0..n {
        let y = depth * (i as f32 + plan.dice.between(0.3, 0.7)) / n as f32;
        let spot = Vec2::new(width * plan.dice.between(-0.25, 0.25), y);
        let power = color * (strength * plan.dice.between(2.0, 6.0));
        let mut bottom = plan.room.height - 0.06;
        if let Some(choice) = plan.choose(Role::CeilingLamp) {
            let size = choice.model.size.z;
            let place = spot.extend(plan.room.height - size - 0.003);
            let mut item = plan.item(&choice, place, 0.0);
            item.glow = 2.0 * strength;
            if place.z > 1.75 && plan.add(item).is_some() {
                bottom = place.z - 0.03;
            }
        }
        plan.lights.push(Light::lamp(
            spot.extend(bottom),
            plan.dice.between(0.04, 0.25),
            power,
        ));
    }
}
