//! What belongs into which kind of room, and how it stands together.

use glam::{Vec2, Vec3};

use super::super::assets::role::Role;
use super::super::dice::Dice;
use super::super::props;
use super::super::room::Wall;
use super::plan::{Choice, Plan};

/// What a room is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RoomKind {
    Living,
    Bedroom,
    Kitchen,
    Dining,
    Office,
    Bathroom,
    Storage,
}

impl RoomKind {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let living = [
            Self::Living,
            Self::Bedroom,
            Self::Kitchen,
            Self::Dining,
            Self::Office,
        ];
        match dice.unit() {
            0.0..0.87 => dice.one(living),
            0.87..0.95 => Self::Bathroom,
            _ => Self::Storage,
        }
    }

    pub(super) fn is_wet(self) -> bool {
        self == Self::Bathroom
    }
}

/// Put furniture into an empty room.
pub(super) fn furnish(plan: &mut Plan, kind: RoomKind) {
    match kind {
        RoomKind::Living => living(plan),
        RoomKind::Bedroom => bedroom(plan),
        RoomKind::Kitchen => kitchen(plan),
        RoomKind::Dining => {
            dining_group(plan);
            some_at_walls(plan, Role::LowCabinet, 2);
            some_at_walls(plan, Role::TallCabinet, 2);
        }
        RoomKind::Office => office(plan),
        RoomKind::Bathroom => {
            some_at_walls(plan, Role::BathFixture, 5);
            some_at_walls(plan, Role::LowCabinet, 1);
            lay_rug(plan);
        }
        RoomKind::Storage => {
            some_at_walls(plan, Role::TallCabinet, 4);
            some_at_walls(plan, Role::Appliance, 2);
            some_at_walls(plan, Role::LowCabinet, 2);
        }
    }
    if plan.dice.chance(0.5) {
        some_at_walls(plan, Role::Armchair, 1);
    }
    if plan.dice.chance(0.3) {
        some_at_walls(plan, Role::FloorLamp, 1);
    }
    if plan.dice.chance(0.2)
        && let Some(choice) = plan.choose(Role::Person)
    {
        plan.anywhere(&choice);
    }
    for _ in 0..plan.dice.whole(0, 2) {
        if let Some(choice) = plan.choose(Role::Stool) {
            plan.anywhere(&choice);
        }
    }
}

/// Up to `most` things of a role at walls.
fn some_at_walls(plan: &mut Plan, role: Role, most: usize) {
    for _ in 0..plan.dice.whole(1, most) {
        if let Some(choice) = plan.choose(role) {
            plan.at_some_wall(&choice, choice.model.elevation.unwrap_or(0.0));
        }
    }
}

fn living(plan: &mut Plan) {
    for _ in 0..plan.dice.whole(1, 2) {
        let Some(sofa) = plan.choose(Role::Sofa) else {
            break;
        };
        let Some(i) = plan.at_some_wall(&sofa, 0.0) else {
            continue;
        };
        if plan.dice.chance(0.8)
            && let Some(table) = plan.choose(Role::CoffeeTable)
        {
            let gap = plan.dice.between(0.3, 0.6);
            before(plan, i, &table, gap);
        }
    }
    some_at_walls(plan, Role::LowCabinet, 2);
    some_at_walls(plan, Role::TallCabinet, 2);
    some_at_walls(plan, Role::Armchair, 2);
    if plan.dice.chance(0.3) {
        dining_group(plan);
    }
    lay_rug(plan);
}

fn bedroom(plan: &mut Plan) {
    if let Some(bed) = plan.choose(Role::Bed)
        && let Some(i) = plan.at_some_wall(&bed, 0.0)
    {
        for side in [-1.0, 1.0] {
            if let Some(stand) = plan.choose(Role::NightStand) {
                beside(plan, i, &stand, side);
            }
        }
    }
    some_at_walls(plan, Role::TallCabinet, 2);
    some_at_walls(plan, Role::LowCabinet, 2);
    if plan.dice.chance(0.4) {
        desk_group(plan);
    }
    lay_rug(plan);
}

fn office(plan: &mut Plan) {
    for _ in 0..plan.dice.whole(1, 3) {
        desk_group(plan);
    }
    some_at_walls(plan, Role::TallCabinet, 3);
    some_at_walls(plan, Role::NightStand, 2);
    if plan.dice.chance(0.3) {
        dining_group(plan);
    }
}

/// A row of units along a wall, cabinets over them, a table.
fn kitchen(plan: &mut Plan) {
    let wall = plan.room.wall(plan.dice.whole(0, 3));
    let mut along = plan.dice.between(0.02, 0.6);
    let base = plan.choose(Role::KitchenUnit);
    let upper = plan.choose(Role::KitchenUpper);
    for i in 0..8 {
        let role = if i == 0 {
            Role::Appliance
        } else {
            Role::KitchenUnit
        };
        // Mostly of one kind, as kitchens are.
        let repeated = base.clone().filter(|_| i > 0 && plan.dice.chance(0.6));
        let Some(unit) = repeated.or_else(|| plan.choose(role)) else {
            break;
        };
        let width = unit.mesh.high.x * 2.0;
        if along + width > wall.length - 0.02 {
            break;
        }
        let placed = in_row(plan, &unit, &wall, along + width / 2.0);
        if placed && i > 0 && plan.dice.chance(0.8) {
            hang_over(plan, upper.as_ref(), &wall, along + width / 2.0);
        }
        along += width + 0.006;
    }
    some_at_walls(plan, Role::Appliance, 2);
    if plan.dice.chance(0.7) {
        dining_group(plan);
    }
}

