//! `cooper scenes`.

use std::path::Path;
use std::process::Command;

use cooper_scenes::{FurnishedConfig, FurnishedRooms, Scene, SceneConfig, Split};
use serde_json::Value;

fn rows(folder: &Path, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.collect()
}

#[test]
fn the_command_writes_what_a_scene_holds() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("new");
    let run = |rest: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cooper"));
        command.arg("scenes").arg(&out).args(rest).output().unwrap()
    };
    let done = run(&["--n", "3", "--split", "validation", "--start", "7"]);
    assert!(done.status.success(), "{done:?}");
    assert_eq!(rows(&out, "depth.jsonl").len(), 3);
    let scene = Scene::generate(&SceneConfig::default(), Split::Validation, 8);
    let image = |row: &Value, key: &str| image::open(out.join(row[key].as_str().unwrap())).unwrap();
    let row = &rows(&out, "depth.jsonl")[1];
    assert_eq!(image(row, "rgb_image").into_rgb8(), scene.image);
    let millimetres = image(row, "depth_image").into_luma16().into_raw();
    for (&millimetres, &metres) in millimetres.iter().zip(&scene.depth) {
        assert!((f32::from(millimetres) / 1000.0 - metres).abs() <= 0.000_51);
    }
    let row = &rows(&out, "segmentation.jsonl")[1];
    assert_eq!(
        image(row, "seg_image").into_rgb8(),
        scene.segmentation_image()
    );
    assert_eq!(image(row, "ids_image").into_luma8().into_raw(), scene.ids);
    let qa = rows(&out, "qa.jsonl");
    assert!(qa.iter().any(|row| row["image"] == "000009.png"));
    let text = std::fs::read_to_string(out.join("scenes.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(all[1]["objects"][0]["name"], scene.objects[0].name());
    let refused = run(&["--width", "0"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("width"));
}

#[test]
fn furnished_rooms_are_written_with_labels_and_palette() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let out = folder.path().join("new");
    let furniture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/cooper-scenes/tests/furniture");
    let run = |rest: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cooper"));
        command
            .arg("scenes")
            .arg(&out)
            .arg("--furniture")
            .arg(&furniture);
        command.args(rest).output().unwrap()
    };
    let done = run(&["--kind", "furnished", "--n", "2", "--start", "3"]);
    assert!(done.status.success(), "{done:?}");
    let config = FurnishedConfig {
        furniture: Some(furniture.clone()),
        width: 128,
        height: 96,
        ..FurnishedConfig::default()
    };
    let scene = FurnishedRooms::open(config).unwrap().scene(Split::Test, 4);
    let image = |name: &Value| image::open(out.join(name.as_str().unwrap())).unwrap();
    let row = &rows(&out, "depth.jsonl")[1];
    assert_eq!(image(&row["rgb_image"]).into_rgb8(), scene.image);
    let millimetres = image(&row["depth_image"]).into_luma16().into_raw();
    for (&millimetres, &metres) in millimetres.iter().zip(&scene.depth) {
        assert!((f32::from(millimetres) / 1000.0 - metres).abs() <= 0.000_51);
    }
    let labels = image(&row["labels_image"]).into_luma8().into_raw();
    assert_eq!(labels, scene.labels);
    let focal = ["fx", "fy"].map(|key| row["intrinsics"][key].as_f64().unwrap());
    assert_eq!(focal, [scene.camera.fx, scene.camera.fy]);
    let row = &rows(&out, "segmentation.jsonl")[1];
    assert_eq!(
        image(&row["seg_image"]).into_rgb8(),
        scene.segmentation_image()
    );
    assert_eq!(image(&row["ids_image"]).into_luma8().into_raw(), scene.ids);
    let read = |file: &str| -> Value {
        serde_json::from_str(&std::fs::read_to_string(out.join(file)).unwrap()).unwrap()
    };
    let all = read("scenes.json");
    assert_eq!(
        image(&all[1]["labels_image"]).into_luma8().into_raw(),
        scene.labels
    );
    assert_eq!(
        all[1]["objects"].as_array().unwrap().len(),
        scene.objects.len()
    );
    assert_eq!(read("palette.json")["classes"][6]["name"], "chair");
    for (wrong, why) in [
        (&["--n", "1"][..], "--kind furnished"),
        (&["--kind", "furnished", "--worlds", "/w"], "--split train"),
    ] {
        let refused = run(wrong);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(why),
            "{refused:?}"
        );
    }
}
