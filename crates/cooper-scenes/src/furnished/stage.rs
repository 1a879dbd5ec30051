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
    bounds: Vec<Aabb>,
    /// Lengths in the model's frame of a metre of the world.
    scales: Vec<f32>,
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
        let inverse = |instance: &Instance| instance.world_from_model.inverse();
        let model_from_world: Vec<Affine3A> = instances.iter().map(inverse).collect();
        let scale = |inverse: &Affine3A| inverse.matrix3.determinant().abs().cbrt();
        Self {
            bounds: instances.iter().map(Instance::bounds).collect(),
            scales: model_from_world.iter().map(scale).collect(),
            model_from_world,
            instances,
            tree,
        }
    }

    /// The first thing on a ray.
    pub(super) fn nearest(&self, ray: Ray) -> Option<Hit> {
        let mut triangle = 0;
        let mut hit = RayHit::none();
        let met = self.tree.ray_traverse(ray, &mut hit, |ray, i| {
            // Something nearer may have been met since the tree looked at this box.
            if self.bounds[i].intersect_ray(ray) > ray.tmax {
                return f32::INFINITY;
            }
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
        Look {
            face_normal: face_normal * side,
            normal: turned(surface.normal) * side,
            material: &instance.mesh.materials[usize::from(surface.material)],
            uv_per_metre: surface.uv_per_metre * self.scales[i],
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

#[cfg(test)]
mod tests {
    use glam::Quat;

    use super::super::props::builder::MeshBuilder;
    use super::*;

    #[test]
    fn turned_and_scaled_things_are_met_where_they_are() {
        let mut mesh = MeshBuilder::default();
        let grey = mesh.material(Material::plain(Vec3::splat(0.5)));
        mesh.cuboid(Vec3::splat(-1.0), Vec3::ONE, grey);
        let mesh = mesh.build().unwrap();
        let instance = |id: u16, at: Vec3, scale: f32| Instance {
            mesh: mesh.clone(),
            world_from_model: Affine3A::from_scale_rotation_translation(
                Vec3::splat(scale),
                Quat::from_rotation_z(std::f32::consts::FRAC_PI_4),
                at,
            ),
            tint: Vec3::ONE,
            glow: 0.0,
            id,
        };
        let far = instance(3, Vec3::Y * 10.0, 1.0);
        let near = instance(4, Vec3::new(3.0, 5.0, 0.0), 0.5);
        let stage = Stage::new(vec![far, near]);
        let hit = |x: f32, direction: Vec3A| {
            let ray = Ray::new_inf(Vec3A::new(x, 0.0, 0.1), direction);
            stage
                .nearest(ray)
                .map(|hit| (stage.id(&hit), hit.t, stage.look(&ray, &hit).normal))
        };
        // Its edge is nearest: half a diagonal before its middle. Directions need not be unit vectors.
        let (id, t, normal) = hit(0.001, Vec3A::Y * 2.0).unwrap();
        assert!(id == 3 && (t - (10.0 - 2f32.sqrt()) / 2.0).abs() < 1e-3);
        assert!(normal.y < 0.0 && (normal.length() - 1.0).abs() < 1e-5);
        let (id, t, _) = hit(3.001, Vec3A::Y).unwrap();
        assert!(id == 4 && (t - (5.0 - 0.5f32.sqrt())).abs() < 2e-3);
        assert!(hit(1.6, Vec3A::Y).is_none());
        let blocked = |end: f32| stage.blocks(Ray::new(Vec3A::ZERO, Vec3A::Y, 0.0, end));
        assert!(blocked(20.0) && !blocked(8.0));
        assert!(stage.meets(4, Ray::new_inf(Vec3A::new(3.0, 0.0, 0.0), Vec3A::Y)));
    }
}
