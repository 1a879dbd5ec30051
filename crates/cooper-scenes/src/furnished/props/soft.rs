//! Cloth: pillows and curtains.

use std::f32::consts::{PI, TAU};

use glam::Vec3;

use super::super::dice::Dice;
use super::super::palette::ids;
use super::super::pattern::PatternKind;
use super::builder::MeshBuilder;
use super::{Prop, colors, covering};

/// A pillow that lies flat.
pub(in super::super) fn pillow(dice: &mut Dice) -> Option<Prop> {
    let half = Vec3::new(
        dice.between(0.2, 0.36),
        dice.between(0.18, 0.25),
        dice.between(0.05, 0.09),
    );
    let mut mesh = MeshBuilder::default();
    let color = if dice.chance(0.5) {
        colors::wall(dice)
    } else {
        colors::any(dice)
    };
    let kind = dice.one([
        PatternKind::Fabric,
        PatternKind::Fabric,
        PatternKind::Stripes,
        PatternKind::Motifs,
    ]);
    let cloth = mesh.material(covering(kind, color, dice.between(0.03, 0.1), dice));
    // A superellipsoid: nearly square from above, thin at the edges.
    let power = |x: f32, p: f32| x.signum() * x.abs().powf(p);
    let point = |u: f32, v: f32| {
        let (across, up) = (u * TAU, (v - 0.5) * PI);
        let ring = power(up.cos(), 0.8);
        Vec3::new(
            half.x * ring * power(across.cos(), 0.45),
            half.y * ring * power(across.sin(), 0.45),
            half.z * (1.0 + up.sin()),
        )
    };
    mesh.sheet(12, point, cloth);
    Prop::new("pillow", ids::SOFT_THING, mesh)
}

/// A curtain of a width and a height that hangs in folds.
pub(in super::super) fn curtain(
    width: f32,
    height: f32,
    color: Vec3,
    dice: &mut Dice,
) -> Option<Prop> {
    let mut mesh = MeshBuilder::default();
    let kind = dice.one([
        PatternKind::Fabric,
        PatternKind::Fabric,
        PatternKind::Motifs,
    ]);
    let cloth = mesh.material(covering(kind, color, 0.15, dice));
    let folds = (width / dice.between(0.08, 0.16)).round().max(1.0);
    let phase = dice.between(0.0, TAU);
    let point = |u: f32, v: f32| {
        let swing = 0.02 + 0.015 * (1.0 - v);
        let wave = (u * folds * TAU + phase + 0.5 * v).sin();
        Vec3::new((u - 0.5) * width, swing * wave, v * height)
    };
    mesh.sheet(28, point, cloth);
    Prop::new("curtain", ids::CURTAIN, mesh)
}
