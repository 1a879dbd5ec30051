//! Procedural coverings of walls, floors and plain furniture: colours by place, in metres.

use glam::{Vec2, Vec3};

use super::hash::unit;

/// A covering.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pattern {
    pub kind: PatternKind,
    /// Reflectances in linear light; the second is of joints, motifs, stains.
    pub colors: [Vec3; 2],
    /// The extent of a tile, board, stripe in metres.
    pub scale: f32,
    /// How strongly it varies, in [0, 1].
    pub contrast: f32,
    pub seed: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternKind {
    Plaster,
    Planks,
    Tiles,
    Bricks,
    Carpet,
    Fabric,
    Stripes,
    Motifs,
    Concrete,
    Grain,
    /// A picture over the unit square.
    Art,
    /// Lines of writing.
    Text,
}

impl Pattern {
    /// The reflectance at a place where a pixel covers `footprint` metres. Details finer than that fade.
    pub(super) fn color(&self, at: Vec2, footprint: f32) -> Vec3 {
        let [base, other] = self.colors;
        let (toward_other, brightness) = match self.kind {
            PatternKind::Plaster => (
                0.0,
                self.noise(at, 0.03, footprint) * 0.4 + self.noise(at, 0.9, footprint) * 0.6,
            ),
            PatternKind::Concrete => (
                self.noise(at, 0.25, footprint) + 0.5,
                self.noise(at, 0.02, footprint),
            ),
            PatternKind::Carpet => (
                0.0,
                self.noise(at, 0.006, footprint) + 0.3 * self.noise(at, 0.4, footprint),
            ),
            PatternKind::Fabric => self.fabric(at, footprint),
            PatternKind::Planks => self.planks(at, footprint),
            PatternKind::Grain => (0.0, self.grain(at, footprint)),
            PatternKind::Tiles => self.tiles(at, Vec2::ONE, 0.0, footprint),
            PatternKind::Bricks => self.tiles(at, Vec2::new(1.0, 0.32), 0.5, footprint),
            PatternKind::Stripes => (
                self.stripe(at.x, footprint),
                self.noise(at, 0.05, footprint) * 0.2,
            ),
            PatternKind::Motifs => (
                self.motif(at, footprint),
                self.noise(at, 0.05, footprint) * 0.2,
            ),
            PatternKind::Text => (self.text(at, footprint), 0.0),
            PatternKind::Art => return self.art(at),
        };
        let color = base.lerp(other, toward_other.clamp(0.0, 1.0));
        (color * (1.0 + self.contrast * brightness)).clamp(Vec3::ZERO, Vec3::ONE)
    }

    /// Smooth noise in [-0.5, 0.5] with features of `size` metres.
    fn noise(&self, at: Vec2, size: f32, footprint: f32) -> f32 {
        let left = 1.0 - footprint / (2.0 * size);
        if left <= 0.0 {
            return 0.0;
        }
        left * (value_noise(at / size, self.seed) - 0.5)
    }

    /// How much of a pattern of `size` metres a pixel leaves.
    fn sharpness(size: f32, footprint: f32) -> f32 {
        (size / (3.0 * footprint.max(1e-6))).min(1.0)
    }

    fn grain(&self, at: Vec2, footprint: f32) -> f32 {
        // Long along y.
        let stretched = Vec2::new(at.x, at.y * 0.06);
        self.noise(stretched, 0.008, footprint) + 0.7 * self.noise(stretched, 0.04, footprint)
    }

    fn planks(&self, at: Vec2, footprint: f32) -> (f32, f32) {
        let row = (at.x / self.scale).floor();
        let shift = unit(row as i32, 0, self.seed);
        let length = self.scale * 8.0;
        let along = at.y / length + shift;
        let column = along.floor();
        let tone = unit(row as i32, column as i32, self.seed ^ 1) - 0.5;
        let offset = Vec2::new(0.0, tone * 50.0);
        let across = (at.x / self.scale - row) * self.scale;
        let end = (along - column) * length;
        let joint = 0.003;
        let is_joint = across < joint || end < joint;
        let joint_share = if footprint > joint {
            // A pixel shows the mean of joint and board.
            let near = across < footprint || end < footprint;
            if near { joint / footprint } else { 0.0 }
        } else {
            f32::from(u8::from(is_joint))
        };
        (
            joint_share * 0.8,
            0.8 * tone + self.grain(at + offset, footprint),
        )
    }

    /// Tiles of a shape, every other row shifted by a share of the width.
    fn tiles(&self, at: Vec2, shape: Vec2, shift: f32, footprint: f32) -> (f32, f32) {
        let cell = shape * self.scale;
        let row = (at.y / cell.y).floor();
        let x = at.x / cell.x + if row as i64 & 1 == 1 { shift } else { 0.0 };
        let column = x.floor();
        let inside = Vec2::new((x - column) * cell.x, at.y - row * cell.y);
        let joint = (0.012 * self.scale).max(0.003);
        let edge = inside.min(cell - inside).min_element();
        let joint_share = if footprint > joint {
            if edge < footprint {
                (joint / footprint).min(1.0)
            } else {
                0.0
            }
        } else {
            f32::from(u8::from(edge < joint / 2.0))
        };
        let tone = unit(column as i32, row as i32, self.seed ^ 2) - 0.5;
        let tone = tone * Self::sharpness(self.scale, footprint);
        (joint_share, tone + 0.5 * self.noise(at, 0.03, footprint))
    }

