//! Doors and windows with their holes, curtains and radiators.

use glam::{Vec2, Vec3};

use super::super::assets::role::Role;
use super::super::light::Light;
use super::super::props::{self, Prop, colors};
use super::super::room::{Hole, Wall};
use super::item::Item;
use super::plan::Plan;
use super::volume::Volume;

/// Frames stand this far out of the wall.
const OUT_M: f32 = 0.03;

/// One or two doors; the way to them stays free.
pub(super) fn add_doors(plan: &mut Plan) {
    let n = plan.dice.whole(1, 2);
    for _ in 0..n {
        let item = match plan.choose(Role::Door).filter(|_| plan.dice.chance(0.7)) {
            Some(choice) => plan.item(&choice, Vec3::ZERO, 0.0),
            None => match props::door(&mut plan.dice) {
                Some(prop) => Plan::prop_item(&prop, Vec3::ZERO, 0.0),
                None => continue,
            },
        };
        if let Some((wall, hole)) = into_wall(plan, item, 0.0) {
            let middle = (hole.low.x + hole.high.x) / 2.0;
            reserve(
                plan,
                &wall,
                [middle, 0.4],
                Vec3::new(hole.high.x - hole.low.x, 0.8, hole.high.y),
            );
        }
    }
}

/// Up to three windows, most with daylight, some with curtains.
pub(super) fn add_windows(plan: &mut Plan, is_small: bool) {
    let n = if is_small {
        plan.dice.whole(0, 1)
    } else {
        plan.dice.whole(0, 3)
    };
    let daylight = plan.dice.chance(0.8).then(|| plan.dice.between(1.0, 7.0));
    let cloth = colors::any(&mut plan.dice).lerp(Vec3::splat(0.7), plan.dice.unit());
    let has_curtains = plan.dice.chance(0.5);
    for _ in 0..n {
        let Some((item, sill)) = some_window(plan) else {
            continue;
        };
        let Some((wall, hole)) = into_wall(plan, item, sill) else {
            continue;
        };
        if let Some(power) = daylight {
            plan.lights.push(daylight_of(&wall, hole, power));
        }
        let middle = (hole.low.x + hole.high.x) / 2.0;
        if sill > 0.6
            && plan.dice.chance(0.5)
            && let Some(choice) = plan.choose(Role::Radiator)
            && choice.model.size.z < sill
        {
            let low = choice
                .model
                .elevation
                .unwrap_or(0.0)
                .min(sill - choice.model.size.z);
            plan.at_wall(&choice, &wall, middle, low);
        }
        if has_curtains {
            add_curtains(plan, &wall, hole, cloth);
        }
        let size = Vec3::new(hole.high.x - hole.low.x, 0.3, hole.high.y - hole.low.y);
        reserve(plan, &wall, [middle, 0.15], size);
        if let Some(last) = plan.reserved.last_mut() {
            last.low += hole.low.y;
            last.high += hole.low.y;
        }
    }
}

/// A window and the height of its sill.
fn some_window(plan: &mut Plan) -> Option<(Item, f32)> {
    let room_height = plan.room.height;
    if plan.dice.chance(0.5)
        && let Some(choice) = plan.choose(Role::Window)
    {
        let sill = choice.model.elevation.unwrap_or(0.9);
        if sill + choice.model.size.z < room_height - 0.1 {
            return Some((plan.item(&choice, Vec3::ZERO, 0.0), sill));
        }
    }
    let sill = if plan.dice.chance(0.2) {
        0.08
    } else {
        plan.dice.between(0.6, 1.1)
    };
    let height = plan
        .dice
        .between(0.8, 1.6)
        .min(room_height - sill - 0.15)
        .max(0.5);
    let width = plan.dice.between(0.6, 2.2);
    let prop = props::window(width, height, &mut plan.dice)?;
    Some((Plan::prop_item(&prop, Vec3::ZERO, 0.0), sill))
}

/// Cut a hole and put a door or window into it.
fn into_wall(plan: &mut Plan, item: Item, sill: f32) -> Option<(Wall, Hole)> {
    let mesh = item.mesh.clone();
    let half = mesh.high.x;
    for _ in 0..12 {
        let wall = plan.room.wall(plan.dice.whole(0, 3));
        if wall.length < 2.0 * half + 0.3 {
            continue;
        }
        let along = plan.dice.between(half + 0.12, wall.length - half - 0.12);
        let inset = 0.012;
        let hole = Hole {
            low: Vec2::new(
                along - half + inset,
                (sill + inset).max(0.0) * f32::from(u8::from(sill > 0.0)),
            ),
            high: Vec2::new(along + half - inset, sill + mesh.high.z - inset),
        };
        if !plan.room.is_free(wall.index, hole, 0.12) || hole.high.y > plan.room.height - 0.03 {
            continue;
        }
        // Its front is `OUT_M` inside the room, the rest in the wall.
        let place = wall.at(along, OUT_M + mesh.low.y, sill);
        let placed = Item::standing(mesh, ("", 0), place, wall.yaw);
        plan.push(Item {
            world_from_model: placed.world_from_model,
            volume: placed.volume,
            ..item
        });
        plan.room.holes[wall.index].push(hole);
        return Some((wall, hole));
    }
    None
}

/// Keep a part of the floor before a wall free.
fn reserve(plan: &mut Plan, wall: &Wall, [along, inward]: [f32; 2], size: Vec3) {
    let place = wall.at(along, inward, 0.0);
    plan.reserved.push(Volume::of(size, place, wall.yaw));
}

fn daylight_of(wall: &Wall, hole: Hole, power: f32) -> Light {
    let middle = (hole.low + hole.high) / 2.0;
    let half = (hole.high - hole.low) / 2.0;
    let color = Vec3::new(0.82, 0.92, 1.0);
    Light::pane(
        wall.at(middle.x, 0.06, middle.y),
        [wall.along.extend(0.0) * half.x, Vec3::Z * half.y],
        wall.inward.extend(0.0),
        color * power,
    )
}

/// One curtain on each side of a window.
fn add_curtains(plan: &mut Plan, wall: &Wall, hole: Hole, cloth: Vec3) {
    let top = (hole.high.y + 0.12).min(plan.room.height - 0.03);
    let bottom = if plan.dice.chance(0.7) {
        0.03
    } else {
        (hole.low.y - 0.2).max(0.03)
    };
    let open = plan.dice.between(0.15, 0.5);
    let width = (hole.high.x - hole.low.x) * open + 0.15;
    for (edge, side) in [(hole.low.x, 1.0), (hole.high.x, -1.0)] {
        let middle = edge + side * (width / 2.0 - 0.15);
        let Some(prop) = props::curtain(width, top - bottom, cloth, &mut plan.dice) else {
            continue;
        };
        let item = hang(&prop, wall, [middle, 0.1], bottom);
        plan.add(item);
    }
}

fn hang(prop: &Prop, wall: &Wall, [along, inward]: [f32; 2], height: f32) -> Item {
    Plan::prop_item(prop, wall.at(along, inward, height), wall.yaw)
}
