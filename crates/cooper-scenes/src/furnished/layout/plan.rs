//! A room that is being furnished: what is where, and whether something more fits.

use std::sync::Arc;

use glam::{Vec2, Vec3, Vec3A};
use obvhs::ray::Ray;

use super::super::assets::library::{Furniture, Model};
use super::super::assets::role::Role;
use super::super::dice::Dice;
use super::super::light::Light;
use super::super::mesh::Mesh;
use super::super::props::Prop;
use super::super::room::{RoomPlan, Wall};
use super::item::Item;
use super::volume::Volume;
use crate::split::Split;

/// How often a place is tried.
const ATTEMPTS: usize = 14;
/// Things that lie on something may be this much higher than a part of what is under them.
const UNEVEN_M: f32 = 0.012;

/// A room with things.
pub(in super::super) struct Plan<'a> {
    furniture: &'a Furniture,
    split: Split,
    pub dice: Dice,
    pub room: RoomPlan,
    pub items: Vec<Item>,
    /// Kept free: before doors and windows.
    pub reserved: Vec<Volume>,
    pub lights: Vec<Light>,
}

/// A model that was chosen.
#[derive(Clone)]
pub(super) struct Choice<'a> {
    pub model: &'a Model,
    pub mesh: Arc<Mesh>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(furniture: &'a Furniture, split: Split, dice: Dice, room: RoomPlan) -> Self {
        Self {
            furniture,
            split,
            dice,
            room,
            items: Vec::new(),
            reserved: Vec::new(),
            lights: Vec::new(),
        }
    }

    /// A model of a role that is in the split.
    pub(super) fn choose(&mut self, role: Role) -> Option<Choice<'a>> {
        let models = self.furniture.models(role, self.split);
        // A few models have no mesh.
        (0..4).find_map(|_| {
            let model = self.dice.pick(&models)?;
            let mesh = model.mesh().ok()?.clone();
            Some(Choice { model, mesh })
        })
    }

    /// Whether a volume is inside the room and free of things; `support` may be touched.
    pub(super) fn fits(&self, volume: &Volume, support: Option<usize>) -> bool {
        let inside = volume.corners().iter().all(|c| self.room.holds(*c, 0.004));
        let tight = volume.grown(-0.004);
        // One may stand on a rug.
        let is_flat = |item: &Item| item.volume.high < 0.03;
        let free = |(i, item): (usize, &Item)| {
            Some(i) == support || is_flat(item) || !item.volume.overlaps(&tight)
        };
        inside
            && volume.high < self.room.height
            && self.items.iter().enumerate().all(free)
            && !self
                .reserved
                .iter()
                .any(|reserved| reserved.overlaps(&tight))
    }

    /// Put a thing where it is if it fits there; its number.
    pub(super) fn add(&mut self, item: Item) -> Option<usize> {
        self.fits(&item.volume, item.support)
            .then(|| self.push(item))
    }

    /// Put a thing where it is, whatever is there.
    pub(super) fn push(&mut self, item: Item) -> usize {
        self.items.push(item);
        self.items.len() - 1
    }

    /// The thing of a choice at a place, in a tint of its own.
    pub(super) fn item(&mut self, choice: &Choice, place: Vec3, yaw: f32) -> Item {
        let what = (choice.model.word, choice.model.class);
        let mut item = Item::standing(choice.mesh.clone(), what, place, yaw);
        item.model = Some(choice.model.id.clone());
        let dice = &mut self.dice;
        let (brightness, hue) = (dice.between(0.7, 1.2), dice.between(0.0, 0.12));
        item.tint = Vec3::new(
            brightness * dice.between(1.0 - hue, 1.0 + hue),
            brightness,
            brightness * dice.between(1.0 - hue, 1.0 + hue),
        );
        item
    }

    /// Put a thing with its back at some wall.
    pub(super) fn at_some_wall(&mut self, choice: &Choice, height: f32) -> Option<usize> {
        (0..ATTEMPTS).find_map(|_| {
            let wall = self.room.wall(self.dice.whole(0, 3));
            let half = choice.mesh.high.x;
            let along = self
                .dice
                .between(half + 0.02, (wall.length - half - 0.02).max(half));
            self.at_wall(choice, &wall, along, height)
        })
    }

    /// Put a thing with its back at a place of a wall.
    pub(super) fn at_wall(
        &mut self,
        choice: &Choice,
        wall: &Wall,
        along: f32,
        height: f32,
    ) -> Option<usize> {
        let gap = if height > 0.05 {
            0.005
        } else {
            self.dice.between(0.015, 0.06)
        };
        let inward = choice.mesh.high.y + gap;
        let item = self.item(choice, wall.at(along, inward, height), wall.yaw);
        self.add(item)
    }

    /// Put a thing somewhere on the floor, turned anyhow.
    pub(super) fn anywhere(&mut self, choice: &Choice) -> Option<usize> {
        (0..ATTEMPTS).find_map(|_| {
            let place = self.somewhere(choice.mesh.high.truncate().max_element());
            let yaw = self.dice.angle();
            let item = self.item(choice, place, yaw);
            self.add(item)
        })
    }

    /// A point of the floor with a margin to the walls.
    pub(super) fn somewhere(&mut self, margin: f32) -> Vec3 {
        let half = (self.room.width / 2.0 - margin).max(0.0);
        let far = (self.room.depth - margin).max(margin);
        let x = self.dice.between(-half, half);
        Vec3::new(x, self.dice.between(margin, far), 0.0)
    }

    /// The thing of a prop at a place.
    pub(super) fn prop_item(prop: &Prop, place: Vec3, yaw: f32) -> Item {
        Item::standing(prop.mesh.clone(), (prop.word, prop.class), place, yaw)
    }

    /// Lay a thing onto another, at a random place of it; `uneven_m` is how rough its top may be.
    pub(super) fn onto(
        &mut self,
        support: usize,
        item: &Item,
        turned: f32,
        uneven_m: f32,
    ) -> Option<usize> {
        let under = self.items.get(support)?.clone();
        let half = item.volume.half;
        let axis = Vec2::from_angle(under.volume.yaw);
        (0..ATTEMPTS).find_map(|_| {
            let room = (under.volume.half - Vec2::splat(half.min_element())).max(Vec2::ZERO);
            let local = Vec2::new(
                self.dice.between(-room.x, room.x),
                self.dice.between(-room.y, room.y),
            );
            let yaw = under.volume.yaw + self.dice.between(-turned, turned);
            let spot = under.volume.center + axis.rotate(local);
            let height = flat_height(&under, spot, half * 0.9, yaw, uneven_m.max(UNEVEN_M))?;
            let mut item = item.clone();
            let base = Item::standing(item.mesh.clone(), ("", 0), spot.extend(height), yaw);
            (item.world_from_model, item.volume) = (base.world_from_model, base.volume);
            item.support = Some(support);
            self.add(item)
        })
    }
}

/// How high a thing's top is under a rectangle; none if it is not flat there.
fn flat_height(under: &Item, spot: Vec2, half: Vec2, yaw: f32, uneven_m: f32) -> Option<f32> {
    let axis = Vec2::from_angle(yaw);
    let to_model = under.world_from_model.inverse();
    let above = under.volume.high + 0.1;
    let mut range = [f32::INFINITY, f32::NEG_INFINITY];
    for (i, j) in (0..9).map(|k| (k % 3 - 1, k / 3 - 1)) {
        let local = Vec2::new(i as f32, j as f32) * half;
        let point = (spot + axis.rotate(local)).extend(above);
        let ray = Ray::new_inf(
            to_model.transform_point3a(Vec3A::from(point)),
            to_model.transform_vector3a(Vec3A::NEG_Z),
        );
        let height = above - under.mesh.nearest(ray)?.t;
        range = [range[0].min(height), range[1].max(height)];
    }
    (range[1] - range[0] <= uneven_m).then_some(range[1])
}
