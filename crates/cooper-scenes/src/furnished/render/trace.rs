//! The first thing on the ray of each pixel.

use glam::{Vec3, Vec3A};

use super::super::config::FurnishedConfig;
use super::super::stage::{Look, Stage};
use super::super::viewpoint::pixel_ray;
use super::outdoor::Outdoor;
use crate::camera::Camera;

/// The id of pixels whose ray meets nothing.
pub(in super::super) const NOTHING: u16 = u16::MAX;

/// What the pixels show, row-major.
pub(in super::super) struct Seen {
    pub width: usize,
    pub height: usize,
    /// Metres along the optical axis; 0 where nothing is.
    pub depth: Vec<f32>,
    /// Of the instance.
    pub ids: Vec<u16>,
    /// Reflectance in linear light.
    pub albedo: Vec<Vec3A>,
    pub points: Vec<Vec3A>,
    /// Unit vectors towards the camera.
    pub normals: Vec<Vec3A>,
    /// Of the triangle.
    pub face_normals: Vec<Vec3A>,
    emitted: Vec<Vec3A>,
}

/// Send a ray through each pixel's centre.
pub(super) fn trace(
    config: &FurnishedConfig,
    stage: &Stage,
    camera: &Camera,
    outdoor: &Outdoor,
) -> Seen {
    let (width, height) = (config.width as usize, config.height as usize);
    let n = width * height;
    let mut seen = Seen {
        width,
        height,
        depth: Vec::with_capacity(n),
        ids: Vec::with_capacity(n),
        albedo: Vec::with_capacity(n),
        points: Vec::with_capacity(n),
        normals: Vec::with_capacity(n),
        face_normals: Vec::with_capacity(n),
        emitted: Vec::with_capacity(n),
    };
    let pixel = 1.0 / camera.fx as f32;
    for (row, column) in (0..n).map(|i| (i / width, i % width)) {
        let ray = pixel_ray(camera, column as f32, row as f32);
        let Some(hit) = stage.nearest(ray) else {
            seen.push_nothing(outdoor.radiance(ray.direction));
            continue;
        };
        let look = stage.look(&ray, &hit);
        seen.depth.push(hit.t);
        seen.ids.push(stage.id(&hit));
        seen.points.push(ray.origin + ray.direction * hit.t);
        seen.normals.push(look.normal);
        seen.face_normals.push(look.face_normal);
        let (albedo, emitted) = if look.material.is_pane {
            (Vec3A::splat(0.04), outdoor.radiance(ray.direction))
        } else {
            colors(&look, ray.direction, hit.t * pixel)
        };
        seen.albedo.push(albedo);
        seen.emitted.push(emitted);
    }
    seen
}

/// Reflectance and own light, where a pixel facing the camera covers `footprint_m`.
fn colors(look: &Look, direction: Vec3A, footprint_m: f32) -> (Vec3A, Vec3A) {
    let facing = look.face_normal.dot(direction).abs() / direction.length();
    // The geometric mean of the extents along and across the view.
    let footprint = footprint_m / facing.max(0.05).sqrt() * look.uv_per_metre;
    let albedo = look.material.albedo(look.surface.uv, footprint) * look.instance.tint;
    let albedo = albedo.clamp(Vec3::ZERO, Vec3::splat(0.95));
    let glow = look.instance.glow + look.material.glow;
    (albedo.into(), (albedo * glow).into())
}

/// A ray that leaves a surface starts this far from it.
const OFF_M: f32 = 2e-3;

impl Seen {
    /// Where rays start that leave a pixel's surface.
    pub(super) fn start(&self, i: usize) -> Vec3A {
        self.points[i] + self.face_normals[i] * OFF_M
    }

    fn push_nothing(&mut self, light: Vec3A) {
        self.depth.push(0.0);
        self.ids.push(NOTHING);
        self.albedo.push(Vec3A::ZERO);
        self.points.push(Vec3A::ZERO);
        self.normals.push(Vec3A::ZERO);
        self.face_normals.push(Vec3A::ZERO);
        self.emitted.push(light);
    }

    /// What arrives at the camera if `light` arrives at the surfaces.
    pub(super) fn radiance(&self, light: &[Vec3A]) -> Vec<Vec3A> {
        let lit = self.albedo.iter().zip(light).zip(&self.emitted);
        lit.map(|((albedo, light), emitted)| *albedo * *light + *emitted)
            .collect()
    }

    pub(super) fn forget_shading(&mut self) {
        (self.points, self.normals) = (Vec::new(), Vec::new());
        (self.face_normals, self.emitted) = (Vec::new(), Vec::new());
    }
}
