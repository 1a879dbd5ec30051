//! A run's configuration beside its checkpoints, so that a run with other settings is refused with the one that differs.

use std::collections::BTreeSet;
use std::path::Path;

use cooper_model::{Error, Result};
use serde::Serialize;
use serde_json::Value;

/// The file's name in a checkpoint.
pub const FILE: &str = "training_config.json";

/// Settings that may change between parts of a run: a step's result does not depend on them.
/// (With another number of steps, a learning rate that decays does so elsewhere.)
const MAY_CHANGE: [&str; 6] = [
    "run.out",
    "run.steps",
    "run.threads",
    "run.log_every",
    "run.save_every",
    "run.keep",
];

/// The longest value that an error repeats, characters.
const LONGEST: usize = 120;

/// A stage's configuration as JSON, with numbers as they come back from a file.
///
/// # Errors
/// [`Error::Internal`] if it cannot be written as JSON.
pub fn settings_of(config: &impl Serialize) -> Result<Value> {
    let internal = |e: serde_json::Error| Error::Internal(format!("a configuration: {e}"));
    let text = serde_json::to_string(config).map_err(internal)?;
    serde_json::from_str(&text).map_err(internal)
}

/// Put the settings into a checkpoint's folder.
///
/// # Errors
/// [`Error::Io`] if the disk does not take it.
pub fn write(folder: &Path, settings: &Value) -> Result<()> {
    let file = folder.join(FILE);
    std::fs::write(&file, format!("{settings:#}\n")).map_err(|e| Error::io(&file, e))
}

/// Compare the settings with a checkpoint's. A checkpoint without the file continues with any settings.
///
/// # Errors
/// [`Error::Config`] with the first setting that differs.
pub fn check(folder: &Path, now: &Value) -> Result<()> {
    let file = folder.join(FILE);
    if !file.exists() {
        return Ok(());
    }
    let refuse = |why: String| Error::Config {
        path: file.clone(),
        why,
    };
    let text = std::fs::read_to_string(&file).map_err(|e| Error::io(&file, e))?;
    let started: Value = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
    match difference("", Some(&started), Some(now)) {
        None => Ok(()),
        Some((key, [started, now])) => Err(refuse(format!(
            "the run was started with another `{key}`: expected {started}, got {now}; choose another `run.out` to start anew"
        ))),
    }
}

/// The first key whose values differ, and these.
fn difference(
    key: &str,
    started: Option<&Value>,
    now: Option<&Value>,
) -> Option<(String, [String; 2])> {
    // A setting that may be left out is null where it is.
    let [started, now] = [started, now].map(|value| value.filter(|value| !value.is_null()));
    match (started, now) {
        _ if MAY_CHANGE.contains(&key) || started == now => None,
        (Some(Value::Object(started)), Some(Value::Object(now))) => {
            let names: BTreeSet<&String> = started.keys().chain(now.keys()).collect();
            names.into_iter().find_map(|name| {
                let key = if key.is_empty() {
                    name.clone()
                } else {
                    format!("{key}.{name}")
                };
                difference(&key, started.get(name), now.get(name))
            })
        }
        (Some(Value::Array(started)), Some(Value::Array(now))) if started.len() == now.len() => {
            let mut pairs = started.iter().zip(now).enumerate();
            pairs.find_map(|(i, (a, b))| difference(&format!("{key}[{i}]"), Some(a), Some(b)))
        }
        _ => Some((key.into(), [started, now].map(shown))),
    }
}

fn shown(value: Option<&Value>) -> String {
    let whole = value.map_or("nothing".into(), Value::to_string);
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    whole.chars().take(LONGEST).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_difference(started: Value, now: Value, expected: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path(), &now).is_ok(), "nothing to compare with");
        write(dir.path(), &started).unwrap();
        let error = check(dir.path(), &now).err().map(|e| e.to_string());
        match expected {
            None => assert_eq!(error, None),
            Some(part) => assert!(error.as_ref().unwrap().contains(part), "{error:?}"),
        }
    }

    #[test]
    fn the_key_that_differs_is_named_with_both_values() {
        let run = |seed: u64, steps: u64| json!({"run": {"seed": seed, "steps": steps}});
        check_difference(run(1, 10), run(1, 20), None);
        check_difference(
            run(1, 10),
            run(2, 20),
            Some("another `run.seed`: expected 1, got 2"),
        );
        let data = |weights: &[f64]| json!({"data": weights});
        check_difference(data(&[0.1, 0.5]), data(&[0.1, 0.5]), None);
        check_difference(
            data(&[0.1]),
            data(&[0.2]),
            Some("`data[0]`: expected 0.1, got 0.2"),
        );
        check_difference(
            data(&[0.1]),
            data(&[0.1, 0.2]),
            Some("`data`: expected [0.1], got [0.1,0.2]"),
        );
        check_difference(json!({"size": null}), json!({}), None);
        check_difference(
            json!({}),
            json!({"samples": 2}),
            Some("`samples`: expected nothing, got 2"),
        );
    }

    #[test]
    fn numbers_are_the_same_after_a_file() {
        let config = json!({"lr": 0.1 + 0.2, "range": f64::from(0.1f32), "ratio": 1.0 / 3.0});
        check_difference(
            settings_of(&config).unwrap(),
            settings_of(&config).unwrap(),
            None,
        );
    }
}
