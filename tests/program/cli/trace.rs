//! Traces that `cooper ask` writes, and `cooper replay`.

use super::*;

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
