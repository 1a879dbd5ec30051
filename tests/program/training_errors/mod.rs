//! What `cooper train` refuses: one clear error, exit code 1, and nothing that exists is touched.

mod rows;

use std::path::Path;

use candle_core::Device;
use serde_json::{Value, json};

use crate::common::fixture;
use crate::training_support as training;
use crate::training_support::{
    all_rows, command, conversation, files, folder, short_run, stderr, train,
};

/// The run fails with one line that has all `parts`, and leaves the folder's checkpoints as they are.
#[track_caller]
fn check_refused(stage: &str, config: &Value, parts: &[&str]) {
    let out = Path::new(config["run"]["out"].as_str().unwrap_or_default());
    let before = out.is_dir().then(|| files(out, &["train.jsonl"]));
    let output = command(stage, config).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{parts:?}: {told}");
    assert!(output.stdout.is_empty());
    let errors: Vec<&str> = told.lines().filter(|line| !is_progress(line)).collect();
    assert!(
        errors.len() == 1 && errors[0].starts_with("cooper: "),
        "{told}"
    );
    for part in parts {
        assert!(errors[0].contains(part), "{part:?} is not in: {told}");
    }
    if let Some(before) = before {
        assert!(
            files(out, &["train.jsonl"]) == before,
            "{parts:?}: files have changed"
        );
    }
}

fn is_progress(line: &str) -> bool {
    line.starts_with("training ") || line.starts_with('{')
}

/// A configuration with one value replaced.
fn with(config: &Value, pointer: &str, value: Value) -> Value {
    let mut changed = config.clone();
    match changed.pointer_mut(pointer) {
        Some(place) => *place = value,
        None => {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[key] = value;
        }
    }
    changed
}

#[test]
fn configurations_that_cannot_be() {
    let dir = folder();
    let config = short_run(dir.path(), "out");
    for (pointer, value, parts) in [
        (
            "/smaples",
            json!(2),
            &["out.yaml", "unknown field `smaples`"][..],
        ),
        ("/run/sede", json!(2), &["run", "unknown field `sede`"]),
        ("/run/optimizer/beta", json!(2), &["unknown field `beta`"]),
        ("/data/0/jsonl/fliip", json!(0), &["unknown field `fliip`"]),
        ("/data/0/rows", json!({}), &["unknown field `rows`"]),
        (
            "/data/0/jsonl/rows",
            json!("normal"),
            &["unknown variant `normal`", "depth"],
        ),
        ("/samples", json!("two"), &["samples", "two"]),
        (
            "/samples",
            json!(0),
            &["samples: expected at least 1, got 0"],
        ),
        (
            "/run/steps",
            json!(0),
            &["steps: expected at least 1, got 0"],
        ),
        (
            "/run/micro_batches",
            json!(0),
            &["micro_batches: expected at least 1"],
        ),
        (
            "/run/optimizer/lr",
            json!(-1),
            &["optimizer.lr: expected a number above 0, got -1"],
        ),
        (
            "/run/optimizer/ema",
            json!(1),
            &["optimizer.ema: expected 0 <= ema < 1, got 1"],
        ),
        (
            "/run/schedule/hold",
            json!(2),
            &["schedule.hold: expected a share", "got 2"],
        ),
        (
            "/run/init",
            json!("/nowhere"),
            &["init: expected a model directory", "/nowhere"],
        ),
        ("/run/init", json!(dir.path()), &["llm_config.json"]),
        (
            "/run/freeze",
            json!(["vit_modle.*"]),
            &["freeze: expected names of weights, got `vit_modle.*`"],
        ),
        (
            "/run/freeze",
            json!(["*"]),
            &["freeze: expected a weight left to train, got none"],
        ),
        (
            "/ce_weight",
            json!(-1),
            &["ce_weight: expected a weight from 0, got -1"],
        ),
        (
            "/timestep_shift",
            json!(0),
            &["timestep_shift: expected a number above 0, got 0"],
        ),
        (
            "/dropout/vit",
            json!(1.5),
            &["dropout.vit: expected a chance", "got 1.5"],
        ),
        (
            "/data",
            json!([]),
            &["data: expected sources with weights", "got []"],
        ),
        (
            "/data",
            json!([{}]),
            &["expected `scenes`, `dense` or `jsonl`, got none"],
        ),
        (
            "/data/0/weight",
            json!(-1),
            &["data: expected sources with weights", "-1"],
        ),
        (
            "/data/0/scenes",
            json!({"draw": 1}),
            &["expected `scenes`, `dense` or `jsonl`, got more than one"],
        ),
    ] {
        check_refused("sft", &with(&config, pointer, value), parts);
    }
    let rows = all_rows(dir.path()).map(|source| with(&source, "/weight", json!(0)));
    check_refused(
        "amg",
        &with(&config, "/data", json!(rows)),
        &["data: expected sources", "0.0"],
    );
    // What JSON cannot say.
    let mut again = command("sft", &config);
    let file = dir.path().join("out.yaml");
    let nan = config.to_string().replacen('{', "{\"ce_weight\": .nan,", 1);
    std::fs::write(&file, nan).unwrap();
    let told = stderr(&again.output().unwrap());
    assert!(
        told.contains("ce_weight: expected a weight from 0, got NaN"),
        "{told}"
    );
    std::fs::remove_file(&file).unwrap();
    let output = again.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("out.yaml: No such file"),
        "{}",
        stderr(&output)
    );
    assert!(!dir.path().join("out").exists(), "nothing was begun");
}

