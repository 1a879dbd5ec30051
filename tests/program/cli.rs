//! The `cooper` program on the fixture model: outputs, files, messages and exit codes.

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

fn depth_file(name: &str, rest: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let path = dir.path().join(name);
    run(&[&["depth", IMAGE, "-o", path.to_str().unwrap()], rest].concat());
    // Nothing temporary stays.
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    (dir, path)
}

fn image_of(path: &Path) -> DynamicImage {
    let image = image::open(path).unwrap();
    assert_eq!(image.dimensions(), image::image_dimensions(IMAGE).unwrap());
    image
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
fn ask_writes_a_trace() {
    let (_dir, trace) = traced(&["--mode", "perception"]);
    let json = json_of(&trace);
    let turns = json["turns"].as_array().unwrap();
    for (n, turn) in turns.iter().enumerate() {
        let text = std::fs::read_to_string(trace.join(format!("turn_{}.txt", n + 1))).unwrap();
        assert_eq!(turn.as_str().unwrap(), text);
    }
    assert_eq!(json["tokens"][0].as_array().unwrap().len(), 6 + 1);
    let maps = json["evidence"].as_array().unwrap();
    assert_eq!(maps.len(), 2, "{json}");
    for (map, kind) in maps.iter().zip(["depth", "segmentation"]) {
        assert_eq!(
            (&map["kind"], &map["steps"]),
            (&Value::from(kind), &Value::from(2))
        );
        let image = image::open(trace.join(map["file"].as_str().unwrap())).unwrap();
        assert_eq!(map["width"], image.width());
        assert!(map["seconds"].as_f64().unwrap() > 0.0);
    }
    let image = &json["pictures"][0];
    assert_eq!(image["path"], IMAGE);
    let kept = image::open(trace.join(image["file"].as_str().unwrap())).unwrap();
    let asked = image::open(IMAGE).unwrap().into_rgb8();
    assert_eq!(kept.into_rgb8(), asked);
    assert_eq!(image["sha256"], cooper_imaging::sha256(&asked));
    let weights = std::fs::metadata(Path::new(MODEL).join("ema.safetensors")).unwrap();
    assert_eq!(json["model"]["weights_bytes"], weights.len());
    assert!(json["model"]["dir"].as_str().unwrap().starts_with('/'));
    assert_eq!(json["model"]["configs_sha256"].as_str().unwrap().len(), 64);
    let prompts = std::fs::read_to_string(trace.join("prompts.yaml")).unwrap();
    assert!(prompts.contains("depth_instruction"));
    let n_files = turns.len() + 2 + "image prompts trace".split(' ').count();
    assert_eq!(std::fs::read_dir(&trace).unwrap().count(), n_files);
}

#[test]
fn an_answer_outlives_a_trace_that_cannot_be_written() {
    let dir = folder();
    // The first file of a trace has a folder in its place.
    std::fs::create_dir_all(dir.path().join("prompts.yaml")).unwrap();
    let args = ask(&[
        "--mode",
        "direct",
        "--json",
        "--trace",
        dir.path().to_str().unwrap(),
    ]);
    let output = cooper(&[&args[..], &["--model", MODEL]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("prompts.yaml: Is a directory"),
        "{}",
        stderr(&output)
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["status"], "TRUNCATED");
    assert!(!dir.path().join("trace.json").exists());
}

#[test]
fn a_replay_is_the_same() {
    for mode in ["interleaved", "perception", "text", "direct"] {
        let (_dir, trace) = traced(&["--mode", mode, "--seed", "5", "--temperature", "0.9"]);
        let output = cooper(&["replay", trace.to_str().unwrap()]);
        assert!(
            output.status.success(),
            "{mode}: {}{}",
            stdout(&output),
            stderr(&output)
        );
        assert!(
            stdout(&output).starts_with("the same: "),
            "{}",
            stdout(&output)
        );
        assert!(
            !stderr(&output).contains("not as recorded"),
            "{}",
            stderr(&output)
        );
    }
}

#[test]
fn a_replay_forecasts_the_steps_that_were_forecast() {
    let dir = folder();
    let told = |name: &str, threshold: &str| {
        let trace = dir.path().join(name);
        let flow = ["--time-points", "30", "--cache-threshold", threshold];
        let rest = ["--mode", "perception", "--model", MODEL, "--trace"];
        let args = [&rest[..], &[trace.to_str().unwrap()], &flow[..]].concat();
        assert!(cooper(&ask(&args)).status.success());
        let map = json_of(&trace)["evidence"][0].clone();
        let number = |key: &str| map[key].as_u64().unwrap();
        (trace, number("steps"), number("steps_computed"))
    };
    let (cached, n, n_computed) = told("cached", "0.2");
    assert!(n == 29 && 2 < n_computed && n_computed < 20, "{n_computed}");
    assert_eq!(changed(&cached, |_| ()), Vec::<String>::new());
    let told_others = changed(&cached, |json| json["flow"]["cache_threshold"] = 0.into());
    assert!(told_others[0].starts_with("map 1 (depth): "));
    // A node that was asked for a cache and had turned it off.
    let (exact, n, n_computed) = told("exact", "0");
    assert_eq!(n, n_computed);
    let told = changed(&exact, |json| json["flow"]["cache_threshold"] = 0.2.into());
    assert_eq!(told, Vec::<String>::new());
}

#[test]
fn realtime_is_a_profile_of_fewer_steps() {
    let told = |flags: &[&str]| {
        let rest = ["--mode", "direct", "--json", "--model", MODEL];
        let output = cooper(&ask(&[&rest[..], flags].concat()));
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let flow = &json["flow"];
        let numbers = ["time_points", "cache_threshold", "guidance_text"];
        numbers.map(|key| flow[key].as_f64().unwrap())
    };
    assert_eq!(told(&[]), [50.0, 0.0, 4.0]);
    assert_eq!(told(&["--profile", "realtime"]), [10.0, 0.2, 4.0]);
    let both = ["--profile", "realtime", "--time-points", "20"];
    assert_eq!(told(&both), [20.0, 0.2, 4.0]);
}

/// Change a trace and replay it; the differences.
#[track_caller]
fn changed(trace: &Path, change: impl FnOnce(&mut Value)) -> Vec<String> {
    let mut json = json_of(trace);
    change(&mut json);
    std::fs::write(trace.join("trace.json"), json.to_string()).unwrap();
    let output = cooper(&["replay", trace.to_str().unwrap(), "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = report["differences"].as_array().unwrap().clone();
    assert_eq!(report["same"], told.is_empty());
    assert_eq!(output.status.code(), Some(i32::from(!told.is_empty())));
    told.iter()
        .map(|one| one.as_str().unwrap().into())
        .collect()
}

#[test]
fn a_replay_tells_the_first_difference() {
    let (_dir, trace) = traced(&["--mode", "perception", "--seed", "5"]);
    let told = changed(&trace, |json| json["seed"] = 6.into());
    assert!(
        told[0].starts_with("map 1 (depth): ") && told[0].contains("pixels differ"),
        "{told:?}"
    );
    let told = changed(&trace, |json| {
        json["seed"] = 5.into();
        json["turns"][0] = (json["turns"][0].as_str().unwrap().to_owned() + "!").into();
    });
    assert!(
        told[0].starts_with("turn 1, token 7: at character "),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);
    // A question that was stopped has only begun the same.
    let told = changed(&trace, |json| {
        json["status"] = "CANCELED".into();
        json["turns"] = Value::Array(Vec::new());
        json["tokens"] = Value::Array(Vec::new());
    });
    assert_eq!(told, Vec::<String>::new());
    let told = changed(&trace, |json| json["status"] = "ANSWERED".into());
    assert_eq!(told[0], "turn 1: expected the end before it");
    let none = ["replay", "tests/none"];
    check_refused(&none, 1, &["tests/none/trace.json", "No such file"]);
    std::fs::write(
        trace.join("picture_1.png"),
        std::fs::read("tests/fixtures/random-a/image_rgba.png").unwrap(),
    )
    .unwrap();
    let trace = trace.to_str().unwrap();
    check_refused(
        &["replay", trace],
        1,
        &["picture_1.png: expected pixels with the SHA-256", "got"],
    );
    std::fs::write(format!("{trace}/trace.json"), "{}").unwrap();
    check_refused(
        &["replay", trace],
        1,
        &["trace.json: expected a trace of format 1, got null"],
    );
}

#[test]
fn another_model_is_told() {
    let (_dir, trace) = traced(&["--mode", "direct"]);
    let model = folder();
    copy(Path::new(MODEL), model.path());
    let config = model.path().join("llm_config.json");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text + "\n").unwrap();
    let (trace, model) = (trace.to_str().unwrap(), model.path().to_str().unwrap());
    let output = cooper(&["replay", trace, "--model", model]);
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("not as recorded: model configs_sha256: expected "),
        "{}",
        stderr(&output)
    );
}

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
        "the same: 1 turns, 2 maps\n",
        "{}",
        stderr(&output)
    );
    let none = ["ask", IMAGE, "q", "--further", "none.png", "--model", MODEL];
    check_refused(&none, 1, &["none.png"]);
}

