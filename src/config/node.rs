//! The node's parameters as types: what [`ParameterSet`] holds as checked values, ready to use.

use std::path::{Path, PathBuf};

use cooper_model::engine::{FlowParams, FlowProfile, ModelOptions, SamplingParams};
use cooper_model::flow::Renorm;
use cooper_model::reasoning::Mode;
use cooper_model::{Error, Result};

use super::parameter_set::ParameterSet;
use super::scale::ScaleSource;
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

/// How a camera's images travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain pixels.
    Raw,
    /// JPEG or PNG.
    Compressed,
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
                device: choice(parameters, "model.device")?,
                dtype: choice(parameters, "model.dtype")?,
                quantization: choice(parameters, "model.quantization")?,
                ignores_memory: parameters.flag("model.ignore_memory")?,
            },
            prompts_file: path(parameters.text("model.prompts_file")?),
            cameras: cameras
                .into_iter()
                .map(|name| CameraConfig::read(parameters, name))
                .collect::<Result<_>>()?,
            queue_limit: count(parameters, "limits.queue")?,
        })
    }
}

impl CameraConfig {
    fn read(parameters: &ParameterSet, name: String) -> Result<Self> {
        let of = |leaf: &str| parameters.text(&format!("cameras.{name}.{leaf}"));
        Ok(Self {
            is_rectified: parameters.flag(&format!("cameras.{name}.rectified"))?,
            scale_source: ScaleSource::read(parameters, &name)?,
            transport: match of("transport")? {
                "compressed" => Transport::Compressed,
                _ => Transport::Raw,
            },
            reliable: of("reliability")? == "reliable",
            name,
        })
    }
}

/// Read how requests of this moment are carried out.
///
/// # Errors
/// [`Error::Internal`] if the parameters are not those that [`super::parameters()`] declares.
pub fn settings(parameters: &ParameterSet) -> Result<Settings> {
    let interval = match parameters.get("flow.guidance_interval") {
        Some(super::Value::Floats(values)) => values.as_slice().try_into().ok(),
        _ => None,
    };
    Ok(Settings {
        flow: FlowParams {
            time_points: count(parameters, "flow.time_points")?,
            guidance_text: parameters.float("flow.guidance_text")?,
            guidance_image: parameters.float("flow.guidance_image")?,
            guidance_interval: interval.unwrap_or([0.0, 1.0]),
            renorm: choice(parameters, "flow.renorm")?,
            renorm_min: parameters.float("flow.renorm_min")?,
            timestep_shift: parameters.float("flow.timestep_shift")?,
            cache_threshold: parameters.float("flow.cache_threshold")?,
        },
        sampling: SamplingParams {
            max_new_tokens: count(parameters, "generation.max_new_tokens")?,
            temperature: parameters.float("generation.temperature")?,
            top_p: parameters.float("generation.top_p")?,
        },
        mode: match parameters.text("reasoning.mode")? {
            "text" => Mode::Text,
            "perception" => Mode::Perception,
            "direct" => Mode::Direct,
            _ => Mode::Interleaved,
        },
        max_turns: count(parameters, "reasoning.max_turns")?,
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
        max_queries: count(parameters, "trace.max_queries")?,
        max_bytes: 1_000_000 * count(parameters, "trace.max_megabytes")? as u64,
    })
}

/// The model's own values of `flow.*`, as the profile `profile` changes them, for whoever sets none.
///
/// # Errors
/// [`Error::Weights`] with what is wrong in the model's `flow_config.json`.
pub fn flow_of_model(dir: &Path, profile: FlowProfile) -> Result<Vec<(String, super::Value)>> {
    use super::Value;
    let flow = profile.of(FlowParams::of_model(dir)?);
    let renorm = match flow.renorm {
        Renorm::Global => "global",
        Renorm::Channel => "channel",
        Renorm::TextChannel => "text_channel",
    };
    let values = [
        ("time_points", Value::Integer(flow.time_points as i64)),
        ("guidance_text", Value::Float(flow.guidance_text)),
        ("guidance_image", Value::Float(flow.guidance_image)),
        (
            "guidance_interval",
            Value::Floats(flow.guidance_interval.to_vec()),
        ),
        ("renorm", Value::Text(renorm.into())),
        ("renorm_min", Value::Float(flow.renorm_min)),
        ("timestep_shift", Value::Float(flow.timestep_shift)),
        ("cache_threshold", Value::Float(flow.cache_threshold)),
    ];
    let named = values.map(|(leaf, value)| (format!("flow.{leaf}"), value));
    Ok(named.into())
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

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| text.into())
}

/// A whole number as a count.
pub(super) fn count(parameters: &ParameterSet, name: &str) -> Result<usize> {
    Ok(usize::try_from(parameters.integer(name)?).unwrap_or(usize::MAX))
}

fn choice<T: std::str::FromStr<Err = String>>(parameters: &ParameterSet, name: &str) -> Result<T> {
    let text = parameters.text(name)?;
    text.parse()
        .map_err(|why: String| Error::invalid(format!("parameter {name}"), why))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cooper_model::engine::Quantization;

    use super::super::Value;
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