fn in_row(plan: &mut Plan, unit: &Choice, wall: &Wall, along: f32) -> bool {
    let place = wall.at(along, unit.mesh.high.y + 0.015, 0.0);
    let item = plan.item(unit, place, wall.yaw);
    plan.add(item).is_some()
}

fn hang_over(plan: &mut Plan, upper: Option<&Choice>, wall: &Wall, along: f32) {
    let Some(upper) = upper else { return };
    let low = upper.model.elevation.unwrap_or(1.45).max(1.35);
    plan.at_wall(upper, wall, along, low);
}

/// A desk at a wall with a chair before it.
fn desk_group(plan: &mut Plan) {
    let Some(desk) = plan.choose(Role::Desk) else {
        return;
    };
    if let Some(i) = plan.at_some_wall(&desk, 0.0)
        && let Some(chair) = plan.choose(Role::Chair)
    {
        facing(plan, i, &chair, Vec2::NEG_Y);
    }
}

/// A table with chairs around it.
fn dining_group(plan: &mut Plan) {
    let Some(table) = plan.choose(Role::DiningTable) else {
        return;
    };
    let placed = (0..10).find_map(|_| {
        let place = plan.somewhere(table.mesh.high.y + 0.5);
        let yaw = plan.dice.one([0.0, std::f32::consts::FRAC_PI_2]) + 0.1 * plan.dice.normal();
        let item = plan.item(&table, place, yaw);
        plan.add(item)
    });
    let placed = placed.or_else(|| plan.at_some_wall(&table, 0.0));
    let (Some(i), Some(chair)) = (placed, plan.choose(Role::Chair)) else {
        return;
    };
    let half = plan.items[i].volume.half;
    let width = 2.0 * chair.mesh.high.x + 0.08;
    for side in [Vec2::X, Vec2::NEG_X, Vec2::Y, Vec2::NEG_Y] {
        let n = (2.0 * half.dot(side.perp().abs()) / width).floor().max(1.0) as usize;
        for k in 0..n.min(4) {
            if plan.dice.chance(0.8) {
                let shift = (k as f32 + 0.5) / n as f32 - 0.5;
                let shifted = side + side.perp() * 2.0 * shift;
                facing(plan, i, &chair, shifted);
            }
        }
    }
}

/// Put a chair at a side of a table, given in halves of the table, looking at it.
fn facing(plan: &mut Plan, table: usize, chair: &Choice, side: Vec2) {
    let volume = plan.items[table].volume;
    let axis = Vec2::from_angle(volume.yaw);
    // The side is the longer part of the direction.
    let out = if side.x.abs() >= 1.0 - 1e-4 && side.y.abs() < 1.0 - 1e-4 {
        Vec2::new(side.x.signum(), 0.0)
    } else {
        Vec2::new(0.0, side.y.signum())
    };
    let gap = plan.dice.between(0.01, 0.18) + chair.mesh.high.y;
    let local = side * volume.half + out * gap;
    let place = (volume.center + axis.rotate(local)).extend(0.0);
    // Its front is towards -y: that has to look against `out`.
    let toward = (-out).to_angle() + std::f32::consts::FRAC_PI_2;
    let yaw = volume.yaw + toward + 0.15 * plan.dice.normal();
    let item = plan.item(chair, place, yaw);
    plan.add(item);
}

/// Put a thing before another one.
fn before(plan: &mut Plan, i: usize, choice: &Choice, gap: f32) {
    let volume = plan.items[i].volume;
    let out = volume.half.y + gap + choice.mesh.high.y;
    let place = volume.center + Vec2::from_angle(volume.yaw).rotate(Vec2::NEG_Y * out);
    let item = plan.item(choice, place.extend(0.0), volume.yaw);
    plan.add(item);
}

/// Put a thing beside another one at the same wall.
fn beside(plan: &mut Plan, i: usize, choice: &Choice, side: f32) {
    let volume = plan.items[i].volume;
    let across = side * (volume.half.x + choice.mesh.high.x + plan.dice.between(0.03, 0.1));
    let local = Vec2::new(across, volume.half.y - choice.mesh.high.y);
    let place = volume.center + Vec2::from_angle(volume.yaw).rotate(local);
    let item = plan.item(choice, place.extend(0.0), volume.yaw);
    plan.add(item);
}

/// A rug under whatever stands there.
fn lay_rug(plan: &mut Plan) {
    if plan.dice.chance(0.45) {
        return;
    }
    let choice = plan.choose(Role::Rug).filter(|_| plan.dice.chance(0.4));
    let center: Vec3 = plan.somewhere(0.8);
    let yaw = plan.dice.one([0.0, std::f32::consts::FRAC_PI_2]);
    let item = match choice {
        Some(choice) => plan.item(&choice, center, yaw),
        None => match props::rug(&mut plan.dice) {
            Some(prop) => Plan::prop_item(&prop, center, yaw),
            None => return,
        },
    };
    if item
        .volume
        .corners()
        .iter()
        .all(|c| plan.room.holds(*c, 0.02))
    {
        // Legs stand on it: it is pressed by a few millimetres at most.
        plan.push(item);
    }
}
