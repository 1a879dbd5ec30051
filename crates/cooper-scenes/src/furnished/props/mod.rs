//! Things that are made here, for what catalogues have few models of.

pub(super) mod builder;
pub(super) mod colors;
mod soft;
mod walls;

use std::sync::Arc;

use glam::{Vec2, Vec3};

pub(super) use soft::{curtain, pillow};
pub(super) use walls::{door, picture, window};

use super::dice::Dice;
use super::material::Material;
use super::mesh::Mesh;
use super::palette::ids;
use super::pattern::{Pattern, PatternKind};
use builder::MeshBuilder;

/// A thing without a model.
pub(super) struct Prop {
    pub word: &'static str,
    pub class: u8,
    /// Centred over the origin, on the ground, front towards -y.
    pub mesh: Arc<Mesh>,
}

impl Prop {
    fn new(word: &'static str, class: u8, mesh: MeshBuilder) -> Option<Self> {
        Some(Self {
            word,
            class,
            mesh: mesh.build()?,
        })
    }
}

/// A covering of one colour.
fn covering(kind: PatternKind, color: Vec3, scale: f32, dice: &mut Dice) -> Material {
    Material::pattern(Pattern {
        kind,
        colors: [color, color * dice.between(0.4, 0.8)],
        scale,
        contrast: dice.between(0.2, 0.5),
        seed: dice.seed(),
    })
}

/// A closed cardboard box with a strip of tape.
pub(super) fn cardboard_box(dice: &mut Dice) -> Option<Prop> {
    let half = Vec3::new(
        dice.between(0.12, 0.35),
        dice.between(0.1, 0.25),
        dice.between(0.08, 0.25),
    );
    let mut mesh = MeshBuilder::default();
    let brown = colors::hsv(
        dice.between(24.0, 36.0),
        dice.between(0.3, 0.5),
        dice.between(0.5, 0.75),
    );
    let color = if dice.chance(0.75) {
        brown
    } else {
        colors::any(dice)
    };
    let side = mesh.material(covering(PatternKind::Grain, color, 0.1, dice));
    let tape = mesh.material(Material::plain(color * dice.between(0.6, 1.2)));
    let top = 2.0 * half.z;
    mesh.cuboid(
        Vec3::new(-half.x, -half.y, 0.0),
        Vec3::new(half.x, half.y, top),
        side,
    );
    let strip = Vec3::new(half.x + 0.001, 0.03, top + 0.001);
    mesh.cuboid(Vec3::new(-strip.x, -strip.y, top - 0.08), strip, tape);
    Prop::new("box", ids::BOX, mesh)
}

/// One to six books on each other.
pub(super) fn books(dice: &mut Dice) -> Option<Prop> {
    let mut mesh = MeshBuilder::default();
    let paper = mesh.material(Material::plain(colors::hsv(45.0, 0.1, 0.9)));
    let mut z = 0.0;
    let n = dice.whole(1, 6);
    for _ in 0..n {
        let half = Vec2::new(dice.between(0.07, 0.12), dice.between(0.1, 0.16));
        let thick = dice.between(0.012, 0.045);
        let cover = mesh.material(Material::plain(colors::any(dice)));
        let shift = Vec3::new(dice.between(-0.02, 0.02), dice.between(-0.02, 0.02), z);
        let corner = |grow: f32, z: f32| Vec3::new(half.x + grow, half.y + grow, z);
        for (low, high) in [(0.0, 0.003), (thick - 0.003, thick)] {
            mesh.cuboid(shift - corner(0.0, -low), shift + corner(0.0, high), cover);
        }
        mesh.cuboid(
            shift - corner(-0.004, -0.003),
            shift + corner(-0.004, thick - 0.003),
            paper,
        );
        // The spine.
        let spine = Vec3::new(-half.x, half.y, thick);
        mesh.cuboid(
            shift - Vec3::new(half.x + 0.002, half.y, 0.0),
            shift + spine,
            cover,
        );
        z += thick;
    }
    Prop::new("books", ids::BOOKS, mesh)
}

/// Sheets of paper with writing.
pub(super) fn paper(dice: &mut Dice) -> Option<Prop> {
    let mut mesh = MeshBuilder::default();
    let n = dice.whole(1, 3);
    for i in 0..n {
        let sheet = mesh.material(Material::pattern(Pattern {
            kind: PatternKind::Text,
            colors: [Vec3::splat(0.85), Vec3::splat(0.05)],
            scale: dice.between(0.006, 0.015),
            contrast: 0.0,
            seed: dice.seed(),
        }));
        let turned = Vec2::from_angle(dice.between(-0.4, 0.4));
        let (u, v) = (turned * 0.21, turned.perp() * 0.297);
        let z = 0.001 * (i + 1) as f32;
        let corner = -(u + v) / 2.0;
        mesh.quad(corner.extend(z), u.extend(0.0), v.extend(0.0), sheet);
    }
    Prop::new("paper", ids::BOOKS, mesh)
}

/// A flat rug.
pub(super) fn rug(dice: &mut Dice) -> Option<Prop> {
    let half = Vec2::new(dice.between(0.5, 1.3), dice.between(0.4, 0.9));
    let kind = dice.one([
        PatternKind::Carpet,
        PatternKind::Stripes,
        PatternKind::Motifs,
        PatternKind::Fabric,
    ]);
    let mut mesh = MeshBuilder::default();
    let color = colors::any(dice);
    let scale = dice.between(0.08, 0.3);
    let top = mesh.material(covering(kind, color, scale, dice));
    mesh.cuboid(
        (-half).extend(0.0),
        half.extend(dice.between(0.006, 0.015)),
        top,
    );
    Prop::new("rug", ids::FLOOR, mesh)
}
