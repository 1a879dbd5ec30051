//! `cooper eval` on the fixture model: tables, files, messages and exit codes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cooper_train::evaluation::read_npy;
use serde_json::Value;

use crate::evaluation_support::{endpoint, folder, image, png, reply};

const MODEL: &str = "tests/fixtures/random-a/checkpoint";

fn cooper(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cooper"))
        .args(args)
        .output()
        .unwrap()
}

/// `cooper eval …` with the fixture model and few steps; expect success.
#[track_caller]
fn eval(args: &[&str]) -> String {
    let model = ["--model", MODEL];
    let output = cooper(&[&["eval"], args, &model].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{message}");
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn check_refused(args: &[&str], code: i32, parts: &[&str]) {
    let model = ["--model", MODEL];
    let output = cooper(&[&["eval"], args, &model].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn report(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("report.json")).unwrap()).unwrap()
}

const DRAW: [&str; 2] = ["--time-points", "2"];
const SMALL: [&str; 4] = ["--width", "64", "--height", "48"];

#[test]
fn eval_depth_measures_scenes_and_writes_everything() {
    let dir = folder();
    let out = dir.path().join("new/depth");
    let args = [
        "depth",
        "--scenes",
        "3",
        "--mean-scenes",
        "4",
        "--cases",
        "1",
        "--out",
    ];
    let rest = [out.to_str().unwrap(), "--seed", "5"];
    let text = eval(&[&args[..], &rest, &DRAW, &SMALL].concat());
    assert!(
        text.contains("| method | AbsRel | SqRel | RMSE |"),
        "{text}"
    );
    let report = report(&out);
    let methods = report["results"].as_object().unwrap();
    for method in [
        "model",
        "model_metric",
        "constant",
        "gradient",
        "plane",
        "mean_image",
        "mean_image_metric",
    ] {
        let delta1 = &methods[method]["delta1"];
        let [mean, low, high] = ["mean", "low", "high"].map(|k| delta1[k].as_f64().unwrap());
        assert!(
            0.0 <= low && low <= mean && mean <= high && high <= 1.0,
            "{delta1}"
        );
        assert_eq!(delta1["n"], 3);
    }
    let how = &report["how"];
    assert_eq!(how["settings"]["seed"], 5);
    assert_eq!(how["settings"]["flow"]["time_points"], 2);
    assert_eq!(how["protocol"]["range_m"][1], 10.0);
    assert_eq!(how["data"]["split"], "test");
    assert_eq!(how["n"]["measured"], 3);
    assert_eq!(
        how["model"]["weights"]["sha256"].as_str().unwrap().len(),
        64
    );
    assert!(how["date"].as_str().unwrap().ends_with('Z'));
    assert_eq!(how["command"][2], "depth");
    let case = image::open(out.join("cases/worst_1.png")).unwrap();
    assert_eq!((case.width(), case.height()), (4 * 64 + 3 * 4, 48));
    assert_eq!(std::fs::read_dir(out.join("cases")).unwrap().count(), 3);
    let rows = std::fs::read_to_string(out.join("rows.jsonl")).unwrap();
    assert_eq!(rows.lines().count(), 3);
    assert_eq!(
        std::fs::read_to_string(out.join("report.md")).unwrap(),
        text
    );
    // The same seed gives the same figures, on standard output too.
    let args = [
        "depth",
        "--scenes",
        "3",
        "--mean-scenes",
        "4",
        "--seed",
        "5",
        "--json",
    ];
    let again: Value = serde_json::from_str(&eval(&[&args[..], &DRAW, &SMALL].concat())).unwrap();
    assert_eq!(again["results"]["model"], report["results"]["model"]);
}

#[test]
fn eval_measures_what_cooper_scenes_wrote() {
    let dir = folder();
    let path = dir.path().to_str().unwrap();
    let written = cooper(&[&["scenes", path, "--n", "2"], &SMALL[..]].concat());
    assert!(written.status.success());
    let of = |args: &[&str]| -> Value {
        let results = eval(&[args, &["--json"], &DRAW].concat());
        serde_json::from_str(&results).unwrap()
    };
    let generated = of(&[
        &["depth", "--scenes", "2", "--mean-scenes", "1"],
        &SMALL[..],
    ]
    .concat());
    let table = dir.path().join("depth.jsonl");
    for data in [path, table.to_str().unwrap()] {
        let read = of(&["depth", "--data", data, "--range", "0", "10"]);
        for (key, of) in [
            ("model", "abs_rel"),
            ("plane", "rmse"),
            ("model_metric", "sq_rel"),
        ] {
            let [a, b] = [&read, &generated].map(|r| r["results"][key][of]["mean"].as_f64());
            // The files round depth to millimetres.
            assert!((a.unwrap() - b.unwrap()).abs() < 1e-3, "{key}: {a:?} {b:?}");
        }
    }
    let generated = of(&[&["segmentation", "--scenes", "2"], &SMALL[..]].concat());
    let read = of(&["segmentation", "--data", path]);
    let without_time = |report: &Value| {
        let mut results = report["results"].clone();
        results["seconds_per_picture"] = Value::Null;
        results
    };
    assert_eq!(without_time(&read), without_time(&generated));
}

#[test]
fn eval_segmentation_writes_tables_and_cases() {
    let dir = folder();
    let out = dir.path().to_str().unwrap();
    let args = [
        "segmentation",
        "--scenes",
        "2",
        "--cases",
        "1",
        "--out",
        out,
    ];
    let text = eval(&[&args[..], &DRAW, &SMALL].concat());
    for measure in ["IoU over objects", "boundary F", "region count error"] {
        assert!(text.contains(measure), "{text}");
    }
    let report = report(dir.path());
    let pixels = report["results"]["palette_pixels"]["mean"]
        .as_f64()
        .unwrap();
    assert!((0.0..=1.0).contains(&pixels));
    assert_eq!(
        std::fs::read_dir(dir.path().join("cases")).unwrap().count(),
        2
    );
}

#[test]
fn eval_qa_asks_every_mode_the_same_list() {
    let dir = folder();
    let out = dir.path().to_str().unwrap();
    let args = [
        "qa",
        "--scenes",
        "2",
        "--per-scene",
        "2",
        "--limit",
        "3",
        "--cases",
        "1",
    ];
    let rest = ["--max-new-tokens", "4", "--out", out];
    let text = eval(&[&args[..], &rest, &DRAW, &SMALL].concat());
    for part in [
        "Answers to 3 questions",
        "Score by kind",
        "Points ahead of direct",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let report = report(dir.path());
    let results = &report["results"];
    for mode in ["direct", "text", "perception", "interleaved"] {
        assert_eq!(results[mode]["all"]["score"]["n"], 3, "{mode}");
    }
    assert_eq!(results["perception"]["maps_per_question"], 2.0);
    assert_eq!(report["how"]["settings"]["sampling"]["max_new_tokens"], 4);
    let rows = std::fs::read_to_string(dir.path().join("rows.jsonl")).unwrap();
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    assert_eq!(rows[0]["name"], "scene 0 #1");
    assert_eq!(rows[2]["name"], "scene 1 #1");
    let words = std::fs::read_to_string(dir.path().join("cases/worst_1.txt")).unwrap();
    assert!(
        words.contains("truth: ") && words.contains("interleaved: "),
        "{words}"
    );
    assert!(dir.path().join("cases/worst_1.png").exists());
}

#[test]
fn eval_qa_reads_tables_leaves_out_broken_rows_and_asks_the_judge() {
    let dir = folder();
    std::fs::write(dir.path().join("a.png"), png(&image(1))).unwrap();
    let file = dir.path().join("qa.jsonl");
    let rows = "{\"image\": \"a.png\", \"question\": \"Which?\", \"answer\": \"A\", \"choices\": [\"x\", \"y\"]}\n\
                broken\n{\"image\": \"none.png\", \"question\": \"Q?\", \"answer\": \"3\"}\n";
    std::fs::write(&file, rows).unwrap();
    let (url, served) = endpoint(vec![reply("A")]);
    let data = file.to_str().unwrap();
    let args = [
        "qa",
        "--data",
        data,
        "--modes",
        "direct",
        "--max-new-tokens",
        "3",
        "--json",
    ];
    let judge = [
        "--judge",
        url.as_str(),
        "--judge-model",
        "reader",
        "--judge-tries",
        "1",
    ];
    let report: Value = serde_json::from_str(&eval(&[&args[..], &judge].concat())).unwrap();
    assert_eq!(report["results"]["direct"]["all"]["score"]["mean"], 1.0);
    assert_eq!(report["how"]["n"]["broken"], 2);
    assert_eq!(report["how"]["judge"]["model"], "reader");
    served.join().unwrap();
    // The judge is gone: rules read the answer, and the report says so.
    let report: Value = serde_json::from_str(&eval(&[&args[..], &judge].concat())).unwrap();
    assert_eq!(report["results"]["judge_failures"], 1);
}

#[test]
fn an_interrupt_keeps_what_there_is() {
    let dir = folder();
    let out = dir.path().to_str().unwrap();
    let args = [
        "eval",
        "depth",
        "--scenes",
        "2000",
        "--mean-scenes",
        "1",
        "--out",
        out,
    ];
    let mut running = Command::new(env!("CARGO_BIN_EXE_cooper"))
        .args([&args[..], &["--model", MODEL], &DRAW, &SMALL].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines();
    // The first news is of the hundredth image.
    let has_begun = |line: &std::io::Result<String>| line.as_ref().unwrap().contains(" of 2000, ");
    lines.find(has_begun).unwrap().unwrap();
    let pid = running.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let said: Vec<String> = lines.map(|line| line.unwrap()).collect();
    assert_eq!(running.wait().unwrap().code(), Some(1), "{said:?}");
    assert!(
        said.iter()
            .any(|line| line.starts_with("interrupted after ")),
        "{said:?}"
    );
    let report = report(dir.path());
    assert_eq!(report["how"]["interrupted"], true);
    assert!(report["results"]["model"]["delta1"]["n"].as_u64().unwrap() > 0);
    assert!(!dir.path().join("cases").exists());
}

#[test]
fn a_map_that_cooper_wrote_is_read_back() {
    let dir = folder();
    let path = dir.path().join("map.npy");
    let image = "tests/fixtures/random-a/image.png";
    let args = ["depth", image, "--model", MODEL, "--time-points", "2", "-o"];
    assert!(
        cooper(&[&args[..], &[path.to_str().unwrap()]].concat())
            .status
            .success()
    );
    let array = read_npy(&path).unwrap();
    let size = image::image_dimensions(image).unwrap();
    assert_eq!((array.width, array.height), size);
    assert!(array.values.iter().all(|v| (0.0..=1.0).contains(v)) && !array.is_integer);
}

#[test]
fn what_cannot_be_measured_is_refused_with_a_reason() {
    let dir = folder();
    let empty = dir.path().to_str().unwrap();
    check_refused(&["depth"], 2, &["--scenes"]);
    check_refused(
        &["depth", "--data", empty, "--scenes", "2"],
        2,
        &["cannot be used with"],
    );
    check_refused(
        &["qa", "--scenes", "1", "--modes", "loud"],
        2,
        &["direct, text, perception"],
    );
    check_refused(
        &["qa", "--scenes", "1", "--judge", "http://x"],
        2,
        &["--judge-model"],
    );
    let unset = [
        "--judge-model",
        "m",
        "--judge-key-env",
        "COOPER_NO_SUCH_KEY",
    ];
    let judge = ["qa", "--scenes", "1", "--judge", "http://x"];
    check_refused(&[&judge[..], &unset].concat(), 1, &["COOPER_NO_SUCH_KEY"]);
    check_refused(
        &["qa", "--scenes", "1", "--modes", "text,text"],
        1,
        &["got text twice"],
    );
    check_refused(
        &["depth", "--data", empty],
        1,
        &["expected samples, got none"],
    );
    check_refused(&["depth", "--data", "none.jsonl"], 1, &["none.jsonl"]);
    let range = ["depth", "--scenes", "1", "--range", "5", "1"];
    check_refused(&range, 1, &["--range", "0 <= LO < HI"]);
    std::fs::write(dir.path().join("a.png"), png(&image(1))).unwrap();
    check_refused(
        &["segmentation", "--data", empty],
        1,
        &["1 broken, first a: expected an image of ids"],
    );
}
