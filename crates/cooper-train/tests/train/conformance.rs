//! The whole implementation against the reference's values.

use cooper_model::engine::{DtypeChoice, Quantization};
use cooper_train::conformance::{Check, Verdict, run};

use crate::common;

fn checks(dtype: DtypeChoice, quantization: Quantization) -> Vec<Check> {
    let mut checks = Vec::new();
    run(&common::fixture(""), dtype, quantization, &mut |check| {
        checks.push(check.clone())
    })
    .unwrap();
    checks
}

#[test]
fn every_group_agrees_in_f32() {
    let checks = checks(DtypeChoice::F32, Quantization::None);
    let wrong: Vec<_> = checks
        .iter()
        .filter(|c| c.verdict != Verdict::Passed)
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        checks.len() >= 360,
        "only {} checks were made",
        checks.len()
    );
}

#[test]
fn bf16_runs_and_reports_its_errors() {
    let checks = checks(DtypeChoice::Bf16, Quantization::None);
    let failed: Vec<_> = checks
        .iter()
        .filter(|c| c.verdict == Verdict::Failed)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let logits = checks
        .iter()
        .find(|c| c.group == "ctx.text.next_logits")
        .unwrap();
    let error = logits.error.unwrap();
    assert!(error > 1e-4, "bf16 cannot be this exact: {error}");
}

#[test]
fn q8_0_draws_the_same_and_chooses_the_same_words() {
    let checks = checks(DtypeChoice::F32, Quantization::Q8_0);
    let failed: Vec<_> = checks
        .iter()
        .filter(|c| c.verdict == Verdict::Failed)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let directions = checks.iter().filter(|c| c.group.ends_with(".direction"));
    assert!(directions.count() >= 3);
    let greedy = checks.iter().find(|c| c.group == "greedy.ids").unwrap();
    assert_eq!(greedy.error, Some(0.0), "{}", greedy.note);
}

#[test]
fn a_wrong_value_fails() {
    // The same directory with one byte of one image changed must not pass.
    let dir = tempfile::tempdir().unwrap();
    copy(&common::fixture(""), dir.path());
    let file = dir.path().join("expected.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
    let start = header["pre.vae_resized_u8"]["data_offsets"][0]
        .as_u64()
        .unwrap() as usize;
    bytes[8 + header_len + start] ^= 0x40;
    std::fs::write(&file, bytes).unwrap();
    let mut failed = Vec::new();
    run(
        dir.path(),
        DtypeChoice::F32,
        Quantization::None,
        &mut |check| {
            if check.verdict == Verdict::Failed {
                failed.push(check.group.clone());
            }
        },
    )
    .unwrap();
    assert_eq!(failed, ["pre.vae_resized_u8"]);
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
