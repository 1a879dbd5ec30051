//! The meshes of floor, walls and ceiling.

use std::sync::Arc;

use glam::{Vec2, Vec3};

use super::super::material::Material;
use super::super::mesh::Mesh;
use super::super::props::builder::MeshBuilder;
use super::{Coverings, Hole, RoomPlan, Wall};

/// How deep holes are.
const NICHE_M: f32 = 0.4;
const SKIRTING_M: f32 = 0.012;

/// Floor, walls and ceiling, in the room's frame.
pub(in super::super) fn shell(room: &RoomPlan, coverings: &Coverings) -> [Option<Arc<Mesh>>; 3] {
    let level = |height: f32, material: &Material| {
        let mut mesh = MeshBuilder::default();
        let material = mesh.material(material.clone());
        let corner = Vec3::new(-room.width / 2.0, 0.0, height);
        mesh.quad(corner, Vec3::X * room.width, Vec3::Y * room.depth, material);
        mesh.build()
    };
    [
        level(0.0, &coverings.floor),
        walls(room, coverings),
        level(room.height, &coverings.ceiling),
    ]
}

fn walls(room: &RoomPlan, coverings: &Coverings) -> Option<Arc<Mesh>> {
    let mut mesh = MeshBuilder::default();
    let niche = mesh.material(Material::plain(Vec3::splat(0.5)));
    let dado = coverings
        .dado
        .as_ref()
        .map(|(height, look)| (*height, mesh.material(look.clone())));
    let skirting = coverings
        .skirting
        .as_ref()
        .map(|(height, look)| (*height, mesh.material(look.clone())));
    for index in 0..4 {
        let wall = room.wall(index);
        let holes = &room.holes[index];
        let look = mesh.material(coverings.walls[index].clone());
        let dado_height = dado.map(|(height, _)| height);
        for part in solid_parts(&wall, holes, room.height, dado_height) {
            let material = match dado {
                Some((height, material)) if part.high.y <= height + 1e-4 => material,
                _ => look,
            };
            add_part(&mut mesh, &wall, part, material);
        }
        for hole in holes {
            add_niche(&mut mesh, &wall, *hole, niche);
        }
        if let Some((height, material)) = skirting {
            add_skirting(&mut mesh, &wall, holes, height, material);
        }
    }
    mesh.build()
}

/// The parts of a wall that are no hole, cut along all edges.
fn solid_parts(wall: &Wall, holes: &[Hole], height: f32, dado: Option<f32>) -> Vec<Hole> {
    let cuts = |ends: [f32; 2], of: fn(&Hole) -> [f32; 2], more: Option<f32>| {
        let inner = holes.iter().flat_map(of).chain(more);
        let mut cuts: Vec<f32> = ends.into_iter().chain(inner).collect();
        cuts.retain(|cut| (ends[0]..=ends[1]).contains(cut));
        cuts.sort_by(f32::total_cmp);
        cuts.dedup();
        cuts
    };
    let columns = cuts([0.0, wall.length], |h| [h.low.x, h.high.x], None);
    let rows = cuts([0.0, height], |h| [h.low.y, h.high.y], dado);
    let mut parts = Vec::new();
    for x in columns.windows(2) {
        for y in rows.windows(2) {
            let part = Hole {
                low: Vec2::new(x[0], y[0]),
                high: Vec2::new(x[1], y[1]),
            };
            let middle = (part.low + part.high) / 2.0;
            let in_hole = |hole: &Hole| (middle.cmpgt(hole.low) & middle.cmplt(hole.high)).all();
            if !holes.iter().any(in_hole) {
                parts.push(part);
            }
        }
    }
    parts
}

fn add_part(mesh: &mut MeshBuilder, wall: &Wall, part: Hole, material: u16) {
    let extent = part.high - part.low;
    let sides = [wall.along.extend(0.0) * extent.x, Vec3::Z * extent.y];
    // Whatever the part, a pattern goes on over the whole wall.
    let shift = Vec2::X * 7.3 * wall.index as f32;
    let uv = [
        part.low,
        Vec2::new(part.high.x, part.low.y),
        Vec2::new(part.low.x, part.high.y),
    ];
    let corner = wall.at(part.low.x, 0.0, part.low.y);
    mesh.patch(corner, sides, uv.map(|uv| uv + shift), material);
}

fn add_niche(mesh: &mut MeshBuilder, wall: &Wall, hole: Hole, material: u16) {
    let extent = hole.high - hole.low;
    let across = wall.along.extend(0.0) * extent.x;
    let up = Vec3::Z * extent.y;
    let out = -wall.inward.extend(0.0) * NICHE_M;
    let corner = wall.at(hole.low.x, 0.0, hole.low.y);
    mesh.quad(corner + out, across, up, material);
    mesh.quad(corner, out, up, material);
    mesh.quad(corner + across, out, up, material);
    mesh.quad(corner, across, out, material);
    mesh.quad(corner + up, across, out, material);
}

fn add_skirting(mesh: &mut MeshBuilder, wall: &Wall, holes: &[Hole], height: f32, material: u16) {
    let mut doors: Vec<Hole> = holes
        .iter()
        .copied()
        .filter(|hole| hole.low.y < height)
        .collect();
    doors.sort_by(|a, b| a.low.x.total_cmp(&b.low.x));
    let starts = std::iter::once(0.0).chain(doors.iter().map(|door| door.high.x));
    let ends = doors.iter().map(|door| door.low.x).chain([wall.length]);
    for (start, end) in starts.zip(ends).filter(|(start, end)| end > start) {
        let along = wall.along.extend(0.0) * (end - start);
        let out = wall.inward.extend(0.0) * SKIRTING_M;
        let up = Vec3::Z * height;
        let corner = wall.at(start, 0.0, 0.0);
        mesh.quad(corner + out, along, up, material);
        mesh.quad(corner + up, along, out, material);
    }
}
