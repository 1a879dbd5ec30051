//! Things in a room.

use std::sync::Arc;

use glam::{Affine3A, Quat, Vec3};

use super::super::mesh::Mesh;
use super::volume::Volume;

/// A thing and where it is.
#[derive(Clone)]
pub(in super::super) struct Item {
    pub mesh: Arc<Mesh>,
    pub word: String,
    pub class: u8,
    /// The model of a catalogue or a world.
    pub model: Option<String>,
    pub world_from_model: Affine3A,
    /// The box around it.
    pub volume: Volume,
    /// The item under it; the floor or a wall otherwise.
    pub support: Option<usize>,
    /// A factor of its colours.
    pub tint: Vec3,
    /// Light of its own as a multiple of its colour.
    pub glow: f32,
}

impl Item {
    /// A mesh that stands on the ground of its own frame, at a place.
    pub(in super::super) fn standing(
        mesh: Arc<Mesh>,
        (word, class): (&str, u8),
        place: Vec3,
        yaw: f32,
    ) -> Self {
        let size = mesh.high - mesh.low;
        let rotation = Quat::from_rotation_z(yaw);
        let middle = rotation * ((mesh.high + mesh.low) / 2.0).with_z(mesh.low.z);
        Self {
            word: word.to_owned(),
            class,
            model: None,
            world_from_model: Affine3A::from_rotation_translation(rotation, place),
            volume: Volume::of(size, place + middle, yaw),
            support: None,
            tint: Vec3::ONE,
            glow: 0.0,
            mesh,
        }
    }
}
