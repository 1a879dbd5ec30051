//! Training on images with dense truth: RGB-D files of several kinds, palettes, validation, and what is refused.

use std::path::Path;
use std::process::Command;

use cooper_model::model::Palette;
use cooper_scenes::PALETTE as PALETTE_OF_ROOMS;
use image::{GrayImage, ImageBuffer, Luma, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::training_support::{command, folder, log, stderr, tiny_model, train, write_lines};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;
const PALETTE: &str = r#"{"unlabelled": 255, "classes": [
    {"id": 0, "name": "floor", "colour": [60, 60, 60]},
    {"id": 5, "name": "table", "colour": [255, 255, 0], "parent": "furniture"}]}"#;

/// RGB-D files: a floor that rises from 1 m below to 4 m above, and a yellow table at 2 m.
fn write_files(dir: &Path, n: u32) {
    std::fs::create_dir_all(dir).unwrap();
    for i in 0..n {
        let is_table = |x, y| (10 + 3 * i..30 + 3 * i).contains(&x) && (10..30).contains(&y);
        let name = |ending: &str| dir.join(format!("{i:04}{ending}.png"));
        let rgb = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
            Rgb(if is_table(x, y) {
                [220, 200, 20]
            } else {
                [90, 90, (40 + y) as u8]
            })
        });
        rgb.save(name("")).unwrap();
        let depth: ImageBuffer<Luma<u16>, Vec<u16>> =
            ImageBuffer::from_fn(WIDTH, HEIGHT, |x, y| match (x, y) {
                (0, _) => Luma([0]),
                _ if is_table(x, y) => Luma([2000]),
                _ => Luma([(4000 - 60 * y) as u16]),
            });
        depth.save(name("_depth")).unwrap();
        let labels = GrayImage::from_fn(WIDTH, HEIGHT, |x, y| {
            Luma([if is_table(x, y) { 5 } else { 0 }])
        });
        labels.save(name("_labels")).unwrap();
    }
    std::fs::write(dir.join("intrinsics.json"), r#"{"fx": 51.0, "fy": 51.0}"#).unwrap();
}

/// A tiny model with a palette, files, and a run of `steps`.
fn run(dir: &Path, steps: usize) -> Value {
    let model = dir.join("model");
    tiny_model(&model);
    std::fs::write(model.join("palette.json"), PALETTE).unwrap();
    let depth = r#"{"curve": "log", "canonical_focal": 0.8}"#;
    std::fs::write(model.join("depth_config.json"), depth).unwrap();
    write_files(&dir.join("files"), 4);
    json!({
        "init": model, "out": dir.join("out"), "steps": steps, "micro_batches": 2, "threads": 1,
        "optimizer": {"lr": 3e-3, "ema": 0.5}, "schedule": {"warmup": 2}, "log_every": steps, "save_every": steps,
    })
}

fn files(dir: &Path) -> Value {
    json!({"path": dir.join("files"), "augment": {"zoom": [1, 1.5], "flip": true, "color": 0.5}})
}

fn vit(dir: &Path, steps: usize) -> Value {
    json!({
        "run": run(dir, steps), "samples": 2, "map_share": 0.1, "depth_range_m": [0, 10],
        "data": {"sizes": [[56, 42]], "sources": [{"rgbd": files(dir)}, {"weight": 0.2, "scenes": {}}]},
        "validation": [{"name": "held", "rgbd": {"path": dir.join("files")}, "size": [56, 42], "most": 2}],
    })
}

fn vae(dir: &Path) -> Value {
    json!({
        "run": run(dir, 3), "samples": 1, "crop": [32, 48], "depth_range_m": [0, 10], "depth_curves": ["linear", "log"],
        "data": {"sizes": [[64, 48]], "sources": [{"rgbd": files(dir)}]},
        "validation": [{"name": "held", "rgbd": {"path": dir.join("files")}, "size": [64, 48]}],
    })
}

fn amg(dir: &Path) -> Value {
    json!({
        "run": run(dir, 2), "samples": 1,
        "data": [{"dense": {"data": {"sizes": [[64, 48]], "sources": [{"rgbd": files(dir)}]}}}],
    })
}

