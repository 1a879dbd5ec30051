//! Wavefront OBJ with MTL.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use cooper_imaging::{Error, Result};
use glam::{Vec2, Vec3};

use super::super::material::{Material, Paint};
use super::super::mesh::Face;
use super::texture::{Texture, linear_color};

/// More opaque than this is drawn as opaque.
const PANE_OPACITY: f32 = 0.7;

/// What becomes of glass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glass {
    /// One looks outdoors through it.
    Pane,
    /// It is drawn as if it were opaque.
    Opaque,
}

/// Triangles and materials as a file has them.
pub(super) struct Obj {
    pub faces: Vec<Face>,
    pub materials: Vec<Material>,
}

/// Where the files that an OBJ names come from.
type Files<'a> = dyn FnMut(&str) -> Result<Vec<u8>> + 'a;

/// Read an OBJ; `files` gives the bytes of a path.
pub(super) fn read(path: &str, glass: Glass, files: &mut Files) -> Result<Obj> {
    let bytes = files(path)?;
    let invalid = |why: String| Error::invalid(path, why);
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let options = tobj::LoadOptions {
        triangulate: true,
        ignore_points: true,
        ignore_lines: true,
        ..tobj::LoadOptions::default()
    };
    let names = material_files(&bytes);
    let mut libraries = HashMap::new();
    for name in names {
        // A few models name a file that is not there: then they are grey.
        let bytes = files(&join(folder, &name)).unwrap_or_default();
        libraries.insert(name, bytes);
    }
    let load_materials = |name: &Path| {
        let bytes = libraries.get(name.to_string_lossy().trim());
        tobj::load_mtl_buf(&mut Cursor::new(bytes.map_or(&[][..], Vec::as_slice)))
    };
    let (models, materials) =
        tobj::load_obj_buf(&mut Cursor::new(&bytes), &options, load_materials)
            .map_err(|e| invalid(e.to_string()))?;
    let materials = materials.map_err(|e| invalid(format!("materials: {e}")))?;
    let mut textures = Textures {
        folder,
        files,
        read: HashMap::new(),
    };
    let mut looks: Vec<Material> = materials
        .iter()
        .map(|material| textures.look(material, glass))
        .collect();
    // For faces without a material.
    looks.push(Material::plain(Vec3::splat(0.5)));
    let mut faces = Vec::new();
    for model in &models {
        let material = model.mesh.material_id.unwrap_or(looks.len() - 1);
        add_faces(&model.mesh, material as u16, &mut faces);
    }
    Ok(Obj {
        faces,
        materials: looks,
    })
}

/// The files after `mtllib`.
fn material_files(obj: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(obj);
    let names = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("mtllib"));
    names.map(|name| name.trim().to_owned()).collect()
}

/// Textures of one model, each read once.
struct Textures<'a, 'b> {
    folder: &'a str,
    files: &'a mut Files<'b>,
    read: HashMap<String, Option<Arc<Texture>>>,
}

impl Textures<'_, '_> {
    fn look(&mut self, material: &tobj::Material, glass: Glass) -> Material {
        let color = linear_color(material.diffuse.unwrap_or([0.7; 3]));
        let opacity = material.dissolve.unwrap_or(1.0);
        let texture = material
            .diffuse_texture
            .as_deref()
            .and_then(|n| self.texture(n));
        if glass == Glass::Pane && texture.is_none() && opacity < PANE_OPACITY {
            return Material::pane();
        }
        let Some(texture) = texture else {
            return Material::plain(color);
        };
        Material {
            paint: Paint::Texture(texture),
            // Many files have a black or grey colour under the texture, which viewers do not show.
            ..Material::plain(Vec3::ONE)
        }
    }

    /// None if it is missing or not an image: then the colour has to do.
    fn texture(&mut self, name: &str) -> Option<Arc<Texture>> {
        // Options such as `-s 1 1 1` stand before the name.
        let name = match name.strip_prefix('-') {
            Some(_) => name.split_whitespace().next_back()?,
            None => name.trim(),
        };
        if let Some(read) = self.read.get(name) {
            return read.clone();
        }
        let bytes = (self.files)(&join(self.folder, name)).ok();
        let image = bytes.and_then(|bytes| image::load_from_memory(&bytes).ok());
        let texture = image.map(|image| Arc::new(Texture::new(&image)));
        self.read.insert(name.to_owned(), texture.clone());
        texture
    }
}

fn join(folder: &str, name: &str) -> String {
    let name = name.replace('\\', "/");
    if folder.is_empty() {
        name
    } else {
        format!("{folder}/{name}")
    }
}

fn add_faces(mesh: &tobj::Mesh, material: u16, faces: &mut Vec<Face>) {
    let point = |list: &[f32], i: u32| {
        let i = 3 * i as usize;
        list.get(i..i + 3).map_or(Vec3::ZERO, Vec3::from_slice)
    };
    for (k, corners) in mesh.indices.chunks_exact(3).enumerate() {
        let of = |list: &[u32], j: usize| list.get(3 * k + j).copied();
        let uv = |j| {
            let i = 2 * of(&mesh.texcoord_indices, j)? as usize;
            mesh.texcoords.get(i..i + 2).map(Vec2::from_slice)
        };
        let normal = |j| Some(point(&mesh.normals, of(&mesh.normal_indices, j)?));
        let corners = [0, 1, 2].map(|j| point(&mesh.positions, corners[j]));
        let [a, b, c] = corners;
        // Without an area nothing is seen, and no ray can be told apart from it.
        let area = (b - a).cross(c - a).length();
        if area.is_nan() || area <= 0.0 {
            continue;
        }
        faces.push(Face {
            corners,
            uv: [0, 1, 2].map(|j| uv(j).unwrap_or(Vec2::ZERO)),
            normals: [0, 1, 2].map(|j| normal(j).map_or(Vec3::ZERO, Vec3::normalize_or_zero)),
            material,
        });
    }
}
