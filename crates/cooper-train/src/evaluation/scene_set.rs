//! Generated scenes as a data set.

use cooper_scenes::{Scene, SceneConfig, Split};

/// The first scenes of a set.
#[derive(Clone, Debug)]
pub struct SceneSet {
    /// What they look like.
    pub config: SceneConfig,
    /// Which set.
    pub split: Split,
    /// How many.
    pub n: usize,
}

impl SceneSet {
    /// Scene number `i`.
    pub fn scene(&self, i: usize) -> Scene {
        Scene::generate(&self.config, self.split, i as u64)
    }
}