#[test]
fn scenes_and_sizes_that_cannot_be() {
    let dir = folder();
    let run = short_run(dir.path(), "out")["run"].clone();
    let scenes = json!({"width": 64, "height": 48});
    let drawn = |scenes: Value| json!({"run": run, "data": [{"scenes": scenes}]});
    check_refused(
        "amg",
        &drawn(json!({})),
        &["scenes", "a task with a weight above 0"],
    );
    let wide = json!({"scenes": {"width": 100, "height": 48}, "draw": 1});
    check_refused(
        "amg",
        &drawn(wide),
        &["width, height", "got 100x48, which would become 64x32"],
    );
    let still = json!({"scenes": {"attempts": 0}, "draw": 1});
    check_refused("amg", &drawn(still), &["attempts: expected at least 1"]);
    let flat = json!({"scenes": scenes, "draw": 1, "depth_range_m": [3, 3]});
    check_refused(
        "amg",
        &drawn(flat),
        &["depth_range_m: expected 0 <= near < far, got [3, 3]"],
    );
    let negative = json!({"scenes": scenes, "draw": 1, "text": -0.5});
    check_refused(
        "amg",
        &drawn(negative),
        &["scenes: text: expected a weight from 0, got -0.5"],
    );

    let range = json!([0, 10]);
    let vit = json!({"run": run, "data": {"sources": [{"scenes": scenes}]}, "samples": 1, "depth_range_m": range});
    check_refused(
        "vit",
        &vit,
        &["width, height: expected multiples of 14", "got 64x48"],
    );
    check_refused(
        "vit",
        &with(&vit, "/samples", json!(0)),
        &["samples: expected at least 1"],
    );
    let mut vae = with(&vit, "/crop", json!([64, 64]));
    vae["run"]["freeze"] = json!([]);
    check_refused(
        "vae",
        &vae,
        &["crop: expected at most the images' [48, 64], got [64, 64]"],
    );
    check_refused(
        "vae",
        &with(&vae, "/crop", json!([20, 64])),
        &["multiples of 8", "[20, 64]"],
    );
}

/// A model directory whose file holds something else.
fn broken_model(dir: &Path, file: &str, change: impl Fn(&Path)) -> Value {
    std::fs::create_dir_all(dir).unwrap();
    for entry in std::fs::read_dir(fixture("checkpoint")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
    }
    change(&dir.join(file));
    json!(dir)
}

/// Put NaN into a tensor of a file.
fn spoil(file: &Path, name: &str) {
    let mut tensors = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let tensor = &tensors[name];
    let nan = (tensor.zeros_like().unwrap() / 0.0).unwrap();
    tensors.insert(name.into(), nan);
    candle_core::safetensors::save(&tensors, file).unwrap();
}

