//! Generated rooms and their cameras.

use cooper_metric::Intrinsics;
use cooper_scenes::{Scene, SceneConfig, Split};
use rand::rngs::StdRng;
use rand_distr::{Distribution, StandardNormal};

/// The first `n` rooms of the test set.
pub fn scenes(n: u64) -> impl Iterator<Item = Scene> {
    let config = SceneConfig::default();
    (0..n).map(move |index| Scene::generate(&config, Split::Test, index))
}

/// The intrinsics of a room's camera.
pub fn intrinsics(scene: &Scene) -> Intrinsics {
    let (camera, (width, height)) = (&scene.camera, scene.image.dimensions());
    let k = [
        camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0,
    ];
    Intrinsics::from_k(&k, width, height).unwrap()
}

/// A standard normal number.
pub fn normal(rng: &mut StdRng) -> f64 {
    StandardNormal.sample(rng)
}