#[track_caller]
fn check_refused(stage: &str, config: &Value, parts: &[&str]) {
    let output = command(stage, config).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let errors: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("cooper: "))
        .collect();
    assert_eq!(errors.len(), 1, "{told}");
    for part in parts {
        assert!(errors[0].contains(part), "{part:?} is not in: {told}");
    }
}

#[test]
fn the_vision_encoder_learns_depth_and_classes_of_files() {
    let dir = folder();
    let config = vit(dir.path(), 300);
    let checkpoint = train("vit", &config);
    let lines = log(&config);
    let last = lines.last().unwrap();
    let number = |key: &str| last[key].as_f64().unwrap_or(f64::NAN);
    let (files, scenes) = (number("share_0_files"), number("share_1_scenes"));
    assert!(
        (files + scenes - 1.0).abs() < 1e-9 && files > scenes && scenes > 0.0,
        "{last}"
    );
    assert!(
        number("held_class_pixels") > 0.8 && number("held_mean_iou") > 0.4,
        "{last}"
    );
    assert!(number("held_aligned_delta1") > 0.6, "{last}");
    // 51 of 64 px is a focal length of nearly 0.8 of the width, so metres are as they are.
    assert!(number("held_raw_abs_rel") < 0.4, "{last}");
    for file in ["palette.json", "depth_config.json", "ema.safetensors"] {
        assert!(checkpoint.join(file).exists(), "{file}");
    }
}

#[test]
fn the_autoencoder_learns_images_and_maps_of_files() {
    let dir = folder();
    let config = vae(dir.path());
    train("vae", &config);
    let last = log(&config).pop().unwrap();
    for key in [
        "psnr_rgb_db",
        "psnr_depth_db",
        "psnr_segmentation_db",
        "palette_pixels",
    ] {
        assert!(
            last[format!("held_{key}")].as_f64().unwrap() > 0.0,
            "{last}"
        );
    }
}

#[test]
fn maps_of_files_are_drawn_as_far_as_they_are_known() {
    let dir = folder();
    let config = amg(dir.path());
    train("amg", &config);
    let drawn = |config: &Value| log(config).pop().unwrap()["mse"].as_f64().unwrap();
    assert!(drawn(&config) > 0.0);
    // Without labels, depth remains.
    let mut depth_only = amg(dir.path());
    for i in 0..4 {
        std::fs::remove_file(dir.path().join(format!("files/{i:04}_labels.png"))).unwrap();
    }
    depth_only["run"]["out"] = json!(dir.path().join("depth_only"));
    train("amg", &depth_only);
    assert!(drawn(&depth_only) > 0.0);
}

#[test]
fn questions_about_files_are_learnt_and_asked() {
    let dir = folder();
    let mut config = amg(dir.path());
    let dense = &mut config["data"][0]["dense"];
    dense["tasks"] =
        json!({"direct": 1, "text": 1, "perception": 1, "interleaved": 1, "grounding": 1});
    dense["draw_within"] = json!(true);
    config["run"]["micro_batches"] = json!(8);
    let model = train("sft", &config);
    let last = log(&config).pop().unwrap();
    for loss in ["ce", "mse"] {
        assert!(last[loss].as_f64().unwrap() > 0.0, "{last}");
    }
    let mut none = config.clone();
    none["data"][0]["dense"]["tasks"] = json!({"direct": 0, "draw": 0});
    check_refused("sft", &none, &["data: dense: tasks", "a weight above 0"]);

    let files = dir.path().join("files");
    let out = dir.path().join("eval");
    let ask = |model: &Path| {
        let mut ask = Command::new(env!("CARGO_BIN_EXE_cooper"));
        ask.args([
            "eval",
            "qa",
            "--modes",
            "direct",
            "--per-scene",
            "6",
            "--max-new-tokens",
            "4",
        ]);
        ask.arg("--model").arg(model).arg("--data").arg(&files);
        ask.arg("--out").arg(&out).output().unwrap()
    };
    let output = ask(&model);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value =
        serde_json::from_slice(&std::fs::read(out.join("report.json")).unwrap()).unwrap();
    let kinds = report.to_string();
    for kind in ["presence", "camera_distance", "ahead", "direction"] {
        assert!(kinds.contains(kind), "{kind}: {kinds}");
    }
    std::fs::remove_file(model.join("palette.json")).unwrap();
    let told = stderr(&ask(&model));
    assert!(
        told.contains("palette.json: expected a model with classes"),
        "{told}"
    );
}

