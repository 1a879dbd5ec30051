//! What surfaces look like.

use std::sync::Arc;

use glam::{Vec2, Vec3};

use super::assets::texture::Texture;
use super::pattern::Pattern;

/// The look of a part of a mesh.
#[derive(Clone, Debug)]
pub(super) struct Material {
    /// Reflectance in linear light, RGB in [0, 1].
    pub color: Vec3,
    pub paint: Paint,
    /// A pane through which one looks outdoors, in a window or a door.
    pub is_pane: bool,
    /// Light of its own as a multiple of its colour.
    pub glow: f32,
}

/// How the colour of a material varies.
#[derive(Clone, Debug)]
pub(super) enum Paint {
    Plain,
    Texture(Arc<Texture>),
    /// Texture coordinates are metres.
    Pattern(Pattern),
}

impl Material {
    pub(super) fn plain(color: Vec3) -> Self {
        Self {
            color,
            paint: Paint::Plain,
            is_pane: false,
            glow: 0.0,
        }
    }

    pub(super) fn pattern(pattern: Pattern) -> Self {
        Self {
            paint: Paint::Pattern(pattern),
            ..Self::plain(Vec3::ONE)
        }
    }

    /// A pane of glass with daylight behind it.
    pub(super) fn pane() -> Self {
        Self {
            is_pane: true,
            ..Self::plain(Vec3::ONE)
        }
    }

    /// Reflectance at texture coordinates where a pixel covers `footprint` of them.
    pub(super) fn albedo(&self, uv: Vec2, footprint: f32) -> Vec3 {
        self.color
            * match &self.paint {
                Paint::Plain => Vec3::ONE,
                Paint::Texture(texture) => texture.color(uv, footprint * texture.extent()),
                Paint::Pattern(pattern) => pattern.color(uv, footprint),
            }
    }

    pub(super) fn has_holes(&self) -> bool {
        matches!(&self.paint, Paint::Texture(texture) if texture.has_holes())
    }

    pub(super) fn is_hole(&self, uv: Vec2) -> bool {
        matches!(&self.paint, Paint::Texture(texture) if texture.is_hole(uv))
    }
}