#[test]
fn weights_that_cannot_be() {
    let dir = folder();
    let config = short_run(dir.path(), "out");
    let refused = |init: Value, parts: &[&str]| {
        check_refused("sft", &with(&config, "/run/init", init), parts);
    };
    let name = "language_model.model.norm.weight";
    let nan = broken_model(&dir.path().join("nan"), "ema.safetensors", |file| {
        spoil(file, name)
    });
    refused(
        nan,
        &[
            "nan/ema.safetensors",
            name,
            "expected finite numbers, got NaN",
        ],
    );
    let name = "decoder.conv_in.bias";
    let nan = broken_model(&dir.path().join("vae"), "ae.safetensors", |file| {
        spoil(file, name)
    });
    refused(
        nan,
        &[
            "vae/ae.safetensors",
            name,
            "expected finite numbers, got NaN",
        ],
    );
    let cut = broken_model(&dir.path().join("cut"), "ema.safetensors", |file| {
        std::fs::write(file, &std::fs::read(file).unwrap()[..1000]).unwrap();
    });
    refused(cut, &["cut/ema.safetensors", "truncated"]);
    let missing = broken_model(&dir.path().join("gone"), "ae.safetensors", |file| {
        std::fs::remove_file(file).unwrap();
    });
    refused(missing, &["gone/ae.safetensors", "No such file"]);
}

#[test]
fn a_loss_that_is_no_number_leaves_the_last_checkpoint() {
    let dir = folder();
    let mut config = short_run(dir.path(), "out");
    config["run"]["optimizer"]["lr"] = json!(1e35);
    config["run"]["save_every"] = json!(1);
    let output = command("sft", &config).output().unwrap();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("expected finite numbers, got ")
            && told.contains("; the last checkpoint stays"),
        "{told}"
    );
    assert!(
        dir.path()
            .join("out/step-000001/training_state.safetensors")
            .exists()
    );
    check_refused(
        "sft",
        &config,
        &["training: step 1: expected finite numbers, got "],
    );
}

#[test]
fn a_run_does_not_go_on_with_other_settings() {
    let dir = folder();
    let mut config = short_run(dir.path(), "out");
    config["run"]["steps"] = json!(2);
    let last = train("sft", &config);
    let more = with(&config, "/run/steps", json!(5));
    let row = "/data/0/jsonl/flip";
    for (pointer, value, told) in [
        (
            "/run/seed",
            json!(4),
            "another `run.seed`: expected 3, got 4",
        ),
        (
            "/run/micro_batches",
            json!(1),
            "another `run.micro_batches`: expected 2, got 1",
        ),
        ("/samples", json!(1), "another `samples`: expected 2, got 1"),
        (
            "/run/optimizer/lr",
            json!(0.1),
            "another `run.optimizer.lr`: expected 0.001, got 0.1",
        ),
        ("/run/freeze", json!([]), "another `run.freeze`"),
        (
            row,
            json!(0.0),
            "another `data[0].jsonl.flip`: expected 0.5, got 0",
        ),
        ("/data", json!([all_rows(dir.path())[1]]), "another `data`"),
    ] {
        check_refused(
            "sft",
            &with(&more, pointer, value),
            &["training_config.json", told],
        );
    }
    // These may change, and a finished run is simply done.
    let free = [
        ("threads", 2),
        ("log_every", 2),
        ("save_every", 2),
        ("keep", 1),
        ("steps", 2),
    ];
    let changed = free.into_iter().fold(more.clone(), |config, (key, value)| {
        with(&config, &format!("/run/{key}"), json!(value))
    });
    assert!(train("sft", &changed).is_dir());
    // A state that is cut off is told, and kept for whoever wants to look at it.
    let state = last.join("training_state.safetensors");
    std::fs::write(&state, &std::fs::read(&state).unwrap()[..5000]).unwrap();
    check_refused("sft", &more, &["training_state.safetensors"]);
    // A file where the folder should be.
    std::fs::write(dir.path().join("file"), "").unwrap();
    let blocked = with(&more, "/run/out", json!(dir.path().join("file")));
    check_refused("sft", &blocked, &["file", "exists"]);
}
