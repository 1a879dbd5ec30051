//! `cooper scenes`.

use std::path::Path;
use std::process::Command;

use cooper_scenes::{Scene, SceneConfig, Split};
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