#[test]
fn depth_formats_agree() {
    let (_dir, png) = depth_file("depth.png", &[]);
    let DynamicImage::ImageLuma16(png) = image_of(&png) else {
        panic!("expected 16-bit grey");
    };
    let (_dir, npy) = depth_file("depth.npy", &[]);
    let bytes = std::fs::read(npy).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY\x01\x00"));
    let data = &bytes[bytes.len() - 4 * png.len()..];
    let floats = data
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let floats: Vec<f32> = floats.collect();
    let (_dir, exr) = depth_file("depth.exr", &[]);
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
    let (_dir, path) = depth_file("DEPTH.PNG", &["--format", "color"]);
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
fn wrong_usage_is_2() {
    let depth = ["depth", IMAGE, "-o"];
    let with = |rest: &[&'static str]| [&["ask", IMAGE, "q"], rest].concat();
    check_refused(&[], 2, &["Usage: cooper"]);
    check_refused(&["paint"], 2, &["unrecognized subcommand 'paint'"]);
    check_refused(&["ask", IMAGE], 2, &["QUESTION"]);
    check_refused(
        &[&depth[..], &["map.tiff"]].concat(),
        2,
        &["map.tiff", ".png, .npy or .exr"],
    );
    check_refused(&["segment", IMAGE, "-o", "map.npy"], 2, &["ending in .png"]);
    check_refused(
        &with(&["--time-points", "1"]),
        2,
        &["whole number from 2 up"],
    );
    check_refused(
        &with(&["--cache-threshold", "1.5"]),
        2,
        &["a number from 0 to 1"],
    );
    check_refused(&with(&["--profile", "fast"]), 2, &["paper or realtime"]);
    check_refused(&with(&["--top-p", "0"]), 2, &["above 0 and at most 1"]);
    check_refused(
        &with(&["--guidance-interval", "1,0"]),
        2,
        &["0 <= LO <= HI <= 1"],
    );
    check_refused(
        &with(&["--renorm", "none"]),
        2,
        &["expected global, channel or text_channel"],
    );
    check_refused(
        &with(&["--mode", "aloud"]),
        2,
        &["interleaved, text, perception, direct"],
    );
    check_refused(
        &with(&["--device", "tpu"]),
        2,
        &["expected auto, cpu, cuda:N"],
    );
}

#[test]
fn what_cannot_be_done_is_1_and_says_why() {
    let model = ["--model", MODEL];
    let of = |rest: &[&'static str]| [rest, &model].concat();
    check_refused(
        &of(&["ask", "none.png", "q"]),
        1,
        &["none.png", "No such file"],
    );
    check_refused(
        &of(&["ask", "Cargo.toml", "q"]),
        1,
        &["Cargo.toml", "expected a PNG or JPEG"],
    );
    check_refused(
        &of(&["ask", IMAGE, "  "]),
        1,
        &["question", "expected some text, got none"],
    );
    let out = ["depth", IMAGE, "-o", "none/map.png"];
    check_refused(
        &of(&out),
        1,
        &["none/map.png", "a folder that exists, got no such folder"],
    );
    let none = ["ask", IMAGE, "q", "--model", "models/none"];
    check_refused(&none, 1, &["models/none", "expected a model directory"]);
    let weights = ["ask", IMAGE, "q", "--weights", IMAGE];
    check_refused(
        &of(&weights),
        1,
        &[IMAGE, "not a safetensors file: expected"],
    );
    let vae = "tests/fixtures/random-a/checkpoint/ae.safetensors";
    let weights = ["ask", IMAGE, "q", "--weights", vae];
    check_refused(
        &of(&weights),
        1,
        &[vae, "153 missing tensors:", "176 unexpected tensors:"],
    );
}

#[test]
fn without_a_model_it_says_how_to_name_one() {
    let dir = folder();
    // A program and a folder with no checkout around them.
    let alone = tempfile::tempdir().unwrap();
    let program = alone.path().join("cooper");
    std::fs::copy(env!("CARGO_BIN_EXE_cooper"), &program).unwrap();
    let image = std::fs::canonicalize(IMAGE).unwrap();
    let output = Command::new(&program)
        .current_dir(alone.path())
        .args(["depth", image.to_str().unwrap(), "-o"])
        .arg(dir.path().join("map.png"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("--model DIR"),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("models/cooper-nano"),
        "{}",
        stderr(&output)
    );
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
