//! Synthetic scenes: the same every time, geometrically right, and drawn fast.

use std::time::Instant;

use cooper_scenes::{
    CEILING, CEILING_GREY, Category, FIRST_OBJECT, FLOOR, FLOOR_GREY, Object, Scene, SceneConfig,
    Solid, Split, WALL, WALL_GREY,
};
use nalgebra::{Point3, Rotation3, Vector3};

fn scene(split: Split, index: u64) -> Scene {
    Scene::generate(&SceneConfig::default(), split, index)
}

fn scenes(n: u64) -> impl Iterator<Item = Scene> {
    (0..n).map(|index| scene(Split::Validation, index))
}

/// FNV-1a over everything a model sees of a scene; depth in tenths of millimetres.
fn fingerprint(scene: &Scene) -> u64 {
    let depth = scene.depth.iter().map(|d| (d * 1e4).round() as u32);
    let bytes = scene.image.as_raw().iter().chain(&scene.ids).copied();
    let bytes = bytes.chain(depth.flat_map(u32::to_le_bytes));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[test]
fn a_scene_is_the_same_every_time() {
    let (a, b) = (scene(Split::Test, 5), scene(Split::Test, 5));
    assert_eq!(a.image, b.image);
    assert_eq!(a.depth, b.depth);
    assert_eq!(a.ids, b.ids);
    assert_eq!(a.objects, b.objects);
    // Whoever changes this makes every figure that was measured on these scenes a figure of other scenes.
    assert_eq!(fingerprint(&a), PINNED, "got {:#x}", fingerprint(&a));
}

const PINNED: u64 = 0x172a_8d9e_4e87_0401;

#[test]
fn splits_and_indices_make_different_scenes() {
    let mut seen = Vec::new();
    for split in [Split::Train, Split::Validation, Split::Test] {
        for index in [0, 1, 2, 256, u64::MAX] {
            seen.push(fingerprint(&scene(split, index)));
        }
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 15);
}

/// The point of the world that a pixel shows, from its depth and the intrinsics alone.
fn shown(scene: &Scene, pixel: usize) -> Point3<f64> {
    let width = scene.image.width() as usize;
    let (column, row) = ((pixel % width) as f64, (pixel / width) as f64);
    let (camera, depth) = (&scene.camera, f64::from(scene.depth[pixel]));
    let x = (column - camera.cx) / camera.fx * depth;
    let y = (row - camera.cy) / camera.fy * depth;
    camera.world_from_camera * Point3::new(x, y, depth)
}

fn own_coordinates(solid: &Solid, point: &Point3<f64>) -> Vector3<f64> {
    let own_from_world = Rotation3::from_axis_angle(&Vector3::z_axis(), -solid.yaw);
    own_from_world * (point - solid.center)
}

/// 0 on the surface, negative inside; in metres, though not always the shortest way.
fn outside_by(solid: &Solid, point: &Point3<f64>) -> f64 {
    let p = own_coordinates(solid, point);
    let half = solid.half;
    let beyond = p.abs() - half;
    let radius = p.xy().norm();
    match solid.category {
        Category::Box => beyond.max(),
        Category::Ball => p.norm() - half.x,
        Category::Can => beyond.z.max(radius - half.x),
        Category::Cone => beyond
            .z
            .max(radius - half.x * (half.z - p.z) / (2.0 * half.z)),
    }
}

fn off_the_surface(scene: &Scene, id: u8, point: &Point3<f64>) -> f64 {
    let room = &scene.room;
    match id {
        FLOOR => point.z.abs(),
        CEILING => (point.z - room.height_m).abs(),
        WALL => {
            let aside = (point.x.abs() - room.width_m / 2.0).abs();
            let along = point.y.abs().min((point.y - room.depth_m).abs());
            aside.min(along)
        }
        _ => outside_by(&scene.objects[usize::from(id - FIRST_OBJECT)].solid, point).abs(),
    }
}

#[test]
fn a_pixels_depth_leads_to_the_surface_it_is_labelled_with() {
    let mut n_of_category = [0; 4];
    for scene in scenes(40) {
        for pixel in (0..scene.ids.len()).step_by(3) {
            let (id, point) = (scene.ids[pixel], shown(&scene, pixel));
            let off = off_the_surface(&scene, id, &point);
            assert!(off < 1e-4, "scene {} {pixel} {id}: {off}", scene.index);
            if let Some(i) = id.checked_sub(FIRST_OBJECT) {
                let category = scene.objects[usize::from(i)].category();
                n_of_category[category as usize] += 1;
            }
        }
    }
    assert!(n_of_category.iter().all(|&n| n > 500), "{n_of_category:?}");
}

#[test]
fn nothing_hides_what_a_pixel_shows() {
    for scene in scenes(15) {
        let camera = scene.camera.position();
        for pixel in (0..scene.ids.len()).step_by(17) {
            let way = shown(&scene, pixel) - camera;
            for step in 1..60 {
                let point = camera + way * (f64::from(step) / 60.5);
                let inside = |o: &Object| outside_by(&o.solid, &point) < -1e-3;
                let hidden = scene.objects.iter().any(inside);
                assert!(!hidden, "scene {} pixel {pixel}", scene.index);
            }
        }
    }
}

#[test]
fn solids_neither_intersect_nor_leave_the_room_nor_hang_in_the_air() {
    for scene in scenes(60) {
        for (i, object) in scene.objects.iter().enumerate() {
            check_place(&scene, object);
            for other in &scene.objects[i + 1..] {
                assert!(!intersect(&object.solid, &other.solid), "{}", scene.index);
            }
        }
    }
}

/// Points of `a`'s box, turned, that are inside both.
fn intersect(a: &Solid, b: &Solid) -> bool {
    const N: i32 = 14;
    let world_from_own = Rotation3::from_axis_angle(&Vector3::z_axis(), a.yaw);
    let steps = || (-N..=N).map(|i| f64::from(i) / f64::from(N));
    steps().any(|x| {
        steps().any(|y| {
            steps().any(|z| {
                let own = Vector3::new(x, y, z).component_mul(&a.half);
                let point = a.center + world_from_own * own;
                outside_by(a, &point) < -1e-6 && outside_by(b, &point) < -1e-6
            })
        })
    })
}

#[track_caller]
fn check_place(scene: &Scene, object: &Object) {
    let Solid { center, half, .. } = object.solid;
    let ground = object.stands_on.map_or(0.0, |under| {
        let under = &scene.objects[under];
        assert_eq!(under.category(), Category::Box);
        under.height_m()
    });
    assert!((center.z - half.z - ground).abs() < 1e-9);
    assert!(center.z + half.z < scene.room.height_m);
    let reach = object.solid.radius();
    assert!(center.x.abs() + reach < scene.room.width_m / 2.0);
    assert!(center.y - reach > 0.0 && center.y + reach < scene.room.depth_m);
    for extent in [object.height_m(), object.width_m()] {
        assert!((0.25..=1.2).contains(&extent), "{extent}");
    }
}

#[test]
fn facts_of_objects_are_those_of_their_pixels() {
    for scene in scenes(60) {
        for (i, object) in scene.objects.iter().enumerate() {
            check_facts(&scene, FIRST_OBJECT + i as u8, object);
        }
    }
}

#[track_caller]
fn check_facts(scene: &Scene, id: u8, object: &Object) {
    let width = scene.image.width() as usize;
    let pixels: Vec<usize> = (0..scene.ids.len())
        .filter(|&p| scene.ids[p] == id)
        .collect();
    assert_eq!(object.visible_pixels, pixels.len());
    assert!(object.visible_pixels >= 40 && object.covered_pixels >= pixels.len());
    let columns = || pixels.iter().map(|p| p % width);
    let rows = || pixels.iter().map(|p| p / width);
    let bounds = object.bounding_box;
    assert_eq!(columns().min(), Some(bounds.x as usize));
    assert_eq!(
        columns().max(),
        Some((bounds.x + bounds.width - 1) as usize)
    );
    assert_eq!(rows().min(), Some(bounds.y as usize));
    assert_eq!(rows().max(), Some((bounds.y + bounds.height - 1) as usize));
    let mean = |sum: usize| sum as f64 / pixels.len() as f64;
    assert!((object.centroid.x - mean(columns().sum())).abs() < 1e-6);
    assert!((object.centroid.y - mean(rows().sum())).abs() < 1e-6);
    let camera = scene.camera.position();
    let ranges = pixels.iter().map(|&p| (shown(scene, p) - camera).norm());
    let nearest = ranges.fold(f64::INFINITY, f64::min);
    assert!((object.nearest_m - nearest).abs() < 1e-4);
    let center = scene.camera.world_from_camera * object.center_in_camera;
    assert!((center - object.center_in_world()).norm() < 1e-9);
}

#[test]
fn scenes_have_as_many_objects_as_wanted_and_colours_name_them() {
    let mut n_scenes = [0; 9];
    let mut n_stacked = 0;
    for scene in scenes(400) {
        n_scenes[scene.objects.len()] += 1;
        let mut colors: Vec<_> = scene.objects.iter().map(|o| o.color).collect();
        colors.sort_unstable();
        colors.dedup();
        assert_eq!(colors.len(), scene.objects.len());
        n_stacked += u32::from(scene.objects.iter().any(|o| o.stands_on.is_some()));
    }
    assert_eq!(n_scenes[2..=5].iter().sum::<u32>(), 400, "{n_scenes:?}");
    assert!(n_scenes[2..=5].iter().all(|&n| n > 60), "{n_scenes:?}");
    assert!((60..140).contains(&n_stacked), "{n_stacked} of 400");
}

#[test]
fn segmentations_show_the_labels() {
    for scene in scenes(10) {
        let image = scene.segmentation_image();
        for (id, paint) in scene.ids.iter().zip(image.pixels()) {
            let expected = match *id {
                FLOOR => FLOOR_GREY,
                WALL => WALL_GREY,
                CEILING => CEILING_GREY,
                id => scene.objects[usize::from(id - FIRST_OBJECT)].color.paint(),
            };
            assert_eq!(paint.0, expected);
        }
    }
}

#[test]
fn relative_depth_is_linear_and_clamped() {
    let scene = scene(Split::Test, 0);
    let relative = scene.relative_depth(1.0, 5.0);
    for (&metres, &relative) in scene.depth.iter().zip(&relative) {
        assert!((relative - ((metres - 1.0) / 4.0).clamp(0.0, 1.0)).abs() < 1e-6);
    }
    assert!(
        scene
            .relative_depth(2.0, 2.0)
            .iter()
            .all(|v| (0.0..=1.0).contains(v))
    );
}

/// The hue of colourful pixels is that of the colour's name, in light and in shadow.
#[test]
fn objects_have_the_colour_of_their_name_and_rooms_have_none() {
    let config = SceneConfig {
        noise_sigma: [0.0, 0.0],
        ..SceneConfig::default()
    };
    for index in 0..60 {
        let scene = Scene::generate(&config, Split::Validation, index);
        for (id, pixel) in scene.ids.iter().zip(scene.image.pixels()) {
            let [r, g, b] = pixel.0.map(f64::from);
            let (most, least) = (r.max(g).max(b), r.min(g).min(b));
            let saturation = (most - least) / most.max(1.0);
            match id.checked_sub(FIRST_OBJECT) {
                None => assert!(saturation < 0.45, "{index}: {:?}", pixel.0),
                Some(i) => {
                    let object = &scene.objects[usize::from(i)];
                    let at_least = if object.color.word() == "pink" {
                        0.3
                    } else {
                        0.5
                    };
                    assert!(saturation > at_least, "{}: {:?}", object.name(), pixel.0);
                }
            }
        }
    }
}

#[test]
fn other_sizes_and_odd_configurations_give_scenes() {
    let sizes = [(0, 0), (1, 1), (64, 48), (320, 180)];
    for (width, height) in sizes {
        let config = SceneConfig {
            width,
            height,
            ..SceneConfig::default()
        };
        let scene = Scene::generate(&config, Split::Test, 1);
        assert_eq!(scene.image.dimensions(), (width, height));
        assert_eq!(scene.depth.len(), (width * height) as usize);
    }
    let crowd = SceneConfig {
        objects: [8, 80],
        stacked_share: 7.0,
        attempts: 0,
        size_m: [0.3, 0.2],
        ..SceneConfig::default()
    };
    assert!(Scene::generate(&crowd, Split::Test, 1).objects.len() <= 8);
}

#[test]
fn speed() {
    let start = Instant::now();
    let n_objects: usize = scenes(200).map(|scene| scene.objects.len()).sum();
    let rate = 200.0 / start.elapsed().as_secs_f64();
    println!("{rate:.0} scenes a second with {n_objects} objects in 200 of them");
}

/// Twelve scenes above their segmentations, for the eye: `COOPER_SHEET=/tmp/scenes.png cargo test -p cooper-scenes --test scenes`.
#[test]
fn sheet() {
    let Some(path) = std::env::var_os("COOPER_SHEET") else {
        return;
    };
    let config = SceneConfig::default();
    let (width, height) = (config.width + 2, config.height + 2);
    let mut sheet = image::RgbImage::new(4 * width, 6 * height);
    for i in 0..12 {
        let scene = scene(Split::Train, u64::from(i));
        let (x, y) = (i64::from(i % 4 * width), i64::from(i / 4 * 2 * height));
        image::imageops::replace(&mut sheet, &scene.image, x, y);
        let segmentation = scene.segmentation_image();
        image::imageops::replace(&mut sheet, &segmentation, x, y + i64::from(height));
    }
    sheet.save(path).unwrap();
}
