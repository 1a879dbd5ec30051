//! Furnished rooms, with the models of `tests/furniture`.

use std::path::{Path, PathBuf};

use cooper_scenes::{
    CEILING, FIRST_OBJECT, FLOOR, FurnishedConfig, FurnishedRooms, FurnishedScene, PALETTE, Split,
    UNLABELLED, UNLISTED, WALL,
};
use nalgebra::{Point3, Rotation3, Vector3};

fn furniture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/furniture")
}

fn config() -> FurnishedConfig {
    FurnishedConfig {
        furniture: Some(furniture()),
        width: 96,
        height: 72,
        ..FurnishedConfig::default()
    }
}

fn rooms() -> FurnishedRooms {
    FurnishedRooms::open(config()).unwrap()
}

/// Where the surface of a pixel is.
fn point(scene: &FurnishedScene, i: usize) -> Point3<f64> {
    let width = scene.image.width() as usize;
    let ray = scene.camera.ray((i % width) as f64, (i / width) as f64);
    ray.at(f64::from(scene.depth[i]))
}

#[test]
fn depth_and_ids_agree_with_the_room_and_the_boxes() {
    let rooms = rooms();
    for index in 0..8 {
        let scene = rooms.scene(Split::Train, index);
        let [width, depth, height] = scene.room_m.unwrap();
        assert_eq!(scene.ids.len(), 96 * 72);
        for (i, &id) in scene.ids.iter().enumerate() {
            let at = point(&scene, i);
            match id {
                FLOOR => assert!(at.z.abs() < 2e-3, "{index}: {at}"),
                CEILING => assert!((at.z - height).abs() < 2e-3, "{index}: {at}"),
                WALL => {
                    // Walls have holes with sides and a back, and a skirting board.
                    let inside = (at.x.abs() - width / 2.0).max(-at.y).max(at.y - depth);
                    assert!((-0.02..0.41).contains(&inside), "{index}: {at}");
                }
                UNLISTED => {}
                _ => {
                    let object = &scene.objects[usize::from(id - FIRST_OBJECT)];
                    let turn = Rotation3::from_axis_angle(&Vector3::z_axis(), -object.yaw);
                    let from_center = turn * (at - object.center_in_world);
                    for (axis, size) in object.size_m.iter().enumerate() {
                        let reach = from_center[axis].abs();
                        assert!(
                            reach <= size / 2.0 + 3e-3,
                            "{index} {}: {reach} of {size}",
                            object.name
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn objects_tell_what_the_maps_show() {
    let rooms = rooms();
    for index in 0..8 {
        let scene = rooms.scene(Split::Test, index);
        for (i, object) in scene.objects.iter().enumerate() {
            let id = FIRST_OBJECT + i as u8;
            let pixels: Vec<usize> = (0..scene.ids.len())
                .filter(|&k| scene.ids[k] == id)
                .collect();
            assert_eq!(pixels.len(), object.visible_pixels);
            let nearest = pixels
                .iter()
                .map(|&k| (point(&scene, k) - scene.camera.position()).norm());
            let nearest = nearest.fold(f64::INFINITY, f64::min);
            assert!((nearest - object.nearest_m).abs() < 1e-3);
            let columns = pixels.iter().map(|&k| (k % 96) as u32);
            let bounds = object.bounding_box;
            assert_eq!(columns.clone().min().unwrap(), bounds.x);
            assert_eq!(columns.max().unwrap(), bounds.x + bounds.width - 1);
            assert!(pixels.iter().all(|&k| scene.labels[k] == object.class));
            assert!((0.0..=1.0).contains(&object.visible_share));
            if let Some(under) = object.stands_on {
                let under = &scene.objects[under];
                let bottom = object.center_in_world.z - object.size_m[2] / 2.0;
                let top = under.center_in_world.z + under.size_m[2] / 2.0;
                assert!(bottom <= top + 2e-3, "{} on {}", object.name, under.name);
            }
        }
        for (&id, &label) in scene.ids.iter().zip(&scene.labels) {
            if id < FIRST_OBJECT {
                assert_eq!(id, label);
            }
            assert!(label == UNLABELLED || usize::from(label) < PALETTE.len());
        }
    }
}

#[test]
fn scenes_are_the_same_in_every_run_and_on_any_thread() {
    let [one, other] = [rooms(), rooms()];
    let expected: Vec<FurnishedScene> = (0..6).map(|i| one.scene(Split::Validation, i)).collect();
    std::thread::scope(|scope| {
        for expected in &expected {
            // Each thread makes its scene first of all that are made of this source.
            scope.spawn(|| {
                let scene = other.scene(Split::Validation, expected.index);
                assert_eq!(scene.image, expected.image);
                assert_eq!(scene.depth, expected.depth);
                assert_eq!(scene.ids, expected.ids);
                assert_eq!(scene.objects, expected.objects);
            });
        }
    });
    let other_split = one.scene(Split::Test, 0);
    assert_ne!(other_split.image, expected[0].image);
    assert_ne!(expected[0].image, expected[1].image);
}

#[test]
fn a_model_is_in_one_split_only() {
    let rooms = rooms();
    let models = rooms.models();
    // The tree has no place in a room, and nothing reads the sofa's format.
    assert_eq!(models.len(), 12);
    assert!(rooms.load_all().is_empty());
    for split in [Split::Train, Split::Validation, Split::Test] {
        for name in ["chair", "table"] {
            assert!(
                models.iter().any(|m| m.split == split && m.name == name),
                "{split:?} {name}"
            );
        }
        let mut n_models = 0;
        for index in 0..40 {
            for object in rooms.scene(split, index).objects {
                let Some(id) = object.model else { continue };
                let model = models.iter().find(|model| model.id == id).unwrap();
                assert_eq!(model.split, split);
                assert_eq!(
                    (model.name, model.class),
                    (object.name.as_str(), object.class)
                );
                n_models += 1;
            }
        }
        assert!(n_models > 5, "{split:?}: {n_models}");
    }
}

#[test]
fn images_are_neither_dark_nor_washed_out() {
    let rooms = rooms();
    let mut kinds = [0; 2];
    for index in 0..60 {
        let scene = rooms.scene(Split::Train, index);
        let bytes = scene.image.as_raw();
        let mean = bytes.iter().map(|&b| f64::from(b)).sum::<f64>() / bytes.len() as f64;
        assert!((30.0..215.0).contains(&mean), "{index}: {mean}");
        let mut depths = scene.depth.clone();
        depths.sort_by(f32::total_cmp);
        assert!(
            depths[depths.len() / 100] > 0.1,
            "{index}: the camera is in something"
        );
        kinds[usize::from(depths[depths.len() / 2] > 1.5)] += 1;
    }
    assert!(kinds[0] > 0 && kinds[1] > 0, "{kinds:?}");
}

#[test]
fn what_cannot_be_read_is_said() {
    let open = |furniture: &Path| {
        let config = FurnishedConfig {
            furniture: Some(furniture.into()),
            ..config()
        };
        FurnishedRooms::open(config)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    assert!(open(folder.path()).contains("apt install sweethome3d-furniture"));
    assert!(open(&folder.path().join("none")).contains("none"));
    std::fs::write(folder.path().join("broken.sh3f"), "not a zip").unwrap();
    assert!(open(folder.path()).contains("broken.sh3f"));
    let worlds = FurnishedConfig {
        worlds: Some(folder.path().into()),
        ..config()
    };
    let error = FurnishedRooms::open(worlds).err().unwrap().to_string();
    assert!(error.contains("world.json"), "{error}");
}

/// Six quadrilaterals around a room of 4 x 5 x 2.5 m, its middle over the origin.
const ROOM: &str = "v -2 -2.5 0\nv 2 -2.5 0\nv 2 2.5 0\nv -2 2.5 0\nv -2 -2.5 2.5\nv 2 -2.5 2.5\nv 2 2.5 2.5\n\
    v -2 2.5 2.5\n";

/// A world: the room with a cube of one metre.
fn write_world(folder: &Path) {
    let world = folder.join("hall");
    std::fs::create_dir(&world).unwrap();
    let write = |name: &str, text: &str| std::fs::write(world.join(name), text).unwrap();
    write("floor.obj", &format!("{ROOM}f 1 2 3 4\n"));
    write(
        "walls.obj",
        &format!("{ROOM}f 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\n"),
    );
    write("top.obj", &format!("{ROOM}f 5 6 7 8\n"));
    let cube = ROOM.replace("2.5", "1").replace("2 ", "1 ");
    write(
        "cube.obj",
        &format!("{cube}f 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\nf 5 6 7 8\n"),
    );
    let identity = "[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]";
    let instance =
        |model: &str, matrix: &str| format!(r#"{{"model": "{model}", "matrix": {matrix}}}"#);
    let instances = [
        instance("floor", identity),
        instance("walls", identity),
        instance("top", identity),
        instance("cube", "[[0.5, 0, 0, 1], [0, 0.5, 0, 1], [0, 0, 0.5, 0]]"),
    ];
    let json = format!(
        r#"{{"up": "z", "models": {{"floor": {{"class": "floor"}}, "walls": {{"class": "wall"}},
            "top": {{"class": "ceiling"}}, "cube": {{"class": "table"}}}}, "instances": [{}]}}"#,
        instances.join(", ")
    );
    write("world.json", &json);
}

#[test]
fn worlds_are_seen_from_inside_and_only_in_training() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    write_world(folder.path());
    let rooms = FurnishedRooms::open(FurnishedConfig {
        worlds: Some(folder.path().into()),
        world_share: 1.0,
        ..config()
    });
    let rooms = rooms.unwrap();
    assert_eq!(rooms.scene(Split::Test, 0).world, None);
    for index in 0..4 {
        let scene = rooms.scene(Split::Train, index);
        assert_eq!(scene.world.as_deref(), Some("hall"));
        for (i, &id) in scene.ids.iter().enumerate() {
            let at = point(&scene, i);
            let off = match id {
                FLOOR => at.z.abs(),
                CEILING => (at.z - 2.5).abs(),
                WALL => (at.x.abs() - 2.0).max(at.y.abs() - 2.5).abs(),
                _ => (at.coords - Vector3::new(1.0, 1.0, 0.25)).amax() - 0.5,
            };
            assert!(off < 2e-3, "{index}: {at} {id}");
        }
        for object in &scene.objects {
            assert_eq!(
                (
                    object.name.as_str(),
                    PALETTE[usize::from(object.class)].name
                ),
                ("table", "table")
            );
        }
    }
}
