//! Meshes from quadrilaterals and cuboids.

use std::sync::Arc;

use glam::{Vec2, Vec3};

use super::super::material::Material;
use super::super::mesh::{Face, Mesh};

/// A mesh that grows.
#[derive(Default)]
pub(in super::super) struct MeshBuilder {
    faces: Vec<Face>,
    materials: Vec<Material>,
}

impl MeshBuilder {
    /// The number of a new material.
    pub(in super::super) fn material(&mut self, material: Material) -> u16 {
        self.materials.push(material);
        (self.materials.len() - 1) as u16
    }

    /// A quadrilateral from three of its corners; texture coordinates are metres along its two sides.
    pub(in super::super) fn quad(&mut self, corner: Vec3, u: Vec3, v: Vec3, material: u16) {
        let uv = [
            Vec2::ZERO,
            Vec2::new(u.length(), 0.0),
            Vec2::new(0.0, v.length()),
        ];
        self.patch(corner, [u, v], uv, material);
    }

    /// A quadrilateral with texture coordinates at `corner`, `corner + u` and `corner + v`.
    pub(in super::super) fn patch(
        &mut self,
        corner: Vec3,
        [u, v]: [Vec3; 2],
        uv: [Vec2; 3],
        material: u16,
    ) {
        let [a, b, d] = uv;
        let c = b + d - a;
        let corners = [corner, corner + u, corner + u + v, corner + v];
        for ([i, j, k], uv) in [([0, 1, 2], [a, b, c]), ([0, 2, 3], [a, c, d])] {
            self.faces.push(Face {
                corners: [corners[i], corners[j], corners[k]],
                uv,
                normals: [Vec3::ZERO; 3],
                material,
            });
        }
    }

    /// A cuboid between two corners.
    pub(in super::super) fn cuboid(&mut self, low: Vec3, high: Vec3, material: u16) {
        let extent = high - low;
        let [x, y, z] = [Vec3::X * extent.x, Vec3::Y * extent.y, Vec3::Z * extent.z];
        self.quad(low, x, z, material);
        self.quad(low + y, x, z, material);
        self.quad(low, y, z, material);
        self.quad(low + x, y, z, material);
        self.quad(low, x, y, material);
        self.quad(low + z, x, y, material);
    }

    /// A surface over a grid of `n` x `n` cells of the unit square.
    pub(in super::super) fn sheet(
        &mut self,
        n: usize,
        point: impl Fn(f32, f32) -> Vec3,
        material: u16,
    ) {
        let share = |i: usize| i as f32 / n as f32;
        let normal = |u: f32, v: f32| {
            let step = 0.5 / n as f32;
            let along = point(u + step, v) - point(u - step, v);
            let across = point(u, v + step) - point(u, v - step);
            along.cross(across).normalize_or_zero()
        };
        for (i, j) in (0..n * n).map(|k| (k % n, k / n)) {
            let cell = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)];
            let cell = cell.map(|(i, j)| (share(i), share(j)));
            for corners in [[0, 1, 2], [0, 2, 3]] {
                let at = corners.map(|k| cell[k]);
                let corners = at.map(|(u, v)| point(u, v));
                let [a, b, c] = corners;
                if (b - a).cross(c - a).length_squared() > 0.0 {
                    self.faces.push(Face {
                        corners,
                        uv: corners.map(|p| Vec2::new(p.x, p.y + p.z)),
                        normals: at.map(|(u, v)| normal(u, v)),
                        material,
                    });
                }
            }
        }
    }

    /// None if nothing was added.
    pub(in super::super) fn build(self) -> Option<Arc<Mesh>> {
        Mesh::new(&self.faces, self.materials).map(Arc::new)
    }
}
