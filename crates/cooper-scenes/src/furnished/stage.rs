//! Things in the world, for rays: a tree over things, each with the tree of its own mesh.

use std::sync::Arc;
use std::time::Duration;

use glam::{Affine3A, Vec3, Vec3A};
use obvhs::BvhBuildParams;
use obvhs::aabb::Aabb;
use obvhs::cwbvh::CwBvh;
use obvhs::cwbvh::builder::build_cwbvh;
use obvhs::ray::{Ray, RayHit};

use super::material::Material;
use super::mesh::{Mesh, MeshHit, Surface};

/// A mesh in the world.
pub(super) struct Instance {
    pub mesh: Arc<Mesh>,
    pub world_from_model: Affine3A,
    /// A factor of its colours.
    pub tint: Vec3,
    /// Light of its own as a multiple of its colour.
    pub glow: f32,
    /// What it belongs to.
    pub id: u16,
}

/// All that rays can meet.
pub(super) struct Stage {
    instances: Vec<Instance>,
    model_from_world: Vec<Affine3A>,
    tree: CwBvh,
}

/// What a ray met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    /// In lengths of the ray's direction.
    pub t: f32,
    instance: u32,
    triangle: u32,
}

/// What is at a hit, in the world.
pub(super) struct Look<'a> {
    /// Of the triangle, a unit vector against the ray.
    pub face_normal: Vec3A,
    /// Smooth, a unit vector against the ray.
    pub normal: Vec3A,
    pub material: &'a Material,
    pub surface: Surface,
    /// Texture coordinates that a metre covers.
    pub uv_per_metre: f32,
    pub instance: &'a Instance,
}

impl Stage {
    pub(super) fn new(mut instances: Vec<Instance>) -> Self {
        let bounds: Vec<Aabb> = instances.iter().map(Instance::bounds).collect();
        let params = BvhBuildParams::medium_build();
        let tree = build_cwbvh(&bounds, params, &mut Duration::default());
        // In the tree's order a leaf's index is the instance's.
        let mut sorted: Vec<Option<Instance>> = instances.drain(..).map(Some).collect();
        let order = tree.primitive_indices.iter();
        let instances: Vec<Instance> = order
            .filter_map(|&i| sorted.get_mut(i as usize)?.take())
            .collect();
        Self {
            model_from_world: instances
                .iter()
                .map(|i| i.world_from_model.inverse())
                .collect(),
            instances,
            tree,
        }
    }

    /// The first thing on a ray.
    pub(super) fn nearest(&self, ray: Ray) -> Option<Hit> {
        let mut triangle = 0;
        let mut hit = RayHit::none();
        let met = self.tree.ray_traverse(ray, &mut hit, |ray, i| {
            match self.instances[i].mesh.nearest(self.in_model(ray, i)) {
                Some(MeshHit { t, triangle: met }) if t < ray.tmax => {
                    triangle = met;
                    t
                }
                _ => f32::INFINITY,
            }
        });
        met.then_some(Hit {
            t: hit.t,
            instance: hit.primitive_id,
            triangle,
        })
    }

    /// Whether light is kept from going along a ray.
    pub(super) fn blocks(&self, ray: Ray) -> bool {
        let meet = |ray: &Ray, i: usize| {
            if self.instances[i].mesh.blocks(self.in_model(ray, i)) {
                ray.tmin
            } else {
                f32::INFINITY
            }
        };
        !self.tree.ray_traverse_miss(ray, meet)
    }

    fn in_model(&self, ray: &Ray, i: usize) -> Ray {
        let to_model = &self.model_from_world[i];
        Ray::new(
            to_model.transform_point3a(ray.origin),
            to_model.transform_vector3a(ray.direction),
            ray.tmin,
            ray.tmax,
        )
    }

    /// What a hit belongs to.
    pub(super) fn id(&self, hit: &Hit) -> u16 {
        self.instances[hit.instance as usize].id
    }

    /// What is seen at a hit of a ray.
    pub(super) fn look(&self, ray: &Ray, hit: &Hit) -> Look<'_> {
        let i = hit.instance as usize;
        let instance = &self.instances[i];
        let to_model = &self.model_from_world[i];
        let point = to_model.transform_point3a(ray.origin + ray.direction * hit.t);
        let surface = instance.mesh.surface(hit.triangle, point);
        // Normals go with the transposed inverse.
        let turned = |n: Vec3A| (to_model.matrix3.transpose() * n).normalize_or_zero();
        let face_normal = turned(surface.face_normal);
        let side = if face_normal.dot(ray.direction) > 0.0 {
            -1.0
        } else {
            1.0
        };
        let scale = to_model.matrix3.determinant().abs().cbrt();
        Look {
            face_normal: face_normal * side,
            normal: turned(surface.normal) * side,
            material: &instance.mesh.materials[usize::from(surface.material)],
            uv_per_metre: surface.uv_per_metre * scale,
            surface,
            instance,
        }
    }

    /// Whether a ray meets anything that belongs to an id.
    pub(super) fn meets(&self, id: u16, ray: Ray) -> bool {
        let of_id = self
            .instances
            .iter()
            .enumerate()
            .filter(|(_, i)| i.id == id);
        of_id
            .into_iter()
            .any(|(i, instance)| instance.mesh.nearest(self.in_model(&ray, i)).is_some())
    }
}

impl Instance {
    fn bounds(&self) -> Aabb {
        let [low, high] = [self.mesh.low, self.mesh.high];
        let corners: [Vec3A; 8] = std::array::from_fn(|i| {
            let pick = |axis: usize, bit: usize| if i & bit == 0 { low[axis] } else { high[axis] };
            let corner = Vec3A::new(pick(0, 1), pick(1, 2), pick(2, 4));
            self.world_from_model.transform_point3a(corner)
        });
        Aabb::from_points(&corners)
    }
}
