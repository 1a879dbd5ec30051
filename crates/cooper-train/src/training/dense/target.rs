//! What images must be like for a model.

use cooper_model::model::ModelConfig;
use cooper_model::{Error, Result};

use super::palette::ClassSet;

/// What images must be like for a model.
#[derive(Clone, Debug)]
pub struct DenseTarget {
    /// The classes that labels stand for.
    pub(in crate::training) classes: ClassSet,
    /// The focal length, as a share of the width, for which depths are told; as they are without.
    pub(in crate::training) canonical_focal: Option<f32>,
    /// Sides in pixels are multiples of it.
    pub(in crate::training) side: usize,
}

/// That of a model without a palette, of any size.
impl Default for DenseTarget {
    fn default() -> Self {
        Self {
            classes: ClassSet::Scenes,
            canonical_focal: None,
            side: 1,
        }
    }
}

impl DenseTarget {
    /// What a model asks for.
    pub fn of_model(config: &ModelConfig, side: usize) -> Self {
        Self {
            classes: ClassSet::of_model(config),
            canonical_focal: config.depth.canonical_focal,
            side,
        }
    }

    /// # Errors
    /// [`Error::InvalidInput`] if an image cannot have this width and height.
    pub(super) fn check_size(&self, key: &str, [width, height]: [u32; 2]) -> Result<()> {
        let fits = |n: u32| n > 0 && (n as usize).is_multiple_of(self.side);
        if fits(width) && fits(height) {
            return Ok(());
        }
        let why = format!("expected multiples of {}, got {width}x{height}", self.side);
        Err(Error::invalid(key, why))
    }
}
