//! The node's parameters as types: what [`ParameterSet`] holds as checked values, ready to use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cooper_model::engine::{DeviceChoice, FlowParams, FlowProfile, ModelOptions};
use cooper_model::{Error, Result};

use super::choices::{Reliability, ScaleSource, Transport};
use super::parameter_set::ParameterSet;
use super::scale::scale_source;
use super::value::Value;
use crate::pipeline::Settings;
use crate::trace::Limits;

/// What is fixed at start.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Which model to load, and how.
    pub model: ModelOptions,
    /// Prompts in place of the model directory's.
    pub prompts_file: Option<PathBuf>,
    /// The cameras, the first of which is the one meant when none is named.
    pub cameras: Vec<CameraConfig>,
    /// Requests that may wait.
    pub queue_limit: usize,
}

/// One camera's topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CameraConfig {
    /// The beginning of its topics.
    pub name: String,
    /// Which image topic is read.
    pub transport: Transport,
    /// Whether lost frames are to be sent again: then publishers that don't offer it are not heard.
    pub reliable: bool,
    /// Whether its images are rectified.
    pub is_rectified: bool,
    /// Where its metres come from.
    pub scale_source: ScaleSource,
}

impl NodeConfig {
    /// Read what is fixed at start; an empty `model.dir` means `shipped_model`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names the parameter that cannot be used.
    pub fn read(parameters: &ParameterSet, shipped_model: Option<&Path>) -> Result<Self> {
        let cameras = parameters.texts("cameras")?;
        Ok(Self {
            model: ModelOptions {
                dir: model_dir(parameters.text("model.dir")?, shipped_model)?,
                weights: path(parameters.text("model.weights")?),
                device: device(parameters.text("model.device")?)?,
                dtype: parameters.choice("model.dtype")?,
                quantization: parameters.choice("model.quantization")?,
                ignores_memory: parameters.flag("model.ignore_memory")?,
            },
            prompts_file: path(parameters.text("model.prompts_file")?),
            cameras: cameras
                .into_iter()
                .map(|name| CameraConfig::read(parameters, name))
                .collect::<Result<_>>()?,
            queue_limit: parameters.count("limits.queue")?,
        })
    }
}

impl CameraConfig {
    fn read(parameters: &ParameterSet, name: String) -> Result<Self> {
        let leaf = |leaf: &str| format!("cameras.{name}.{leaf}");
        Ok(Self {
            is_rectified: parameters.flag(&leaf("rectified"))?,
            scale_source: scale_source(parameters, &name)?,
            transport: parameters.choice(&leaf("transport"))?,
            reliable: match parameters.choice(&leaf("reliability"))? {
                Reliability::Reliable => true,
                Reliability::BestEffort => false,
            },
            name,
        })
    }
}

/// Read how requests of this moment are carried out.
///
/// # Errors
/// [`Error::Internal`] if the parameters are not those that [`super::parameters()`] declares.
pub fn settings(parameters: &ParameterSet) -> Result<Settings> {
    Ok(Settings {
        flow: parameters.group("flow")?,
        sampling: parameters.group("generation")?,
        mode: parameters.choice("reasoning.mode")?,
        max_turns: parameters.count("reasoning.max_turns")?,
        seed: parameters.integer("seed")?,
    })
}

/// Read where traces go, and how many are kept.
///
/// # Errors
/// As [`settings`].
pub fn trace_limits(parameters: &ParameterSet) -> Result<Limits> {
    Ok(Limits {
        dir: path(parameters.text("trace.dir")?),
        max_queries: parameters.count("trace.max_queries")?,
        max_bytes: 1_000_000 * parameters.count("trace.max_megabytes")? as u64,
    })
}

/// The model's own values of `flow.*`, as the profile `profile` changes them, for whoever sets none.
///
/// # Errors
/// [`Error::Weights`] with what is wrong in the model's `flow_config.json`.
pub fn flow_of_model(dir: &Path, profile: FlowProfile) -> Result<Vec<(String, Value)>> {
    let flow = profile.of(FlowParams::of_model(dir)?);
    let values: BTreeMap<String, Value> = serde_json::to_value(flow)
        .and_then(serde_json::from_value)
        .map_err(|why| Error::Internal(format!("a model's flow parameters: {why}")))?;
    let values = values.into_iter();
    Ok(values
        .map(|(leaf, value)| (format!("flow.{leaf}"), value))
        .collect())
}

/// The model that the package ships, if this package is installed where AMENT_PREFIX_PATH points to and has one.
pub fn shipped_model(ament_prefix_path: &str) -> Option<PathBuf> {
    let prefixes = ament_prefix_path
        .split(':')
        .filter(|prefix| !prefix.is_empty());
    prefixes
        .map(|prefix| Path::new(prefix).join("share/cooper_perception/models/cooper-nano"))
        .find(|dir| dir.is_dir())
}

fn model_dir(given: &str, shipped_model: Option<&Path>) -> Result<PathBuf> {
    match (path(given), shipped_model) {
        (Some(dir), _) => Ok(dir),
        (None, Some(shipped)) => Ok(shipped.into()),
        (None, None) => Err(Error::invalid(
            "parameter model.dir",
            "expected a model directory, got none, and this installation ships no model (share/cooper_perception/models/cooper-nano)",
        )),
    }
}

fn device(text: &str) -> Result<DeviceChoice> {
    text.parse()
        .map_err(|why: String| Error::invalid("parameter model.device", why))
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use cooper_model::engine::{Quantization, SamplingParams};
    use cooper_model::reasoning::Mode;

    use super::*;

    fn set(pairs: &[(&str, Value)]) -> ParameterSet {
        let overrides: BTreeMap<_, _> = pairs
            .iter()
            .cloned()
            .map(|(name, value)| (name.into(), value))
            .collect();
        ParameterSet::at_start(&overrides).unwrap().0
    }

    #[test]
    fn defaults_are_the_settings_defaults() {
        let settings = settings(&set(&[])).unwrap();
        assert_eq!(
            format!("{:?}", settings.flow),
            format!("{:?}", FlowParams::default())
        );
        assert_eq!(
            format!("{:?}", settings.sampling),
            format!("{:?}", SamplingParams::default())
        );
        assert_eq!((settings.mode, settings.max_turns), (Mode::Interleaved, 3));
    }

    #[test]
    fn without_a_model_the_message_says_what_to_do() {
        let error = NodeConfig::read(&set(&[]), None).unwrap_err().to_string();
        assert!(
            error.contains("model.dir: expected a model directory, got none"),
            "{error}"
        );
        let config = NodeConfig::read(&set(&[]), Some(Path::new("/shipped"))).unwrap();
        assert_eq!(config.model.dir, Path::new("/shipped"));
    }

    #[test]
    fn quantisation_is_read() {
        let q8_0 = set(&[("model.quantization", Value::Text("q8_0".into()))]);
        let config = NodeConfig::read(&q8_0, Some(Path::new("/shipped"))).unwrap();
        assert_eq!(config.model.quantization, Quantization::Q8_0);
    }
}
