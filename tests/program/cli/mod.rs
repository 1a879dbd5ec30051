//! The `cooper` program on the fixture model: outputs, files, messages and exit codes.

mod refusals;
mod trace;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{DynamicImage, GenericImageView};
use serde_json::Value;

const MODEL: &str = "tests/fixtures/random-a/checkpoint";
const IMAGE: &str = "tests/fixtures/random-a/image.png";

fn cooper(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cooper"))
        .args(args)
        .output()
        .unwrap()
}

/// Run with the fixture model and few steps; expect exit code 0.
#[track_caller]
fn run(args: &[&str]) -> Output {
    let output = cooper(&[args, &["--model", MODEL, "--time-points", "3"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn check_refused(args: &[&str], code: i32, parts: &[&str]) {
    let output = cooper(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{}", stdout(&output));
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn ask<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    [
        &["ask", IMAGE, "Which is nearer?", "--max-new-tokens", "6"],
        rest,
    ]
    .concat()
}

/// A depth map, whose file is told of with this range.
#[track_caller]
fn depth_file(name: &str, rest: &[&str], range: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let path = dir.path().join(name);
    let told = stderr(&run(&[
        &["depth", IMAGE, "-o", path.to_str().unwrap()],
        rest,
    ]
    .concat()));
    assert!(told.contains("reading the image\n"), "{told}");
    assert!(
        told.ends_with(&format!("{} ({range})\n", path.display())),
        "{told}"
    );
    // Nothing temporary stays.
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    (dir, path)
}

fn image_of(path: &Path) -> DynamicImage {
    let image = image::open(path).unwrap();
    assert_eq!(image.dimensions(), image::image_dimensions(IMAGE).unwrap());
    image
}

fn traced(rest: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let trace = dir.path().join("new/trace");
    run(&[&ask(rest)[..], &["--trace", trace.to_str().unwrap()]].concat());
    (dir, trace)
}

fn json_of(trace: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trace.join("trace.json")).unwrap()).unwrap()
}

#[test]
fn ask_prints_one_json_object() {
    let output = run(&ask(&["--json", "--seed", "7"]));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = answer["status"].as_str().unwrap();
    assert!(
        ["ANSWERED", "NO_ANSWER", "TRUNCATED"].contains(&status),
        "{status}"
    );
    assert_eq!(answer["question"], "Which is nearer?");
    assert_eq!(answer["seed"], 7);
    assert_eq!(answer["flow"]["time_points"], 3);
    assert!(!answer["turns"].as_array().unwrap().is_empty());
    assert!(answer["seconds"]["total"].as_f64().unwrap() > 0.0);
    let again = run(&ask(&["--json", "--seed", "7"]));
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(answer["turns"], again["turns"]);
}

#[test]
fn ask_streams_words_and_says_how_it_ended() {
    let output = run(&ask(&["--mode", "direct"]));
    let text = stdout(&output);
    let last = text.lines().last().unwrap();
    assert!(
        last.starts_with("answer, cut off (--max-new-tokens allows more): "),
        "{text}"
    );
    assert!(stderr(&output).contains("loaded in"), "{}", stderr(&output));
}

#[test]
fn an_answer_that_the_mode_opens_is_printed_with_its_opening() {
    let output = run(&ask(&["--mode", "perception"]));
    let text = stdout(&output);
    assert!(text.starts_with("<answer>"), "{text}");
    assert!(
        stderr(&output).contains("reading the image and the question\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn ask_keeps_to_a_time_budget() {
    let of = |budget: Option<f64>| {
        let budget = budget.map(|seconds| seconds.to_string());
        let flags = ["--mode", "perception", "--json", "--model", MODEL];
        let mut args = ask(&[&flags[..], &["--time-points", "1000"]].concat());
        if let Some(seconds) = &budget {
            args.extend(["--time-budget", seconds]);
        }
        let output = cooper(&args);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let seconds = |answer: &Value| answer["seconds"]["total"].as_f64().unwrap();
    let steps = |answer: &Value| {
        let maps = answer["evidence"].as_array().unwrap();
        assert!(!maps.is_empty(), "{answer}");
        let steps = maps.iter().map(|map| map["steps"].as_u64().unwrap());
        steps.collect::<Vec<_>>()
    };
    let spent = of(Some(0.001));
    assert_eq!(spent["status"], "DEADLINE");
    // How fast this machine is, measured; then a small part of what it takes.
    let whole = of(None);
    assert_eq!(steps(&whole), [999, 999]);
    let budget = seconds(&whole) / 5.0;
    let told = of(Some(budget));
    assert!(seconds(&told) < budget + 0.5, "{budget}: {told}");
    assert!(steps(&told).iter().all(|n| *n < 999), "{budget}: {told}");
    let wrong = ask(&["--time-budget", "0"]);
    check_refused(&wrong, 2, &["--time-budget", "a number above 0"]);
}

/// Ask with a trace; its folder.
#[test]
fn several_images_are_asked_about() {
    let rgba = "tests/fixtures/random-a/image_rgba.png";
    let few = ["--max-new-tokens", "4", "--json"];
    let further = ["--further", rgba, "--mode", "text"];
    let output = run(&[&["ask", IMAGE], &further[..], &["Which is nearer?"], &few].concat());
    let both: Value = serde_json::from_slice(&output.stdout).unwrap();
    let paths: Vec<&Value> = both["pictures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| &p["path"])
        .collect();
    assert_eq!(paths, [IMAGE, rgba]);
    assert_eq!(both["question"], "Which is nearer?");
    assert_ne!(both["pictures"][0]["sha256"], both["pictures"][1]["sha256"]);
    let (_dir, trace) = {
        let dir = folder();
        let trace = dir.path().join("two");
        let to = ["--trace", trace.to_str().unwrap(), "--mode", "perception"];
        run(&[
            &["ask", rgba, "Which is nearer?", "--further", IMAGE],
            &few[..2],
            &to,
        ]
        .concat());
        (dir, trace)
    };
    let json = json_of(&trace);
    assert_eq!(
        json["evidence"][0]["picture"], 1,
        "maps are of the last image's size"
    );
    let output = cooper(&["replay", trace.to_str().unwrap()]);
    assert_eq!(
        stdout(&output),
        "the same: 1 turn, 2 maps\n",
        "{}",
        stderr(&output)
    );
    let none = ["ask", IMAGE, "q", "--further", "none.png", "--model", MODEL];
    check_refused(&none, 1, &["none.png"]);
}

#[test]
fn depth_formats_agree() {
    let (_dir, png) = depth_file("depth.png", &[], "0 near, 65535 far");
    let DynamicImage::ImageLuma16(png) = image_of(&png) else {
        panic!("expected 16-bit grey");
    };
    let (_dir, npy) = depth_file("depth.npy", &[], "0 near, 1 far");
    let bytes = std::fs::read(npy).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let data = &bytes[bytes.len() - 4 * png.len()..];
    let floats = data
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let floats: Vec<f32> = floats.collect();
    let (_dir, exr) = depth_file("depth.exr", &[], "0 near, 1 far");
    let exr = image_of(&exr).into_rgb32f();
    for ((&grey, &float), rgb) in png.iter().zip(&floats).zip(exr.pixels()) {
        assert!((0.0..=1.0).contains(&float), "{float}");
        assert!((f32::from(grey) / 65535.0 - float).abs() < 1e-5);
        assert_eq!(rgb.0, [float; 3]);
    }
    assert!(floats.iter().any(|v| *v != floats[0]), "a flat map");
}

#[test]
fn depth_in_colours() {
    let (_dir, path) = depth_file("DEPTH.PNG", &["--format", "color"], "red near, violet far");
    assert!(matches!(image_of(&path), DynamicImage::ImageRgb8(_)));
    let args = [
        "depth", IMAGE, "-o", "map.npy", "--format", "color", "--model", MODEL,
    ];
    check_refused(
        &args,
        1,
        &["--format color", "expected a .png for colours, got map.npy"],
    );
}

#[test]
fn segmentation_in_colours_and_labels() {
    let dir = folder();
    let path = dir.path().join("map.png");
    let out = path.to_str().unwrap();
    run(&["segment", IMAGE, "-o", out]);
    assert!(matches!(image_of(&path), DynamicImage::ImageRgb8(_)));
    run(&["segment", IMAGE, "-o", out, "--format", "labels"]);
    assert!(matches!(image_of(&path), DynamicImage::ImageLuma16(_)));
}

#[test]
fn conformance_ends_with_a_count() {
    let output = cooper(&["conformance", "tests/fixtures/random-a"]);
    let text = stdout(&output);
    assert!(output.status.success(), "{text}{}", stderr(&output));
    let (passed, rest) = text
        .lines()
        .last()
        .unwrap()
        .split_once(" passed, 0 failed")
        .unwrap();
    assert!(passed.parse::<usize>().unwrap() > 20, "{text}");
    assert!(rest.is_empty() || rest.ends_with(" skipped"), "{rest}");
    check_refused(&["conformance", "tests/none"], 1, &["tests/none"]);
}

#[test]
fn conformance_fails_on_a_wrong_value() {
    let dir = folder();
    copy(Path::new("tests/fixtures/random-a"), dir.path());
    let file = dir.path().join("expected.json");
    let mut expected: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let id = &mut expected["greedy"]["ids"][3];
    *id = Value::from(id.as_u64().unwrap() ^ 1);
    std::fs::write(&file, expected.to_string()).unwrap();
    let output = cooper(&["conformance", dir.path().to_str().unwrap()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("FAIL  greedy")),
        "{text}"
    );
    assert!(
        text.lines().last().unwrap().contains(" passed, 1 failed"),
        "{text}"
    );
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn bench_measures_every_part_of_the_work() {
    let items = [
        "image_prefill",
        "text_prefill",
        "decode",
        "flow_step_1",
        "flow_step_3",
        "vae_encode",
        "vae_decode",
        "depth_map",
        "first_question",
        "second_question",
    ];
    let few = ["--repeats", "2", "--tokens", "3", "--time-points", "3"];
    let output = cooper(&[&["bench", MODEL, "--json"][..], &few].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |value: &Value| value.as_f64().filter(|n| *n > 0.0).unwrap();
    number(&report["ceilings"]["gflop_per_s"]);
    number(&report["ceilings"]["gb_per_s"]);
    number(&report["peak_memory_bytes"]);
    let rows = report["items"].as_array().unwrap();
    for (row, item) in rows.iter().zip(items) {
        assert_eq!(row["item"], item);
        let seconds = &row["seconds"];
        assert_eq!(seconds["runs"], 2);
        assert!(number(&seconds["fastest"]) <= number(&seconds["median"]));
        assert!(number(&seconds["median"]) <= number(&seconds["slowest"]));
        let rate = number(&row["gflop"]) / number(&seconds["median"]);
        assert!((rate / number(&row["gflop_per_s"]) - 1.0).abs() < 1e-9);
    }
    assert_eq!(rows.len(), items.len());
    let steps = &report["depth_map_steps"];
    assert_eq!((&steps["made"], &steps["computed"]), (&2.into(), &2.into()));
    let cached = ["--only", "depth_map", "--time-points", "30"];
    let cached = [&cached[..], &["--cache-threshold", "0.2", "--json"]].concat();
    let output = cooper(&[&["bench", MODEL, "--repeats", "1"][..], &cached].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let steps = &report["depth_map_steps"];
    assert!(number(&steps["computed"]) < 20.0 && number(&steps["latents_error"]) < 0.1);
    // The same as a table, of what was named only.
    let output = cooper(&[
        "bench",
        MODEL,
        "--only",
        "decode,vae_encode",
        "--repeats",
        "1",
    ]);
    let table = stdout(&output);
    assert!(
        table.contains("\ndecode ") && table.contains("\nvae_encode "),
        "{table}"
    );
    assert!(
        !table.contains("depth_map") && table.contains("peak memory"),
        "{table}"
    );
    check_refused(&["bench", "nowhere"], 1, &["nowhere", "model directory"]);
    check_refused(&["bench", MODEL, "--only", "all"], 2, &["image_prefill"]);
}
