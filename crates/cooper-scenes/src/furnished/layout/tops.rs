//! Small things on tables, beds, cabinets and on the floor.

use glam::Vec3;

use super::super::assets::role::Role;
use super::super::light::Light;
use super::super::palette::ids;
use super::super::props::{self, Prop};
use super::item::Item;
use super::plan::Plan;

/// Put things onto what has a top.
pub(super) fn fill_tops(plan: &mut Plan, clutter: f32) {
    for support in 0..plan.items.len() {
        let volume = plan.items[support].volume;
        let area = 4.0 * volume.half.x * volume.half.y;
        let (word, class) = (plan.items[support].word.clone(), plan.items[support].class);
        match class {
            ids::BED | ids::SOFA => cushions(plan, support, clutter),
            ids::TABLE | ids::CABINET | ids::BATHROOM_FIXTURE
                if volume.low < 0.1 && has_top(&word) =>
            {
                if volume.high < 1.4 {
                    special(plan, support, &word);
                }
                let most = (1.0 + 7.0 * area.min(1.5)) * clutter;
                let n = (most * plan.dice.unit()).round() as usize;
                for _ in 0..n {
                    put_small(plan, support, class == ids::BATHROOM_FIXTURE);
                }
            }
            ids::REFRIGERATOR | ids::OTHER_FURNITURE if plan.dice.chance(0.3 * clutter) => {
                put_small(plan, support, false);
            }
            _ => {}
        }
    }
}

/// Whether people put things onto it.
fn has_top(word: &str) -> bool {
    !matches!(word, "toilet" | "bidet" | "urinal" | "bathtub")
}

/// A television, a monitor or a lamp where one is to be expected.
fn special(plan: &mut Plan, support: usize, word: &str) {
    let screen = match word {
        "TV stand" => 0.8,
        "desk" => 0.6,
        "sideboard" | "dresser" => 0.25,
        _ => 0.0,
    };
    if plan.dice.chance(screen)
        && let Some(choice) = plan.choose(Role::Screen)
    {
        let item = plan.item(&choice, Vec3::ZERO, 0.0);
        plan.onto(support, &item, 0.2, 0.0);
    }
    let lamp = match word {
        "night stand" => 0.6,
        "desk" | "sideboard" | "dresser" => 0.3,
        _ => 0.05,
    };
    if plan.dice.chance(lamp)
        && let Some(choice) = plan.choose(Role::TableLamp)
    {
        let mut item = plan.item(&choice, Vec3::ZERO, 0.0);
        let is_on = plan.dice.chance(0.5);
        item.glow = if is_on { 1.5 } else { 0.0 };
        let placed = plan.onto(support, &item, 3.1, 0.0);
        if let Some(i) = placed.filter(|_| is_on) {
            let volume = plan.items[i].volume;
            let above = volume.center.extend(volume.high + 0.04);
            let power = Vec3::new(1.0, 0.75, 0.5) * plan.dice.between(0.2, 0.8);
            plan.lights.push(Light::lamp(above, 0.06, power));
        }
    }
}

fn cushions(plan: &mut Plan, support: usize, clutter: f32) {
    for _ in 0..plan.dice.whole(0, (3.0 * clutter) as usize) {
        if let Some(prop) = props::pillow(&mut plan.dice) {
            put_prop(plan, support, &prop, 0.6, 0.06);
        }
    }
}

/// A random small thing.
fn put_small(plan: &mut Plan, support: usize, is_wet: bool) {
    let share = plan.dice.unit();
    let prop = match share {
        _ if is_wet => None,
        0.0..0.14 => props::books(&mut plan.dice),
        0.14..0.22 => props::paper(&mut plan.dice),
        0.22..0.25 => props::cardboard_box(&mut plan.dice),
        _ => None,
    };
    if let Some(prop) = prop {
        put_prop(plan, support, &prop, 0.7, 0.0);
        return;
    }
    let role = if share < 0.6 {
        Role::OnTable
    } else {
        Role::Trinket
    };
    if let Some(choice) = plan.choose(role) {
        let item = plan.item(&choice, Vec3::ZERO, 0.0);
        plan.onto(support, &item, 0.8, 0.0);
    }
}

fn put_prop(plan: &mut Plan, support: usize, prop: &Prop, turned: f32, uneven_m: f32) {
    let item: Item = Plan::prop_item(prop, Vec3::ZERO, 0.0);
    plan.onto(support, &item, turned, uneven_m);
}

/// Put things onto the floor.
pub(super) fn scatter(plan: &mut Plan, clutter: f32) {
    let area = plan.room.width * plan.room.depth;
    let most = (2.0 + 0.35 * area) * clutter;
    let n = (most * plan.dice.unit()).round() as usize;
    for _ in 0..n {
        let prop = match plan.dice.unit() {
            0.0..0.2 => props::cardboard_box(&mut plan.dice),
            0.2..0.27 => props::books(&mut plan.dice),
            0.27..0.32 => props::pillow(&mut plan.dice),
            _ => None,
        };
        if let Some(prop) = prop {
            let place = plan.somewhere(0.4);
            let item = Plan::prop_item(&prop, place, plan.dice.angle());
            plan.add(item);
        } else if let Some(choice) = plan.choose(Role::FloorThing) {
            // Most of it is at the walls, out of the way.
            if plan.dice.chance(0.55) {
                plan.at_some_wall(&choice, 0.0);
            } else {
                plan.anywhere(&choice);
            }
        }
    }
}
