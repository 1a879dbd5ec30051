//! 3D boxes of objects in generated rooms, whose true boxes are known.
//!
//! `cargo test --test boxes -- --nocapture` prints the figures that the bounds come from.

use cooper_metric::{Box3d, Intrinsics, boxes};
use cooper_scenes::{Category, FIRST_OBJECT, Object, Scene, SceneConfig, Solid, Split};
use nalgebra::{Point3, Vector3};

/// The whole object's box along the axes of the optical frame, its far side included.
fn true_box(scene: &Scene, solid: &Solid) -> Box3d {
    let world_from_camera = scene.camera.world_from_camera.rotation;
    let reach = |axis: usize| {
        let along = world_from_camera * Vector3::ith(axis, 1.0);
        let (sin, cos) = solid.yaw.sin_cos();
        let half = &solid.half;
        let round = half.x * along.x.hypot(along.y);
        match solid.category {
            Category::Box => {
                let own = Vector3::new(
                    cos * along.x + sin * along.y,
                    cos * along.y - sin * along.x,
                    along.z,
                );
                let reach = own.abs().dot(half);
                [-reach, reach]
            }
            Category::Ball => [-half.x, half.x],
            Category::Can => {
                let reach = round + half.z * along.z.abs();
                [-reach, reach]
            }
            // The tip, and the rim of the base.
            Category::Cone => {
                let (tip, base) = (half.z * along.z, -half.z * along.z);
                [tip.min(base - round), tip.max(base + round)]
            }
        }
    };
    let center = scene
        .camera
        .world_from_camera
        .inverse_transform_point(&solid.center);
    let ends = [0, 1, 2].map(reach);
    let low = center + Vector3::from(ends.map(|[low, _]| low));
    let high = center + Vector3::from(ends.map(|[_, high]| high));
    Box3d {
        center: nalgebra::center(&low, &high),
        size: high - low,
    }
}

/// Objects that are seen whole: hardly covered, not cut off, and of some size in the image.
fn is_whole(scene: &Scene, object: &Object) -> bool {
    let (found, (width, height)) = (&object.bounding_box, scene.image.dimensions());
    let inside = found.x > 0
        && found.y > 0
        && found.x + found.width < width
        && found.y + found.height < height;
    inside
        && object.visible_pixels * 100 >= object.covered_pixels * 98
        && object.visible_pixels >= 60
}

fn intrinsics(scene: &Scene) -> Intrinsics {
    let (camera, (width, height)) = (&scene.camera, scene.image.dimensions());
    let k = [
        camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0,
    ];
    Intrinsics::from_k(&k, width, height).unwrap()
}

/// Depth as a drawn map has it: each edge is a ramp, three pixels wide.
fn bled(scene: &Scene) -> Vec<f32> {
    let (width, height) = scene.image.dimensions();
    let (width, height) = (width as usize, height as usize);
    let mean = |i: usize| {
        let (x, y) = (i % width, i / width);
        let near = |at: usize, n: usize| at.saturating_sub(1)..=(at + 1).min(n - 1);
        let cells = near(y, height).flat_map(|y| near(x, width).map(move |x| y * width + x));
        let values: Vec<f32> = cells.map(|i| scene.depth[i]).collect();
        values.iter().sum::<f32>() / values.len() as f32
    };
    (0..width * height).map(mean).collect()
}

/// How far off a box is, in metres: its middle sideways and in height, its width and height, and its near side.
fn errors(found: &Box3d, expected: &Box3d) -> [f64; 3] {
    let near = |b: &Box3d| b.center.z - b.size.z / 2.0;
    [
        (found.center - expected.center).xy().norm(),
        (found.size - expected.size).xy().abs().max(),
        (near(found) - near(expected)).abs(),
    ]
}

/// The median and what 90 % lie below.
fn summary(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [values[last / 2], values[last * 9 / 10]]
}

/// What a box without care would be: around all points of the region.
fn around_all(labels: &[u16], label: u16, metres: &[f32], camera: &Intrinsics) -> Box3d {
    let width = camera.width as usize;
    let mine = (0..labels.len()).filter(|i| labels[*i] == label);
    let points =
        mine.map(|i| camera.ray((i % width) as f64, (i / width) as f64) * f64::from(metres[i]));
    let (low, high) = points.fold(
        (
            Vector3::repeat(f64::INFINITY),
            Vector3::repeat(f64::NEG_INFINITY),
        ),
        |(low, high), p| (low.inf(&p), high.sup(&p)),
    );
    Box3d {
        center: Point3::from((low + high) / 2.0),
        size: high - low,
    }
}

#[test]
fn objects_have_their_true_boxes() {
    let config = SceneConfig::default();
    // Per way (true depth, bled depth, bled depth without care): the three errors of each object.
    let mut off = [(); 3].map(|()| [(); 3].map(|()| Vec::new()));
    let mut depths = Vec::new();
    for index in 0..200 {
        let scene = Scene::generate(&config, Split::Test, index);
        let (camera, bled) = (intrinsics(&scene), bled(&scene));
        let labels: Vec<u16> = scene.ids.iter().map(|id| u16::from(*id)).collect();
        let (exact, drawn) = (
            boxes(&labels, &scene.depth, &camera),
            boxes(&labels, &bled, &camera),
        );
        for (label, object) in (u16::from(FIRST_OBJECT)..).zip(&scene.objects) {
            if !is_whole(&scene, object) {
                continue;
            }
            let expected = true_box(&scene, &object.solid);
            let naive = around_all(&labels, label, &bled, &camera);
            for (off, found) in off.iter_mut().zip([&exact[&label], &drawn[&label], &naive]) {
                for (off, error) in off.iter_mut().zip(errors(found, &expected)) {
                    off.push(error);
                }
            }
            depths.push(drawn[&label].size.z / expected.size.z);
        }
    }
    let n = off[0][0].len();
    let off = off.map(|way| way.map(summary));
    for (way, off) in ["true depth", "bled depth", "bled, all points"]
        .iter()
        .zip(&off)
    {
        println!(
            "{way}: of {n} objects, middle {:.3?} m, size {:.3?} m, near side {:.3?} m (median, 90 %)",
            off[0], off[1], off[2]
        );
    }
    println!(
        "depth of the box as a share of the whole object's: {:.2?}",
        summary(depths)
    );
    assert!(n > 300, "{n}");
    for [middle, size, near] in &off[..2] {
        assert!(middle[0] < 0.035 && middle[1] < 0.065, "{middle:?}");
        assert!(size[0] < 0.045 && size[1] < 0.11, "{size:?}");
        assert!(near[0] < 0.03 && near[1] < 0.07, "{near:?}");
    }
    let [careful, careless] = [&off[1], &off[2]];
    assert!(
        careless[0][0] > 2.0 * careful[0][0] && careless[1][1] > 2.0 * careful[1][1],
        "the care is worth nothing"
    );
}