    fn stripe(&self, x: f32, footprint: f32) -> f32 {
        let phase = (x / self.scale).rem_euclid(1.0);
        let on = f32::from(u8::from(phase < 0.5));
        let left = Self::sharpness(self.scale, footprint);
        self.contrast * (0.5 + left * (on - 0.5))
    }

    fn motif(&self, at: Vec2, footprint: f32) -> f32 {
        let cell = at / self.scale;
        let row = cell.y.floor();
        let x = cell.x + 0.5 * row.rem_euclid(2.0);
        let center = Vec2::new(x - x.floor() - 0.5, cell.y - row - 0.5);
        // A leaf or a dot: the radius changes with the angle.
        let petals = (unit(3, 1, self.seed) * 6.0).floor();
        let radius = 0.28 + 0.1 * (petals * center.y.atan2(center.x)).cos();
        let on = f32::from(u8::from(center.length() < radius));
        let left = Self::sharpness(self.scale * 0.6, footprint);
        self.contrast * (0.25 + left * (on - 0.25))
    }

    fn fabric(&self, at: Vec2, footprint: f32) -> (f32, f32) {
        let check = self.stripe(at.x, footprint) + self.stripe(at.y, footprint);
        let is_checked = unit(7, 7, self.seed) < 0.4;
        let weave = self.noise(at, 0.004, footprint) + 0.4 * self.noise(at, 0.1, footprint);
        (if is_checked { 0.5 * check } else { 0.0 }, weave)
    }

    fn text(&self, at: Vec2, footprint: f32) -> f32 {
        let row = (at.y / self.scale).floor();
        let in_row = at.y / self.scale - row;
        let letter = (at.x / (self.scale * 0.45)).floor();
        let is_word = unit(letter as i32 / 2, row as i32, self.seed) < 0.75;
        let ink = unit(
            (at.x / (self.scale * 0.1)).floor() as i32,
            row as i32,
            self.seed ^ 5,
        );
        let on = is_word && (0.25..0.75).contains(&in_row) && ink < 0.6;
        let left = Self::sharpness(self.scale * 0.4, footprint);
        0.15 * (1.0 - left) + left * f32::from(u8::from(on))
    }

    /// A landscape, coloured areas, or a figure, in the unit square.
    fn art(&self, at: Vec2) -> Vec3 {
        let [sky, ground] = self.colors;
        let tint = |i: i32| {
            Vec3::new(
                unit(i, 1, self.seed),
                unit(i, 2, self.seed),
                unit(i, 3, self.seed),
            )
        };
        let kind = unit(0, 9, self.seed);
        if kind < 0.45 {
            let horizon = 0.3 + 0.3 * unit(1, 9, self.seed);
            let hill = horizon + 0.25 * (value_noise(Vec2::new(at.x * 4.0, 0.0), self.seed) - 0.5);
            let color = if at.y < hill {
                ground
            } else {
                sky.lerp(Vec3::ONE, 0.5 * (1.0 - at.y))
            };
            return color * (0.7 + 0.6 * value_noise(at * 14.0, self.seed ^ 3));
        }
        if kind < 0.75 {
            let split = |i| 0.2 + 0.6 * unit(i, 8, self.seed);
            let cell = i32::from(at.x > split(1))
                + 2 * i32::from(at.y > split(2))
                + 4 * i32::from(at.x > split(3));
            return tint(cell) * tint(cell);
        }
        let center = at - Vec2::new(0.5, 0.45);
        if center.length() < 0.25 {
            return tint(10);
        }
        sky * (0.6 + 0.8 * value_noise(at * 5.0, self.seed))
    }
}

/// Smooth noise in [0, 1] with features of extent 1.
pub(super) fn value_noise(at: Vec2, seed: u32) -> f32 {
    let cell = at.floor();
    let inside = at - cell;
    let smooth = inside * inside * (Vec2::splat(3.0) - 2.0 * inside);
    let (x, y) = (cell.x as i32, cell.y as i32);
    let lower = unit(x, y, seed) * (1.0 - smooth.x) + unit(x + 1, y, seed) * smooth.x;
    let upper = unit(x, y + 1, seed) * (1.0 - smooth.x) + unit(x + 1, y + 1, seed) * smooth.x;
    lower * (1.0 - smooth.y) + upper * smooth.y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_views_show_the_mean_and_near_views_vary() {
        for kind in [
            PatternKind::Planks,
            PatternKind::Tiles,
            PatternKind::Carpet,
            PatternKind::Stripes,
        ] {
            let pattern = Pattern {
                kind,
                colors: [Vec3::splat(0.5), Vec3::splat(0.3)],
                scale: 0.2,
                contrast: 0.5,
                seed: 7,
            };
            let spread = |footprint: f32| {
                let values = (0..400).map(|i| {
                    let at = Vec2::new((i % 20) as f32, (i / 20) as f32) * 0.0371;
                    pattern.color(at, footprint).x
                });
                let values: Vec<f32> = values.collect();
                let mean = values.iter().sum::<f32>() / 400.0;
                values.iter().map(|v| (v - mean).abs()).sum::<f32>() / 400.0
            };
            assert!(spread(0.0005) > 0.01, "{kind:?}");
            assert!(spread(2.0) < spread(0.0005), "{kind:?}");
        }
    }
}
