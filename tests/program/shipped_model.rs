//! The shipped model's directory: complete, small enough, told of in its card.

use std::path::Path;
use std::process::Command;

const DIR: &str = "models/cooper-nano";
const MAX_BYTES: u64 = 25_000_000;

fn size(path: &Path) -> u64 {
    let meta = path.metadata().unwrap();
    if meta.is_file() {
        return meta.len();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries.map(|entry| size(&entry.unwrap().path())).sum()
}

#[test]
fn it_fits_in_the_repository() {
    let bytes = size(Path::new(DIR));
    assert!(bytes <= MAX_BYTES, "{DIR} has {bytes} bytes");
}

#[test]
fn doctor_finds_nothing_missing() {
    let output = Command::new(env!("CARGO_BIN_EXE_cooper"))
        .args(["doctor", DIR])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}");
    for part in [
        "flow_config.json           present",
        "so probably cooper-nano, the small shipped model, which knows synthetic rooms only",
    ] {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
    assert!(!told.contains("cannot tell them apart"), "{told}");
}

#[test]
fn the_card_tells_what_users_must_know() {
    let card = std::fs::read_to_string(format!("{DIR}/README.md")).unwrap();
    for part in [
        "## Figures",
        "## How it was made",
        "## Limits",
        "licence",
        "cooper eval",
        "curves.png",
    ] {
        assert!(card.contains(part), "the card has no {part:?}");
    }
}

#[test]
fn it_is_the_default_of_the_command_line_and_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("depth.png");
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cooper"))
            .args(args)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        (output.stdout, told)
    };
    const REMARK: &str = "no --model: this is cooper-nano, the small shipped model, which knows synthetic rooms only";
    let image = "tests/fixtures/random-a/image.png";
    let depth = ["depth", image, "-o", map.to_str().unwrap()];
    let (_, told) = run(&depth);
    assert!(map.is_file() && told.contains(REMARK), "{told}");
    let (_, told) = run(&[&depth[..], &["--model", DIR]].concat());
    assert!(!told.contains("no --model"), "{told}");
    let (stdout, told) = run(&["ask", image, "What is near?", "--mode", "direct", "--json"]);
    serde_json::from_slice::<serde_json::Value>(&stdout).unwrap();
    assert!(told.contains(REMARK), "{told}");
}
