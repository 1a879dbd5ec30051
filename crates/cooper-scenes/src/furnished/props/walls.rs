//! What walls have: windows, doors, pictures.

use glam::{Vec2, Vec3};

use super::super::dice::Dice;
use super::super::material::Material;
use super::super::palette::ids;
use super::super::pattern::{Pattern, PatternKind};
use super::builder::MeshBuilder;
use super::{Prop, colors, covering};

/// A window with a frame, bars, a sill and panes.
pub(in super::super) fn window(width: f32, height: f32, dice: &mut Dice) -> Option<Prop> {
    let mut mesh = MeshBuilder::default();
    let color = if dice.chance(0.7) {
        Vec3::splat(dice.between(0.5, 0.85))
    } else {
        colors::wood(dice)
    };
    let frame = mesh.material(Material::plain(color));
    let pane = mesh.material(Material::pane());
    let (half, bar) = (width / 2.0, dice.between(0.04, 0.09));
    let front = dice.between(-0.06, -0.02);
    let mut beam = |low: Vec2, high: Vec2, out: f32| {
        mesh.cuboid(
            Vec3::new(low.x, front - out, low.y),
            Vec3::new(high.x, 0.06, high.y),
            frame,
        );
    };
    beam(Vec2::new(-half, 0.0), Vec2::new(-half + bar, height), 0.0);
    beam(Vec2::new(half - bar, 0.0), Vec2::new(half, height), 0.0);
    beam(Vec2::new(-half, height - bar), Vec2::new(half, height), 0.0);
    beam(
        Vec2::new(-half - 0.05, 0.0),
        Vec2::new(half + 0.05, bar * 0.6),
        0.08,
    );
    let columns = dice.whole(1, (width / 0.5) as usize + 1);
    let rows = dice.whole(1, 2);
    for i in 1..columns {
        let x = -half + width * i as f32 / columns as f32;
        beam(
            Vec2::new(x - bar / 2.0, 0.0),
            Vec2::new(x + bar / 2.0, height),
            -0.01,
        );
    }
    for i in 1..rows {
        let z = height * i as f32 / rows as f32;
        beam(
            Vec2::new(-half, z - bar / 3.0),
            Vec2::new(half, z + bar / 3.0),
            -0.01,
        );
    }
    let across = Vec3::X * width;
    mesh.quad(Vec3::new(-half, 0.02, 0.0), across, Vec3::Z * height, pane);
    Prop::new("window", ids::WINDOW, mesh)
}

/// A closed door with panels and a knob.
pub(in super::super) fn door(dice: &mut Dice) -> Option<Prop> {
    let (half, height) = (dice.between(0.38, 0.5), dice.between(1.95, 2.1));
    let mut mesh = MeshBuilder::default();
    let color = if dice.chance(0.5) {
        Vec3::splat(dice.between(0.5, 0.85))
    } else {
        colors::wood(dice)
    };
    let leaf = mesh.material(covering(PatternKind::Grain, color, 0.1, dice));
    let metal = mesh.material(Material::plain(Vec3::splat(0.4)));
    let frame = mesh.material(Material::plain(color * dice.between(0.7, 1.0)));
    mesh.cuboid(
        Vec3::new(-half, 0.0, 0.0),
        Vec3::new(half, 0.04, height),
        leaf,
    );
    for side in [-1.0, 1.0] {
        let (a, b) = (side * half, side * (half - 0.06));
        mesh.cuboid(
            Vec3::new(a.min(b), -0.04, 0.0),
            Vec3::new(a.max(b), 0.05, height),
            frame,
        );
    }
    mesh.cuboid(
        Vec3::new(-half, -0.04, height - 0.06),
        Vec3::new(half, 0.05, height),
        frame,
    );
    let rows = dice.whole(0, 3);
    for i in 0..rows {
        let share = |k: usize| 0.08 + (height - 0.2) * k as f32 / rows as f32;
        let (low, high) = (share(i) + 0.06, share(i + 1) - 0.04);
        let inset = half - 0.16;
        mesh.cuboid(
            Vec3::new(-inset, -0.015, low),
            Vec3::new(inset, 0.0, high),
            leaf,
        );
    }
    let knob = Vec3::new(half - 0.13, -0.06, 1.02);
    mesh.cuboid(
        knob - Vec3::new(0.1, 0.012, 0.012),
        knob + Vec3::new(0.012, 0.06, 0.012),
        metal,
    );
    Prop::new("door", ids::DOOR, mesh)
}

/// A picture, a poster or a whiteboard; its back is at y = 0.
pub(in super::super) fn picture(dice: &mut Dice) -> Option<Prop> {
    let is_board = dice.chance(0.12);
    let (half, height) = if is_board {
        (dice.between(0.5, 0.9), dice.between(0.7, 1.1))
    } else {
        (dice.between(0.12, 0.5), dice.between(0.25, 0.9))
    };
    let mut mesh = MeshBuilder::default();
    let rim = dice.between(0.0, 0.06);
    let thick = dice.between(0.01, 0.04);
    let color = dice.one([
        Vec3::splat(0.03),
        Vec3::splat(0.7),
        colors::hsv(30.0, 0.5, 0.5),
    ]);
    let frame = mesh.material(Material::plain(color));
    let art = mesh.material(Material::pattern(Pattern {
        kind: if is_board {
            PatternKind::Text
        } else {
            PatternKind::Art
        },
        colors: if is_board {
            [Vec3::splat(0.8), Vec3::new(0.05, 0.05, 0.3)]
        } else {
            [colors::any(dice), colors::any(dice)]
        },
        scale: dice.between(0.05, 0.15),
        contrast: 0.0,
        seed: dice.seed(),
    }));
    mesh.cuboid(
        Vec3::new(-half, -thick, 0.0),
        Vec3::new(half, 0.0, height),
        frame,
    );
    let inside = Vec2::new(2.0 * (half - rim), height - 2.0 * rim);
    let extent = if is_board { inside } else { Vec2::ONE };
    let uv = [
        Vec2::ZERO,
        Vec2::new(extent.x, 0.0),
        Vec2::new(0.0, extent.y),
    ];
    let corner = Vec3::new(rim - half, -thick - 0.002, rim);
    mesh.patch(corner, [Vec3::X * inside.x, Vec3::Z * inside.y], uv, art);
    let word = if is_board { "whiteboard" } else { "picture" };
    Prop::new(word, ids::PICTURE, mesh)
}
