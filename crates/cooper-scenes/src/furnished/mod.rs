//! Furnished rooms: textured models of furniture catalogues, in rooms that are made here, drawn by a ray caster.
//!
//! [`FurnishedRooms::open`] finds the furniture of Debian's `sweethome3d-furniture`, or that of a folder; a scene is
//! then a pure function of the configuration, the files, a [`Split`](crate::Split) and an index. Each model is in
//! one split only, so the test set shows furniture that no training scene has.
//!
//! The frames are those of the crate. A room begins at `x = -width / 2`, `y = 0`; worlds have their own origin.
//! Labels are classes of [`PALETTE`], which merges those of NYU Depth v2.

mod assets;
mod config;
mod dice;
mod hash;
mod inside;
mod layout;
mod light;
mod material;
mod mesh;
mod palette;
mod pattern;
mod props;
mod render;
mod room;
mod rooms;
mod scene;
mod stage;
mod truth;
mod viewpoint;

pub use config::FurnishedConfig;
pub use palette::{PALETTE, PaletteClass, UNLABELLED};
pub use rooms::{FurnishedRooms, ModelInfo};
pub use scene::FurnishedScene;
pub use truth::{FurnishedObject, UNLISTED};
