//! Worlds: whole buildings as a `world.json` and the OBJ files that it names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use cooper_imaging::{Error, Result};
use glam::{Affine3A, Mat3A, Vec3A};
use serde::Deserialize;

use super::super::mesh::Mesh;
use super::super::palette::{UNLABELLED, class_named};
use super::archive::Archive;
use super::obj::{self, Glass};

/// A building.
pub(crate) struct World {
    pub name: String,
    pub parts: Vec<Part>,
}

/// A thing of a world at its place.
pub(crate) struct Part {
    pub word: String,
    pub class: u8,
    pub model: String,
    pub mesh: Arc<Mesh>,
    pub world_from_model: Affine3A,
}

/// `world.json`; metres, z up.
#[derive(Deserialize)]
struct Description {
    models: BTreeMap<String, ModelDescription>,
    instances: Vec<InstanceDescription>,
}

#[derive(Deserialize)]
struct ModelDescription {
    class: Option<String>,
}

#[derive(Deserialize)]
struct InstanceDescription {
    model: String,
    /// Rows; world = matrix (x, y, z, 1).
    matrix: [[f32; 4]; 3],
}

/// All worlds of a folder, in the order of their names.
pub(crate) fn read_all(folder: &Path) -> Result<Vec<World>> {
    let listing = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut folders: Vec<_> = listing.flatten().map(|file| file.path()).collect();
    folders.retain(|folder| folder.join("world.json").is_file());
    folders.sort();
    if folders.is_empty() {
        let why = "expected folders with a world.json, found none";
        return Err(Error::invalid(folder.display().to_string(), why));
    }
    folders.iter().map(|folder| read(folder)).collect()
}

fn read(folder: &Path) -> Result<World> {
    let path = folder.join("world.json");
    let invalid = |why: String| Error::invalid(path.display().to_string(), why);
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    let description: Description =
        serde_json::from_slice(&bytes).map_err(|e| invalid(e.to_string()))?;
    let mut files = Archive::Folder(folder.into()).open()?;
    let mut meshes = BTreeMap::new();
    for (name, model) in &description.models {
        let class = match &model.class {
            None => UNLABELLED,
            Some(class) => class_named(class).ok_or_else(|| {
                invalid(format!(
                    "{name}: expected a class of the palette, got {class:?}"
                ))
            })?,
        };
        let file = format!("{name}.obj");
        let obj = obj::read(&file, Glass::Opaque, &mut |name| files.read(name))?;
        if let Some(mesh) = Mesh::new(&obj.faces, obj.materials) {
            meshes.insert(name, (class, Arc::new(mesh)));
        }
    }
    let parts = description.instances.iter().filter_map(|instance| {
        let (class, mesh) = meshes.get(&instance.model)?;
        let class_name = description.models.get(&instance.model)?.class.clone();
        Some(Part {
            word: class_name.unwrap_or_else(|| plain_name(&instance.model)),
            class: *class,
            model: instance.model.clone(),
            mesh: mesh.clone(),
            world_from_model: affine(&instance.matrix),
        })
    });
    Ok(World {
        name: folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        parts: parts.collect(),
    })
}

fn affine(rows: &[[f32; 4]; 3]) -> Affine3A {
    let column = |i: usize| Vec3A::new(rows[0][i], rows[1][i], rows[2][i]);
    Affine3A {
        matrix3: Mat3A::from_cols(column(0), column(1), column(2)),
        translation: column(3),
    }
}

/// `ball` of `aws_robomaker_residential_Ball_01`.
fn plain_name(model: &str) -> String {
    let mut words = model.split('_').rev();
    let word = words.find(|word| word.chars().all(char::is_alphabetic));
    word.unwrap_or("thing").to_lowercase()
}
