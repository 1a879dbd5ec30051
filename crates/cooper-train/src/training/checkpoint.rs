//! Checkpoints: model directories with what is needed to continue.
//!
//! `OUT/step-000500/` has the averaged weights and all other files of the model directory that the run started from,
//! so it loads like a released model; beside them `training_state.safetensors` with the weights as they are, both
//! moments and the average, in f32, and `training_config.json` with the settings that made them.
//! A folder appears under its name only when it is complete.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use cooper_imaging::NewFolder;
use cooper_model::engine::WEIGHTS_NAMES;
use cooper_model::{Error, Result};
use serde_json::Value;

use super::optimizer::Optimizer;
use super::parameters::Parameters;
use super::run_config::RunConfig;
use super::settings;
use super::stage::Layout;

const STATE: &str = "training_state.safetensors";

/// What a checkpoint keeps.
pub struct State<'a> {
    /// The stage's whole configuration.
    pub settings: &'a Value,
    /// The weights.
    pub parameters: &'a Parameters,
    /// Moments and averages.
    pub optimizer: &'a Optimizer,
}

/// The folder of a step's checkpoint.
pub fn folder(config: &RunConfig, step: usize) -> PathBuf {
    config.out.join(format!("step-{step:06}"))
}

/// The newest checkpoint's step and folder.
pub fn newest(out: &Path) -> Option<(usize, PathBuf)> {
    all(out).pop()
}

fn all(out: &Path) -> Vec<(usize, PathBuf)> {
    let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
    let mut found: Vec<(usize, PathBuf)> = entries
        .filter_map(|entry| {
            let step = entry
                .file_name()
                .to_str()?
                .strip_prefix("step-")?
                .parse()
                .ok()?;
            entry
                .path()
                .join(STATE)
                .exists()
                .then(|| (step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Load the newest checkpoint's state; returns the step to continue with, 0 without a checkpoint.
///
/// # Errors
/// [`Error::Config`] if the run was started with other settings; [`Error::Weights`] if the checkpoint cannot be read or
/// is of another model.
pub fn resume(
    config: &RunConfig,
    settings: &Value,
    parameters: &Parameters,
    optimizer: &mut Optimizer,
) -> Result<usize> {
    let Some((step, folder)) = newest(&config.out) else {
        return Ok(0);
    };
    settings::check(&folder, settings)?;
    let file = folder.join(STATE);
    let refuse = |why: String| Error::weights(&file, why);
    let mut state =
        candle_core::safetensors::load(&file, &Device::Cpu).map_err(|e| refuse(e.to_string()))?;
    let mut take = |key: String| {
        let missing = || {
            refuse(format!(
                "expected `{key}`, got none: the run was started with other settings"
            ))
        };
        state.remove(&key).ok_or_else(missing)
    };
    for (name, var) in parameters.trained() {
        let weights = take(format!("weight.{name}"))?;
        if weights.shape() != var.shape() {
            let (expected, got) = (var.shape(), weights.shape());
            return Err(refuse(format!(
                "{name}: expected {expected:?}, got {got:?}"
            )));
        }
        var.set(&weights)?;
        let Some(moments) = optimizer.moments.get_mut(name) else {
            continue;
        };
        moments.first = take(format!("first.{name}"))?.to_vec1()?;
        moments.second = take(format!("second.{name}"))?.to_vec1()?;
        moments.average = take(format!("average.{name}"))?.to_vec1()?;
    }
    if let Some(key) = state.keys().find(|key| key.starts_with("weight.")) {
        return Err(refuse(format!(
            "expected trained weights only, got `{key}`, which is frozen now"
        )));
    }
    Ok(step)
}

/// Save everything after `step` steps, and drop the oldest checkpoints.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; older checkpoints stay.
pub fn save(config: &RunConfig, layout: &Layout, state: &State, step: usize) -> Result<PathBuf> {
    let to = folder(config, step);
    let new = NewFolder::create(&to)?;
    copy_model_files(&config.init, new.path(), layout.weights)?;
    settings::write(new.path(), state.settings)?;
    save_averages(config, layout, state, new.path())?;
    save_state(state, &new.path().join(STATE))?;
    new.commit()?;
    let mut folders = all(&config.out);
    folders.truncate(folders.len().saturating_sub(config.keep));
    for (_, folder) in folders {
        std::fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    }
    Ok(to)
}

/// Copy a model directory without the trained weights, under whichever name, and without another run's state.
fn copy_model_files(from: &Path, to: &Path, weights: &str) -> Result<()> {
    let names: &[&str] = if WEIGHTS_NAMES.contains(&weights) {
        &WEIGHTS_NAMES
    } else {
        &[weights]
    };
    let ours = [STATE, settings::FILE];
    let left_out = |name: &str| names.contains(&name) || ours.contains(&name);
    for entry in std::fs::read_dir(from).map_err(|e| Error::io(from, e))? {
        let entry = entry.map_err(|e| Error::io(from, e))?;
        let name = entry.file_name();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_file && !name.to_str().is_some_and(left_out) {
            std::fs::copy(entry.path(), to.join(&name)).map_err(|e| Error::io(entry.path(), e))?;
        }
    }
    Ok(())
}

fn save_averages(config: &RunConfig, layout: &Layout, state: &State, folder: &Path) -> Result<()> {
    let left_out = |name: &str| {
        layout
            .left_out
            .is_some_and(|prefix| name.starts_with(prefix))
    };
    let dtype = if config.bf16 { DType::BF16 } else { DType::F32 };
    let mut tensors = HashMap::new();
    for (name, var) in state.parameters.all().filter(|(name, _)| !left_out(name)) {
        let tensor = match state.optimizer.moments.get(name) {
            Some(moments) => Tensor::from_slice(&moments.average, var.shape(), &Device::Cpu)?,
            None => var.as_detached_tensor(),
        };
        tensors.insert(name.clone(), tensor.to_dtype(dtype)?);
    }
    write_tensors(&tensors, &folder.join(layout.weights))
}

fn save_state(state: &State, file: &Path) -> Result<()> {
    let mut tensors = HashMap::new();
    for (name, var) in state.parameters.trained() {
        tensors.insert(format!("weight.{name}"), var.as_detached_tensor());
        let Some(moments) = state.optimizer.moments.get(name) else {
            continue;
        };
        for (kind, numbers) in [
            ("first", &moments.first),
            ("second", &moments.second),
            ("average", &moments.average),
        ] {
            let tensor = Tensor::from_slice(numbers, numbers.len(), &Device::Cpu)?;
            tensors.insert(format!("{kind}.{name}"), tensor);
        }
    }
    write_tensors(&tensors, file)
}

fn write_tensors(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<()> {
    let failed = |e| Error::io(path, std::io::Error::other(e));
    candle_core::safetensors::save(tensors, path).map_err(failed)
}
