//! What has to be known to measure again: command, model, settings, data, date.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cooper_model::engine::ModelOptions;
use cooper_model::{Error, Result};
use cooper_perception::pipeline::{ModelInfo, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::model::ModelArgs;

/// Larger files are described by their size alone: reading them takes minutes.
const MAX_HASHED: u64 = 4 << 30;
/// The autoencoder's file in a model directory.
const VAE_FILE: &str = "ae.safetensors";

/// Everything but the data and what only one task has, which the tasks add.
pub(super) fn record(model: &ModelArgs, info: &ModelInfo, settings: &Settings) -> Result<Value> {
    let options = model.options()?;
    Ok(json!({
        "command": std::env::args().collect::<Vec<_>>(),
        "version": env!("CARGO_PKG_VERSION"),
        "date": date(SystemTime::now()),
        "model": describe_model(&options, info)?,
        "settings": {"seed": settings.seed, "flow": settings.flow},
    }))
}

fn describe_model(options: &ModelOptions, info: &ModelInfo) -> Result<Value> {
    Ok(json!({
        "dir": options.dir,
        "device": info.device,
        "dtype": info.dtype,
        "weights": describe_file(&options.weights_file()?)?,
        "autoencoder": describe_file(&options.dir.join(VAE_FILE))?,
    }))
}

fn describe_file(path: &Path) -> Result<Value> {
    let n_bytes = std::fs::metadata(path)
        .map_err(|e| Error::io(path, e))?
        .len();
    let sha256 = (n_bytes <= MAX_HASHED).then(|| sha256(path)).transpose()?;
    Ok(json!({"file": path, "bytes": n_bytes, "sha256": sha256}))
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(|e| Error::io(path, e))? {
            0 => break,
            n => digest.update(&buffer[..n]),
        }
    }
    let bytes = digest.finalize();
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// `2026-11-22T20:13:46Z`
fn date(time: SystemTime) -> String {
    // A clock before 1970 has no useful date.
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_378_426, "2026-11-22T20:13:46Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn a_files_digest_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "abc").unwrap();
        let described = describe_file(&path).unwrap();
        assert_eq!(described["bytes"], 3);
        let sha256 = described["sha256"].as_str().unwrap();
        assert!(sha256.starts_with("ba7816bf8f01cfea"), "{sha256}");
    }
}
