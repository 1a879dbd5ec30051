//! Sources and rows that cannot be used.

use super::*;

/// Train on one source; expect an error about it.
#[track_caller]
fn check_rows(dir: &Path, source: Value, parts: &[&str]) {
    let config = with(&short_run(dir, "out"), "/data", json!([source]));
    check_refused("sft", &config, parts);
}

#[test]
fn sources_that_cannot_be_are_told_at_the_start() {
    let dir = folder();
    let dir = dir.path();
    training::write_rows(dir, 1);
    let [depth, segmentation, reason] = all_rows(dir);
    let key =
        |source: &Value, key: &str, value: Value| with(source, &format!("/jsonl/{key}"), value);
    check_rows(
        dir,
        key(&depth, "file", json!(dir.join("none.jsonl"))),
        &["none.jsonl: No such file"],
    );
    std::fs::write(dir.join("empty.jsonl"), "\n \n").unwrap();
    let empty = key(&depth, "file", json!(dir.join("empty.jsonl")));
    check_rows(
        dir,
        empty,
        &["empty.jsonl: expected rows of JSON, got none"],
    );
    let lost = key(&depth, "root", json!("/nowhere"));
    check_rows(
        dir,
        lost,
        &["depth.jsonl:1: rgb_image: /nowhere/rgb0.png: No such file"],
    );
    check_rows(
        dir,
        key(&depth, "flip", json!(2)),
        &["jsonl: flip: expected a chance", "got 2"],
    );
    check_rows(
        dir,
        key(&depth, "dataset", json!("nyu")),
        &["dataset, depth_scale: expected 1", "got 2"],
    );
    check_rows(
        dir,
        key(&depth, "depth_scale", json!(null)),
        &["dataset, depth_scale", "got 0"],
    );
    check_rows(
        dir,
        key(&depth, "dataset", json!("kity")),
        &["unknown variant `kity`", "vkitti"],
    );
    check_rows(
        dir,
        key(&reason, "dataset", json!("nyu")),
        &["expected 0", "\"interleaved\", got 1"],
    );
    check_rows(
        dir,
        key(&reason, "kitti_crop", json!(true)),
        &["kitti_crop: expected no such key"],
    );
    let flat = json!({"scale": 100, "lo": 2, "hi": 2});
    check_rows(
        dir,
        key(&depth, "depth_scale", flat),
        &["expected scale > 0 and 0 <= lo < hi"],
    );
    let cropped = key(&segmentation, "kitti_crop", json!(true));
    check_rows(
        dir,
        cropped,
        &[
            "segmentation.jsonl:1: seg_image: expected at least 1216x352",
            "64x48",
        ],
    );
    check_rows(
        dir,
        key(&segmentation, "rows", json!("interleaved")),
        &["expected a list, got nothing"],
    );
}

#[test]
fn a_row_that_cannot_be_is_told_with_its_line_and_key() {
    let dir = folder();
    let dir = dir.path();
    training::write_rows(dir, 1);
    let [depth, segmentation, reason] = all_rows(dir);
    let row = |rgb: &str, depth: &str| json!({"rgb_image": rgb, "depth_image": depth});
    image::GrayImage::new(64, 48)
        .save(dir.join("grey8.png"))
        .unwrap();
    image::RgbImage::new(64, 32)
        .save(dir.join("low.png"))
        .unwrap();
    std::fs::write(dir.join("no.png"), "text").unwrap();
    for (wrong, parts) in [
        (
            json!(7),
            &["a.jsonl:2: expected a row as a JSON object"][..],
        ),
        (
            json!({"rgb_image": "rgb0.png"}),
            &["a.jsonl:2: depth_image: expected a path, got nothing"],
        ),
        (
            row("no.png", "depth0.png"),
            &["a.jsonl:2: rgb_image: ", "no.png: expected a PNG"],
        ),
        (
            row("rgb0.png", "grey8.png"),
            &["depth_image: ", "expected a 16-bit grey PNG, got L8"],
        ),
        (
            row("low.png", "depth0.png"),
            &["depth_image: expected 64x32 pixels", "got 64x48"],
        ),
    ] {
        // The first row is good, so the run begins, and fails when the second is drawn.
        training::write_lines(
            &dir.join("a.jsonl"),
            &[row("rgb0.png", "depth0.png"), wrong],
        );
        let source = with(&depth, "/jsonl/file", json!(dir.join("a.jsonl")));
        check_rows(dir, source, parts);
    }
    let item = |key: &str, value: &str| {
        with(
            &conversation(0),
            &format!("/interleaved_reason/2/{key}"),
            json!(value),
        )
    };
    let image = with(
        &conversation(0),
        "/interleaved_reason/0/value",
        json!("not base64!"),
    );
    let silent = json!({"interleaved_reason": []});
    for (wrong, parts) in [
        (
            item("need_loss", "yes"),
            &[
                "a.jsonl:1: interleaved_reason[2].need_loss: expected \"true\" or \"false\", got `yes`",
            ][..],
        ),
        (
            item("type", "video"),
            &["interleaved_reason[2].type: expected text or image, got `video`"],
        ),
        (
            image,
            &["interleaved_reason[0].value: expected an image in base64"],
        ),
        (
            silent,
            &["a.jsonl:1: interleaved_reason: expected a text with need_loss \"true\""],
        ),
        (
            json!({"interleaved_reason": 3}),
            &["interleaved_reason: expected a list, got 3"],
        ),
    ] {
        training::write_lines(&dir.join("a.jsonl"), &[wrong]);
        check_rows(
            dir,
            with(&reason, "/jsonl/file", json!(dir.join("a.jsonl"))),
            parts,
        );
    }
    let row = json!({"rgb_image": "rgb0.png", "seg_image": "low.png"});
    training::write_lines(&dir.join("a.jsonl"), &[row]);
    let source = with(&segmentation, "/jsonl/file", json!(dir.join("a.jsonl")));
    check_rows(
        dir,
        source,
        &["a.jsonl:1: seg_image: expected 64x48 pixels", "got 64x32"],
    );
}