#[test]
fn data_that_cannot_be_is_named() {
    let dir = folder();
    let with = |pointer: &str, value: Value| {
        let mut config = vit(dir.path(), 1);
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        config.pointer_mut(parent).unwrap()[key] = value;
        config
    };
    let source = "/data/sources/0/rgbd";
    let list = dir.path().join("all.txt");
    std::fs::write(&list, "0000 0001\n0002 0003").unwrap();
    check_refused(
        "vit",
        &with("/data/sizes", json!([])),
        &["sizes", "got none"],
    );
    check_refused(
        "vit",
        &with("/data/sizes", json!([[60, 42]])),
        &["multiples of 14", "60x42"],
    );
    check_refused(
        "vit",
        &with("/data/sources", json!([{}])),
        &["`scenes` or `rgbd`", "neither"],
    );
    check_refused(
        "vit",
        &with("/data/sources", json!([])),
        &["sources", "above 0"],
    );
    check_refused(
        "vit",
        &with(&format!("{source}/leave_out"), json!(list)),
        &["x_depth.png", "none"],
    );
    check_refused(
        "vit",
        &with(&format!("{source}/per_metre"), json!(0)),
        &["per_metre", "got 0"],
    );
    check_refused(
        "vit",
        &with(&format!("{source}/augment/zoom"), json!([0.5, 1])),
        &["zoom", "0.5"],
    );
    check_refused(
        "vit",
        &with("/validation/0/size", json!([56, 40])),
        &["held", "56x40"],
    );
    let mut config = vae(dir.path());
    config["depth_curves"] = json!([]);
    check_refused("vae", &config, &["depth_curves", "got none"]);
    config["depth_curves"] = json!(["linear"]);
    config["crop"] = json!([48, 72]);
    check_refused("vae", &config, &["crop", "[48, 64]", "[48, 72]"]);
    let mut config = amg(dir.path());
    config["data"][0]["dense"]["data"]["sizes"] = json!([[512, 16]]);
    check_refused("amg", &config, &["sizes", "512x16", "would become"]);
}

#[test]
fn files_that_do_not_fit_are_named() {
    let dir = folder();
    let config = vit(dir.path(), 1);
    let files = dir.path().join("files");
    let remove_intrinsics = || std::fs::remove_file(files.join("intrinsics.json")).unwrap();
    remove_intrinsics();
    check_refused("vit", &config, &["0000.png", "focal lengths"]);
    // A row may have its own.
    let row = json!({"rgb_image": "0000.png", "depth_image": "0000_depth.png", "labels_image": "0000_labels.png",
        "intrinsics": {"fx": 50, "fy": 50}});
    write_lines(&files.join("rows.jsonl"), &[row]);
    let mut of_rows = config.clone();
    of_rows["data"]["sources"][0]["rgbd"]["path"] = json!(files.join("rows.jsonl"));
    of_rows["validation"] = json!([]);
    train("vit", &of_rows);
    // Labels of another size.
    GrayImage::new(8, 8)
        .save(files.join("0000_labels.png"))
        .unwrap();
    of_rows["run"]["out"] = json!(dir.path().join("small_labels"));
    check_refused("vit", &of_rows, &["0000_labels.png", "64x48", "8x8"]);
    // A depth image of 8 bits.
    GrayImage::new(WIDTH, HEIGHT)
        .save(files.join("0000_depth.png"))
        .unwrap();
    of_rows["run"]["out"] = json!(dir.path().join("shallow_depth"));
    check_refused("vit", &of_rows, &["0000_depth.png", "Sixteen", "Eight"]);
}

#[test]
fn the_small_models_palette_is_that_of_furnished_rooms() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/train/small");
    let text = std::fs::read(dir.join("palette.json")).unwrap();
    let palette: Palette = serde_json::from_slice(&text).unwrap();
    let classes = palette.classes().iter();
    let classes = classes.map(|class| (class.id, class.name.as_str(), class.color));
    assert!(classes.eq(PALETTE_OF_ROOMS.map(|class| (class.id, class.name, class.color))));
}
