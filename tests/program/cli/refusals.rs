//! Wrong usage, and what cannot be done.

use super::*;

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
