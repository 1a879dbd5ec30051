//! The furniture: which models there are, in which split, and their meshes, each loaded when it is first used.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use cooper_imaging::{Error, Result};
use glam::Vec3;

use super::super::hash::hash_text;
use super::super::mesh::{Face, Mesh};
use super::catalogue::{self, Entry};
use super::kinds::{self, Kind};
use super::obj::{self, Glass, Obj};
use super::role::Role;
use crate::split::Split;

/// Models with more triangles are not used: trees and cars, in the main.
const MOST_TRIANGLES: usize = 80_000;
/// Of how many models of a role the last two are kept for validation and test.
const SPLIT_PERIOD: usize = 6;

/// A model of the furniture.
pub(crate) struct Model {
    pub id: String,
    /// The word for it.
    pub word: &'static str,
    pub class: u8,
    /// Width (x), depth (y) and height (z) in metres.
    pub size: Vec3,
    /// Its lowest point over the floor, if it hangs.
    pub elevation: Option<f32>,
    pub split: Split,
    entry: Entry,
    /// Or why there is none.
    mesh: OnceLock<std::result::Result<Arc<Mesh>, String>>,
}

/// All models that have a place in a room.
pub(crate) struct Furniture {
    models: BTreeMap<Role, Vec<Model>>,
}

impl Furniture {
    /// Read the catalogues of a folder, or of the system's package.
    pub(crate) fn open(folder: Option<&Path>) -> Result<Self> {
        let mut found: BTreeMap<Role, Vec<(Kind, Entry)>> = BTreeMap::new();
        for entry in catalogue::read_all(folder)? {
            // Other formats have no crate that is well kept.
            let is_obj = entry.model.to_lowercase().ends_with(".obj");
            let kind = kinds::kind_of(&entry.category, &entry.name, entry.size.z);
            if let Some(kind) = kind.filter(|_| is_obj) {
                found.entry(kind.role).or_default().push((kind, entry));
            }
        }
        let models = found.into_iter().map(|(role, found)| (role, split(found)));
        let models: BTreeMap<_, _> = models.collect();
        if models.is_empty() {
            let why = "expected a model that has a place in a room, got none in the catalogues";
            return Err(Error::invalid("furniture", why));
        }
        Ok(Self { models })
    }

    /// The models of a role in a split; all of the role's models if the split has none.
    pub(crate) fn models(&self, role: Role, split: Split) -> Vec<&Model> {
        let all = self.models.get(&role).map_or(&[][..], Vec::as_slice);
        all.iter().filter(|model| model.split == split).collect()
    }

    /// Every model.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Model> {
        self.models.values().flatten()
    }
}

/// Give each model its split: the same one in every run and whatever else is in the catalogue's role.
fn split(found: Vec<(Kind, Entry)>) -> Vec<Model> {
    let mut found: Vec<_> = found
        .into_iter()
        .map(|(kind, entry)| (hash_text(&entry.id), kind, entry))
        .collect();
    found.sort_by(|a, b| (a.0, &a.2.id).cmp(&(b.0, &b.2.id)));
    let n = found.len();
    let models = found
        .into_iter()
        .enumerate()
        .map(|(i, (_, kind, entry))| Model {
            id: entry.id.clone(),
            word: kind.word,
            class: kind.class,
            size: entry.size,
            elevation: entry.elevation,
            split: match i % SPLIT_PERIOD {
                1 if n > 2 => Split::Test,
                2 if n > 2 => Split::Validation,
                _ => Split::Train,
            },
            entry,
            mesh: OnceLock::new(),
        });
    models.collect()
}

impl Model {
    /// Its mesh, centred over the origin, on the ground, its front towards -y; or why it cannot be used.
    pub(crate) fn mesh(&self) -> std::result::Result<&Arc<Mesh>, &str> {
        let mesh = self
            .mesh
            .get_or_init(|| self.load().map_err(|error| error.to_string()));
        mesh.as_ref().map_err(String::as_str)
    }

    fn load(&self) -> Result<Arc<Mesh>> {
        let mut archive = self.entry.archive.open()?;
        let glass = match self.word {
            "window" | "door" => Glass::Pane,
            _ => Glass::Opaque,
        };
        let obj = obj::read(&self.entry.model, glass, &mut |name| archive.read(name))?;
        let n = obj.faces.len();
        let mesh = if n <= MOST_TRIANGLES {
            self.fit(obj)
        } else {
            None
        };
        mesh.map(Arc::new).ok_or_else(|| {
            let why = format!("expected 1 to {MOST_TRIANGLES} triangles, got {n}");
            Error::invalid(&self.entry.model, why)
        })
    }

    /// Bring a file's axes (y up, front towards z) to ours and its extents to the catalogue's.
    fn fit(&self, mut obj: Obj) -> Option<Mesh> {
        let rotation = self.entry.rotation;
        // Width, depth and height are along x, -z and y.
        let turned = |v: Vec3| {
            let v = rotation * v;
            Vec3::new(v.x, -v.z, v.y)
        };
        for face in &mut obj.faces {
            face.corners = face.corners.map(turned);
        }
        let corners = || obj.faces.iter().flat_map(|face| face.corners);
        let low = corners().fold(Vec3::INFINITY, Vec3::min);
        let high = corners().fold(Vec3::NEG_INFINITY, Vec3::max);
        let extent = (high - low).max(Vec3::splat(1e-6));
        let scale = self.size / extent;
        let base = Vec3::new((low.x + high.x) / 2.0, (low.y + high.y) / 2.0, low.z);
        let placed = |face: Face| Face {
            corners: face.corners.map(|v| (v - base) * scale),
            normals: face
                .normals
                .map(|n| (turned(n) / scale).normalize_or_zero()),
            ..face
        };
        let faces: Vec<Face> = obj.faces.into_iter().map(placed).collect();
        Mesh::new(&faces, obj.materials)
    }
}

#[cfg(test)]
mod tests {
    use glam::Vec3A;
    use obvhs::ray::Ray;

    use super::*;

    #[test]
    fn models_stand_on_the_ground_in_their_size_with_the_front_to_minus_y() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/furniture");
        let furniture = Furniture::open(Some(&folder)).unwrap();
        let chairs = [Split::Train, Split::Validation, Split::Test]
            .map(|split| furniture.models(Role::Chair, split));
        assert_eq!(chairs.iter().map(Vec::len).sum::<usize>(), 6);
        let chair = chairs[0][0];
        let mesh = chair.mesh().unwrap();
        let (low, high) = (mesh.low, mesh.high);
        assert!((high - low - chair.size).abs().max_element() < 1e-5);
        assert!((low + high).truncate().abs().max_element() < 1e-5 && low.z.abs() < 1e-5);
        let height = |y: f32| {
            let ray = Ray::new_inf(Vec3A::new(0.0, y, 2.0), Vec3A::NEG_Z);
            2.0 - mesh.nearest(ray).unwrap().t
        };
        // The seat is half as high as the back.
        assert!((height(0.0) - chair.size.z / 2.0).abs() < 1e-4);
        assert!((height(high.y - 0.01) - chair.size.z).abs() < 1e-4);
        assert!((height(low.y + 0.01) - chair.size.z / 2.0).abs() < 1e-4);
    }
}
