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
fn it_is_the_default_of_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let map = dir.path().join("depth.png");
    let output = Command::new(env!("CARGO_BIN_EXE_cooper"))
        .args(["depth", "tests/fixtures/random-a/image.png", "-o"])
        .arg(&map)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && map.is_file(), "{told}");
}
