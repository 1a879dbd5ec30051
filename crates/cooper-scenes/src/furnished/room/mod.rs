//! A rectangular room with coverings, and holes in its walls for doors and windows.

mod coverings;
mod shell;

use glam::{Vec2, Vec3};

pub(super) use coverings::Coverings;
pub(super) use shell::shell;

/// A room from `x = -width / 2`, `y = 0`, `z = 0` on, in metres.
#[derive(Clone, Debug)]
pub(super) struct RoomPlan {
    pub width: f32,
    pub depth: f32,
    pub height: f32,
    /// By wall: left, right, near, far.
    pub holes: [Vec<Hole>; 4],
}

/// A hole in a wall, in metres along it and over the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hole {
    pub low: Vec2,
    pub high: Vec2,
}

/// A wall seen from inside.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    pub index: usize,
    /// Its left end on the floor.
    pub start: Vec2,
    /// From its left to its right end, a unit vector.
    pub along: Vec2,
    /// Into the room, a unit vector.
    pub inward: Vec2,
    pub length: f32,
    /// How a thing is turned whose back is at this wall.
    pub yaw: f32,
}

impl RoomPlan {
    /// Walls by index: left, right, near, far.
    pub(super) fn wall(&self, index: usize) -> Wall {
        use std::f32::consts::{FRAC_PI_2, PI};
        let half = self.width / 2.0;
        let (middle, yaw, length) = match index {
            0 => (Vec2::new(-half, self.depth / 2.0), FRAC_PI_2, self.depth),
            1 => (Vec2::new(half, self.depth / 2.0), -FRAC_PI_2, self.depth),
            2 => (Vec2::new(0.0, 0.0), PI, self.width),
            _ => (Vec2::new(0.0, self.depth), 0.0, self.width),
        };
        let along = Vec2::from_angle(yaw);
        Wall {
            index,
            start: middle - along * length / 2.0,
            along,
            inward: -along.perp(),
            length,
            yaw,
        }
    }

    /// Whether a point of the floor is inside with a margin.
    pub(super) fn holds(&self, point: Vec2, margin: f32) -> bool {
        point.x.abs() <= self.width / 2.0 - margin
            && point.y >= margin
            && point.y <= self.depth - margin
    }

    /// Whether a part of a wall has no hole, with a margin.
    pub(super) fn is_free(&self, wall: usize, part: Hole, margin: f32) -> bool {
        let margin = Vec2::splat(margin);
        self.holes[wall & 3].iter().all(|hole| {
            let apart = (hole.low - margin).cmpge(part.high) | (part.low - margin).cmpge(hole.high);
            apart.any()
        })
    }
}

impl Wall {
    /// A point at a way along the wall, a way into the room and a height.
    pub(super) fn at(&self, along: f32, inward: f32, height: f32) -> Vec3 {
        (self.start + self.along * along + self.inward * inward).extend(height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_are_around_the_room_and_look_inside() {
        let room = RoomPlan {
            width: 4.0,
            depth: 6.0,
            height: 2.5,
            holes: Default::default(),
        };
        for index in 0..4 {
            let wall = room.wall(index);
            let inside = wall.at(wall.length / 2.0, 0.1, 0.0).truncate();
            assert!(room.holds(inside, 0.05), "{index}");
            assert!(
                !room.holds(wall.at(1.0, -0.1, 0.0).truncate(), 0.0),
                "{index}"
            );
            // A thing's front is towards -y before it is turned.
            let front = Vec2::from_angle(wall.yaw).rotate(Vec2::NEG_Y);
            assert!((front - wall.inward).length() < 1e-6, "{index}");
        }
    }
}
