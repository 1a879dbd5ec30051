//! Synthetic indoor scenes with truth: an image, its depth, its labels, and questions with answers.
//!
//! - An analytic ray caster renders a room with a few coloured solids, one ray for each pixel. A scene is a pure function of a
//!   [`SceneConfig`], a [`Split`] and an index.
//! - A second ray caster renders furnished rooms with textured models, which [`FurnishedRooms`] reads once from files.
//! - It knows geometry and English questions. It must never know tensors, the model or threads.
//! - Start at [`Scene::generate`] or [`FurnishedRooms::open`].
//!
//! Frames: `world` has its origin on the floor, x to the right and y ahead along the room, z up;
//! `camera` is the optical frame of REP 103, x right, y down, z ahead. Lengths are metres, depth is the camera's z.
//! A pixel's centre has whole coordinates: the top left one is (0, 0), the image begins at (-0.5, -0.5).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
#![forbid(unsafe_code)]

mod body;
mod camera;
mod cast;
mod colors;
mod config;
mod furnished;
mod layout;
mod object;
mod questions;
mod ray;
mod relative_depth;
mod room;
mod sampling;
mod scene;
mod shade;
mod solid;
mod split;

pub use camera::Camera;
pub use cast::{CEILING, FIRST_OBJECT, FLOOR, PixelBox, WALL};
pub use colors::{CEILING_GREY, ColorName, FLOOR_GREY, WALL_GREY};
pub use config::SceneConfig;
pub use furnished::{
    FurnishedConfig, FurnishedObject, FurnishedRooms, FurnishedScene, ModelInfo, PALETTE,
    PaletteClass, UNLABELLED, UNLISTED,
};
pub use object::Object;
pub use questions::{Grounding, LabelledImage, Question, QuestionKind, Tool};
pub use ray::Ray;
pub use relative_depth::relative_depth;
pub use room::Room;
pub use sampling::Span;
pub use scene::Scene;
pub use solid::{Category, Solid};
pub use split::Split;
