//! What floor, walls and ceiling are made of.

use glam::Vec3;

use super::super::dice::Dice;
use super::super::material::Material;
use super::super::pattern::{Pattern, PatternKind};
use super::super::props::colors;

/// The coverings of one room.
pub(in super::super) struct Coverings {
    pub floor: Material,
    /// Left, right, near, far.
    pub walls: [Material; 4],
    /// A lower part of the walls of another kind, up to a height in metres.
    pub dado: Option<(f32, Material)>,
    pub ceiling: Material,
    pub skirting: Option<(f32, Material)>,
}

impl Coverings {
    pub(in super::super) fn random(is_wet: bool, dice: &mut Dice) -> Self {
        let wall = if is_wet && dice.chance(0.6) {
            tiles(dice)
        } else {
            wall(dice)
        };
        let mut walls = [0; 4].map(|_| wall.clone());
        if dice.chance(0.25) {
            walls[dice.whole(0, 3)] = accent(dice);
        }
        let dado = match is_wet {
            true if dice.chance(0.5) => Some((dice.between(1.0, 1.9), tiles(dice))),
            false if dice.chance(0.08) => Some((dice.between(0.8, 1.2), self::wall(dice))),
            _ => None,
        };
        let skirting = dice.chance(0.75).then(|| {
            let color = if dice.chance(0.6) {
                Vec3::splat(0.7)
            } else {
                colors::wood(dice)
            };
            (dice.between(0.05, 0.14), Material::plain(color))
        });
        Self {
            floor: if is_wet && dice.chance(0.8) {
                tiles(dice)
            } else {
                floor(dice)
            },
            walls,
            dado,
            ceiling: ceiling(dice),
            skirting,
        }
    }
}

fn pattern(
    kind: PatternKind,
    colors: [Vec3; 2],
    scale: f32,
    contrast: f32,
    dice: &mut Dice,
) -> Material {
    Material::pattern(Pattern {
        kind,
        colors,
        scale,
        contrast,
        seed: dice.seed(),
    })
}

fn floor(dice: &mut Dice) -> Material {
    let kind = dice.one([
        PatternKind::Planks,
        PatternKind::Planks,
        PatternKind::Planks,
        PatternKind::Tiles,
        PatternKind::Carpet,
        PatternKind::Carpet,
        PatternKind::Concrete,
    ]);
    let color = match kind {
        PatternKind::Planks => colors::wood(dice),
        PatternKind::Tiles => return tiles(dice),
        PatternKind::Carpet => {
            let (hue, saturation) = (dice.between(0.0, 360.0), 0.5 * dice.unit() * dice.unit());
            colors::hsv(hue, saturation, dice.between(0.2, 0.75))
        }
        _ => colors::hsv(dice.between(20.0, 220.0), 0.06, dice.between(0.4, 0.75)),
    };
    let scale = dice.between(0.07, 0.22);
    let contrast = dice.between(0.2, 0.6);
    pattern(
        kind,
        [color, color * dice.between(0.3, 0.8)],
        scale,
        contrast,
        dice,
    )
}

fn tiles(dice: &mut Dice) -> Material {
    let color = colors::hsv(
        dice.between(0.0, 360.0),
        0.25 * dice.unit(),
        dice.between(0.45, 0.95),
    );
    let joint = color * dice.between(0.4, 1.1);
    let scale = dice.one([0.1, 0.15, 0.2, 0.3, 0.3, 0.4, 0.6]);
    let contrast = dice.between(0.03, 0.25);
    pattern(PatternKind::Tiles, [color, joint], scale, contrast, dice)
}

fn wall(dice: &mut Dice) -> Material {
    let color = colors::wall(dice);
    let contrast = dice.between(0.02, 0.15);
    match dice.unit() {
        0.0..0.75 => pattern(PatternKind::Plaster, [color; 2], 1.0, contrast, dice),
        0.75..0.85 => {
            let other = color * dice.between(0.5, 0.9);
            let strength = dice.between(0.2, 0.8);
            let scale = dice.between(0.05, 0.25);
            pattern(PatternKind::Stripes, [color, other], scale, strength, dice)
        }
        0.85..0.95 => {
            let other = color * dice.between(0.5, 0.9);
            let strength = dice.between(0.2, 0.8);
            let scale = dice.between(0.06, 0.25);
            pattern(PatternKind::Motifs, [color, other], scale, strength, dice)
        }
        _ => pattern(PatternKind::Concrete, [color, color * 0.8], 1.0, 0.15, dice),
    }
}

fn accent(dice: &mut Dice) -> Material {
    match dice.unit() {
        0.0..0.35 => {
            let color = colors::hsv(
                dice.between(5.0, 30.0),
                dice.between(0.2, 0.6),
                dice.between(0.4, 0.8),
            );
            let joint = Vec3::splat(dice.between(0.3, 0.7));
            pattern(
                PatternKind::Bricks,
                [color, joint],
                dice.between(0.2, 0.3),
                0.4,
                dice,
            )
        }
        0.35..0.5 => {
            let color = colors::wood(dice);
            pattern(
                PatternKind::Planks,
                [color, color * 0.5],
                dice.between(0.08, 0.2),
                0.4,
                dice,
            )
        }
        _ => wall(dice),
    }
}

fn ceiling(dice: &mut Dice) -> Material {
    let white = colors::hsv(40.0, 0.06 * dice.unit(), dice.between(0.8, 0.98));
    match dice.unit() {
        0.0..0.8 => pattern(PatternKind::Plaster, [white; 2], 1.0, 0.04, dice),
        0.8..0.92 => pattern(PatternKind::Tiles, [white, white * 0.6], 0.6, 0.05, dice),
        _ => {
            let color = colors::wood(dice);
            pattern(PatternKind::Planks, [color, color * 0.6], 0.12, 0.3, dice)
        }
    }
}
