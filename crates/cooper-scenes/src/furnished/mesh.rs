//! Triangles with a tree over them, in metres, z up.

use std::time::Duration;

use glam::{Vec2, Vec3, Vec3A};
use obvhs::BvhBuildParams;
use obvhs::cwbvh::CwBvh;
use obvhs::cwbvh::builder::build_cwbvh;
use obvhs::ray::{Ray, RayHit};
use obvhs::rt_triangle::RtTriangle;

use super::material::Material;

/// A triangle before the tree is built.
#[derive(Clone, Copy, Debug)]
pub(super) struct Face {
    pub corners: [Vec3; 3],
    pub uv: [Vec2; 3],
    /// At the corners; zero where the triangle's own counts.
    pub normals: [Vec3; 3],
    pub material: u16,
}

/// What a ray met.
#[derive(Clone, Copy, Debug)]
pub(super) struct MeshHit {
    /// In lengths of the ray's direction.
    pub t: f32,
    pub triangle: u32,
}

/// What is at a point of a mesh, in the mesh's frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surface {
    /// Of the triangle, not normalised.
    pub face_normal: Vec3A,
    /// Smooth, not normalised; on the side of `face_normal`.
    pub normal: Vec3A,
    pub uv: Vec2,
    /// How much of the texture coordinates a metre covers.
    pub uv_per_metre: f32,
    pub material: u16,
}

/// What a triangle has beside its corners.
#[derive(Clone, Copy, Debug)]
struct Attributes {
    uv: [Vec2; 3],
    /// In 127ths; all zero: flat.
    normals: [[i8; 3]; 3],
    material: u16,
    has_holes: bool,
    uv_per_metre: f32,
}

/// A textured thing.
pub(super) struct Mesh {
    triangles: Vec<RtTriangle>,
    attributes: Vec<Attributes>,
    pub(super) materials: Vec<Material>,
    tree: CwBvh,
    has_holes: bool,
    pub(super) low: Vec3,
    pub(super) high: Vec3,
}

impl Mesh {
    /// None without faces.
    pub(super) fn new(faces: &[Face], materials: Vec<Material>) -> Option<Self> {
        let plain = |face: &Face| {
            let [a, b, c] = face.corners.map(Vec3A::from);
            RtTriangle::new(a, b, c)
        };
        let triangles: Vec<RtTriangle> = faces.iter().map(plain).collect();
        if triangles.is_empty() {
            return None;
        }
        let params = BvhBuildParams::medium_build();
        let tree = build_cwbvh(&triangles, params, &mut Duration::default());
        // In the tree's order a leaf's index is the triangle's.
        let order = || tree.primitive_indices.iter().map(|&i| i as usize);
        let corners = || faces.iter().flat_map(|face| face.corners);
        let attributes: Vec<Attributes> = order()
            .map(|i| Attributes::new(&faces[i], &materials))
            .collect();
        Some(Self {
            triangles: order().map(|i| triangles[i]).collect(),
            has_holes: attributes.iter().any(|a| a.has_holes),
            attributes,
            materials,
            low: corners().fold(Vec3::INFINITY, Vec3::min),
            high: corners().fold(Vec3::NEG_INFINITY, Vec3::max),
            tree,
        })
    }

    /// The first triangle on a ray of this mesh's frame.
    pub(super) fn nearest(&self, ray: Ray) -> Option<MeshHit> {
        let mut hit = RayHit::none();
        let met = if self.has_holes {
            self.tree
                .ray_traverse(ray, &mut hit, |ray, i| self.meet_with_holes(ray, i))
        } else {
            self.tree
                .ray_traverse(ray, &mut hit, |ray, i| self.triangles[i].intersect(ray))
        };
        met.then_some(MeshHit {
            t: hit.t,
            triangle: hit.primitive_id,
        })
    }

    /// Whether anything is on a ray of this mesh's frame.
    pub(super) fn blocks(&self, ray: Ray) -> bool {
        let meet = |ray: &Ray, i: usize| {
            let pane = self.materials[usize::from(self.attributes[i].material)].is_pane;
            if pane {
                return f32::INFINITY;
            }
            self.meet_with_holes(ray, i)
        };
        !self.tree.ray_traverse_miss(ray, meet)
    }

    fn meet_with_holes(&self, ray: &Ray, i: usize) -> f32 {
        let t = self.triangles[i].intersect(ray);
        let attributes = &self.attributes[i];
        if t.is_finite() && attributes.has_holes {
            let point = ray.origin + ray.direction * t;
            let uv = blend(attributes.uv, self.weights(i, point));
            if self.materials[usize::from(attributes.material)].is_hole(uv) {
                return f32::INFINITY;
            }
        }
        t
    }

    /// What is at a point of a triangle.
    pub(super) fn surface(&self, triangle: u32, point: Vec3A) -> Surface {
        let i = triangle as usize;
        let attributes = &self.attributes[i];
        let weights = self.weights(i, point);
        let (ab, ac) = self.edges(i);
        let face_normal = ab.cross(ac);
        let corner = |k: usize| {
            let [x, y, z] = attributes.normals[k].map(f32::from);
            Vec3A::new(x, y, z) * weights[k]
        };
        let smooth = corner(0) + corner(1) + corner(2);
        let normal = match smooth.length_squared() {
            0.0..1.0 => face_normal,
            _ => smooth * smooth.dot(face_normal).signum(),
        };
        Surface {
            face_normal,
            normal,
            uv: blend(attributes.uv, weights),
            uv_per_metre: attributes.uv_per_metre,
            material: attributes.material,
        }
    }

    /// From the first corner to the other two.
    fn edges(&self, i: usize) -> (Vec3A, Vec3A) {
        (-self.triangles[i].e1, self.triangles[i].e2)
    }

    /// Barycentric coordinates of a point of a triangle.
    fn weights(&self, i: usize, point: Vec3A) -> [f32; 3] {
        let (ab, ac) = self.edges(i);
        let ap = point - self.triangles[i].v0;
        let normal = ab.cross(ac);
        let area = normal.length_squared().max(f32::MIN_POSITIVE);
        let v = ap.cross(ac).dot(normal) / area;
        let w = ab.cross(ap).dot(normal) / area;
        [1.0 - v - w, v, w]
    }
}

impl Attributes {
    fn new(face: &Face, materials: &[Material]) -> Self {
        let [a, b, c] = face.corners;
        let area = (b - a).cross(c - a).length();
        let uv_area = (face.uv[1] - face.uv[0])
            .perp_dot(face.uv[2] - face.uv[0])
            .abs();
        let density = (uv_area / area.max(1e-12)).sqrt();
        Self {
            uv: face.uv,
            normals: face
                .normals
                .map(|n| n.to_array().map(|c| (c * 127.0) as i8)),
            material: face.material,
            has_holes: materials
                .get(usize::from(face.material))
                .is_some_and(Material::has_holes),
            uv_per_metre: density,
        }
    }
}

fn blend(uv: [Vec2; 3], weights: [f32; 3]) -> Vec2 {
    uv[0] * weights[0] + uv[1] * weights[1] + uv[2] * weights[2]
}
