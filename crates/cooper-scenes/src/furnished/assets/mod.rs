//! Models and textures that are read from files.

mod archive;
mod catalogue;
mod kinds;
pub(super) mod library;
mod obj;
pub(super) mod role;
pub(super) mod texture;
pub(super) mod world;
