//! Clouds and confidences of generated rooms.

use cooper_metric::{Cloud, Intrinsics, spread};
use cooper_scenes::FLOOR;
use nalgebra::{Point2, Point3};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::rooms::{intrinsics, normal, scenes};

fn points(cloud: &Cloud) -> Vec<Point3<f64>> {
    let float = |bytes: &[u8]| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()));
    let point = |p: &[u8]| Point3::new(float(&p[0..4]), float(&p[4..8]), float(&p[8..12]));
    cloud
        .data
        .chunks_exact(Cloud::POINT_STEP as usize)
        .map(point)
        .collect()
}

#[test]
fn a_cloud_is_seen_at_its_pixels_and_lies_in_the_world_where_the_scene_is() {
    for scene in scenes(3) {
        let camera = intrinsics(&scene);
        let cloud = Cloud::new(&scene.depth, &scene.image, &camera).unwrap();
        // As a reader of the topic does it: from the published k.
        let reader = Intrinsics::from_k(&camera.k(), cloud.width, cloud.height).unwrap();
        for (at, point) in points(&cloud).into_iter().enumerate() {
            let expected = Point2::new((at % 128) as f64, (at / 128) as f64);
            let pixel = reader.project(&point).unwrap();
            assert!((pixel - expected).norm() < 1e-3, "{at}: {pixel}");
            if scene.ids[at] == FLOOR {
                let height = (scene.camera.world_from_camera * point).z;
                assert!(height.abs() < 1e-4, "{at}: {height}");
            }
        }
    }
}

#[test]
fn a_cloud_of_a_smaller_image_is_seen_at_the_same_place() {
    let scene = scenes(1).next().unwrap();
    let camera = intrinsics(&scene);
    let half = camera.scaled_to(64, 48).unwrap();
    let image = image::imageops::thumbnail(&scene.image, 64, 48);
    let metres: Vec<f32> = (0..64 * 48)
        .map(|at| scene.depth[at / 64 * 2 * 128 + at % 64 * 2])
        .collect();
    let cloud = Cloud::new(&metres, &image, &half).unwrap();
    for (at, point) in points(&cloud).into_iter().enumerate() {
        let (column, row) = ((at % 64) as f64, (at / 64) as f64);
        let small = half.project(&point).unwrap();
        assert!((small - Point2::new(column, row)).norm() < 1e-3);
        // A pixel of the half is two by two of the whole, so its centre lies between them.
        let whole = camera.project(&point).unwrap();
        let expected = Point2::new(2.0 * column + 0.5, 2.0 * row + 0.5);
        assert!((whole - expected).norm() < 1e-3, "{whole} {expected}");
    }
}

#[test]
fn confidence_falls_where_seeds_disagree() {
    let scene = scenes(1).next().unwrap();
    let relative = scene.relative_depth(0.0, 10.0);
    let mut rng = StdRng::seed_from_u64(5);
    // The right half of the image is unsure.
    let mut map = || -> Vec<f32> {
        let noise = |at: usize| if at % 128 < 64 { 0.002 } else { 0.1 };
        let pixel = |(at, r): (usize, &f32)| r + (noise(at) * normal(&mut rng)) as f32;
        relative.iter().enumerate().map(pixel).collect()
    };
    let maps = [map(), map(), map(), map()];
    let spread = spread(&maps.each_ref().map(Vec::as_slice), 0.05).unwrap();
    let mean = |is_right: bool| {
        let side = spread.confidence.iter().enumerate();
        let values: Vec<f32> = side
            .filter(|(at, _)| (at % 128 >= 64) == is_right)
            .map(|(_, c)| *c)
            .collect();
        values.iter().sum::<f32>() / values.len() as f32
    };
    let (sure, unsure) = (mean(false), mean(true));
    println!("confidence {sure} and {unsure}");
    assert!(sure > 0.95 && unsure < 0.3, "{sure} {unsure}");
}
