//! Every parameter of the node, declared once: name, default, what it accepts, whether it may change, description.
//!
//! Plain data: the README's table and `config/cooper.yaml` are held against it without a running ROS.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::value::{Accepts, Value};
use crate::engine::DeviceChoice;
use crate::engine::FlowParams;
use crate::engine::SamplingParams;
use crate::error::{Error, Result};

/// The most turns that a question may have.
pub const MAX_TURNS: u16 = 100;

/// When a parameter may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// At start only.
    AtStart,
    /// Also while the node runs; it holds from the next request on.
    Running,
}

/// One parameter.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// The dotted name.
    pub name: String,
    /// The value when nobody sets it.
    pub default: Value,
    /// What it accepts.
    pub accepts: Accepts,
    /// When it may be set.
    pub changes: Changes,
    /// What it does.
    pub description: &'static str,
}

impl Parameter {
    /// What it does, what it accepts and when it may be set: all that ROS's tools show of it.
    pub fn full_description(&self) -> String {
        let when = match self.changes {
            Changes::AtStart => "at start only",
            Changes::Running => "also while running",
        };
        format!("{} Accepts {}; {when}.", self.description, self.accepts)
    }
}

/// The parameters that every node has, in the order of the documentation; see [`camera_parameters`] for the others.
#[rustfmt::skip] // A table: a line each.
pub fn parameters() -> Vec<Parameter> {
    use Changes::{AtStart, Running};
    let flow = FlowParams::default();
    let sampling = SamplingParams::default();
    let device = Accepts::Read("auto, cpu, cuda:N or metal:N", |text| {
        text.parse::<DeviceChoice>().map(drop)
    });
    let dtype = Accepts::Choice(&["auto", "f32", "bf16", "f16"]);
    let modes = &["interleaved", "text", "perception", "direct"];
    vec![
        text("model.dir", "", Accepts::Text, AtStart, "Model directory; empty: the model shipped with the package."),
        text("model.weights", "", Accepts::Text, AtStart, "Weights file, when it does not lie in the model directory."),
        text("model.device", "auto", device, AtStart, "Where the model runs."),
        text("model.dtype", "auto", dtype, AtStart, "Number format of the weights; auto: bf16 on a GPU, f32 on a CPU."),
        text("model.quantization", "none", Accepts::Choice(&["none", "q8_0", "q4k"]), AtStart, "Quantisation of the weights while loading; only `none` works in this version."),
        text("model.prompts_file", "", Accepts::Text, AtStart, "Prompts in YAML; empty: those of the model directory, else the built-in ones."),
        integer("generation.max_new_tokens", sampling.max_new_tokens, 1..=65536, Running, "Tokens that one turn may have."),
        float("generation.temperature", sampling.temperature, 0.0..=10.0, Running, "Randomness of the text; 0: always the likeliest token."),
        float("generation.top_p", sampling.top_p, 0.0..=1.0, Running, "Share of the likeliest tokens to draw from; 1: all."),
        text("reasoning.mode", "interleaved", Accepts::Choice(modes), Running, "How a question is answered that leaves its mode at 0."),
        integer("reasoning.max_turns", 3, 1..=i64::from(MAX_TURNS), Running, "Turns before the model must have answered."),
        integer("flow.time_points", flow.time_points, 2..=1000, Running, "Points in time of a map; one less is the number of steps."),
        float("flow.guidance_text", flow.guidance_text, 1.0..=100.0, Running, "How strongly a map follows the text; 1: no guidance."),
        float("flow.guidance_image", flow.guidance_image, 1.0..=100.0, Running, "How strongly a map follows the picture; 1: no guidance."),
        Parameter {
            name: "flow.guidance_interval".into(),
            default: Value::Floats(flow.guidance_interval.to_vec()),
            accepts: Accepts::Interval(0.0..=1.0),
            changes: Running,
            description: "Times between which guidance acts; 1 is noise, 0 the finished map.",
        },
        text("flow.renorm", "text_channel", Accepts::Choice(&["global", "channel", "text_channel"]), Running, "Over what a guided velocity is brought back to its unguided size."),
        float("flow.renorm_min", flow.renorm_min, 0.0..=1.0, Running, "The least that this scales by."),
        float("flow.timestep_shift", flow.timestep_shift, 0.01..=100.0, Running, "How much of the time is spent near the noise; 1: evenly."),
        integer("seed", 0, 0..=i64::MAX, Running, "The seed of all randomness where a request brings none."),
        Parameter {
            name: "cameras".into(),
            default: Value::Texts(vec!["camera".into()]),
            accepts: Accepts::TopicNames,
            changes: AtStart,
            description: "Names of the cameras; a name begins the camera's topics.",
        },
        float("continuous.rate", 1.0, 0.0..=100.0, Running, "At most so many frames per second and camera become maps for subscribed topics; 0: none."),
        integer("limits.queue", 8, 1..=1000, AtStart, "Requests that may wait; more are refused."),
        float("limits.image_age", 5.0, 0.0..=86400.0, Running, "Seconds after which a camera's newest frame is too old to be used; 0: never."),
        Parameter {
            name: "use_sim_time".into(),
            default: Value::Bool(false),
            accepts: Accepts::Bool,
            changes: AtStart,
            description: "Take the time from /clock.",
        },
    ]
}

/// The parameters of the camera `name` (`N` in the documentation).
#[rustfmt::skip]
pub fn camera_parameters(name: &str) -> Vec<Parameter> {
    let of = |leaf: &str| format!("cameras.{name}.{leaf}");
    vec![
        text(of("transport"), "raw", Accepts::Choice(&["raw", "compressed"]), Changes::AtStart, "Which image topic is read."),
        text(of("reliability"), "best_effort", Accepts::Choice(&["best_effort", "reliable"]), Changes::AtStart, "Which quality of service is asked for; best_effort hears every publisher."),
    ]
}

fn text(
    name: impl Into<String>,
    default: &str,
    accepts: Accepts,
    changes: Changes,
    description: &'static str,
) -> Parameter {
    let (name, default) = (name.into(), Value::Text(default.into()));
    Parameter {
        name,
        default,
        accepts,
        changes,
        description,
    }
}

fn integer(
    name: &str,
    default: usize,
    range: RangeInclusive<i64>,
    changes: Changes,
    description: &'static str,
) -> Parameter {
    let default = Value::Integer(i64::try_from(default).unwrap_or(i64::MAX));
    Parameter {
        name: name.into(),
        default,
        accepts: Accepts::Integer(range),
        changes,
        description,
    }
}

fn float(
    name: &str,
    default: f64,
    range: RangeInclusive<f64>,
    changes: Changes,
    description: &'static str,
) -> Parameter {
    let default = Value::Float(default);
    Parameter {
        name: name.into(),
        default,
        accepts: Accepts::Float(range),
        changes,
        description,
    }
}

/// The values of all declared parameters, each of them acceptable.
#[derive(Clone, Debug)]
pub struct ParameterSet {
    declared: Vec<Parameter>,
    values: BTreeMap<String, Value>,
}

impl ParameterSet {
    /// The defaults, with `overrides` in their place; also the names among them that are not declared.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names every bad value and what its parameter accepts.
    pub fn at_start(overrides: &BTreeMap<String, Value>) -> Result<(Self, Vec<String>)> {
        let mut set = Self {
            declared: Vec::new(),
            values: BTreeMap::new(),
        };
        let mut problems = set.declare(parameters(), overrides);
        for camera in set.texts("cameras").unwrap_or_default() {
            problems.extend(set.declare(camera_parameters(&camera), overrides));
        }
        if !problems.is_empty() {
            return Err(Error::invalid("parameters", problems.join("; ")));
        }
        let unknown = overrides.keys().filter(|name| set.find(name).is_none());
        let unknown = unknown.cloned().collect();
        Ok((set, unknown))
    }

    fn declare(
        &mut self,
        declared: Vec<Parameter>,
        overrides: &BTreeMap<String, Value>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for parameter in declared {
            let value = overrides.get(&parameter.name).unwrap_or(&parameter.default);
            let value = parameter.accepts.check(value).unwrap_or_else(|why| {
                problems.push(format!("{} {why}", parameter.name));
                parameter.default.clone()
            });
            self.values.insert(parameter.name.clone(), value);
            self.declared.push(parameter);
        }
        problems
    }

    /// All parameters, in the order of the documentation.
    pub fn declared(&self) -> &[Parameter] {
        &self.declared
    }

    /// The value of `name`, if it is declared.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether `name` may become `value` now, while the node runs.
    ///
    /// # Errors
    /// Why not, in words that follow the parameter's name.
    pub fn check(&self, name: &str, value: &Value) -> std::result::Result<Value, String> {
        let parameter = self.find(name).ok_or("is not a parameter of this node")?;
        let value = parameter.accepts.check(value)?;
        if parameter.changes == Changes::AtStart && self.get(name) != Some(&value) {
            return Err("can be set at start only".into());
        }
        Ok(value)
    }

    /// Change `name` while the node runs.
    ///
    /// # Errors
    /// See [`ParameterSet::check`].
    pub fn set(&mut self, name: &str, value: &Value) -> std::result::Result<(), String> {
        let value = self.check(name, value)?;
        self.values.insert(name.into(), value);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.declared
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The integer `name`.
    ///
    /// # Errors
    /// [`Error::Internal`] if no integer of that name is declared (as in the other readers).
    pub fn integer(&self, name: &str) -> Result<u64> {
        match self.get(name) {
            Some(Value::Integer(value)) => u64::try_from(*value).map_err(|_| undeclared(name)),
            _ => Err(undeclared(name)),
        }
    }

    /// The float `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.get(name) {
            Some(Value::Float(value)) => Ok(*value),
            _ => Err(undeclared(name)),
        }
    }

    /// The string `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.get(name) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(undeclared(name)),
        }
    }

    /// The list of strings `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        match self.get(name) {
            Some(Value::Texts(values)) => Ok(values.clone()),
            _ => Err(undeclared(name)),
        }
    }
}

fn undeclared(name: &str) -> Error {
    Error::Internal(format!(
        "the parameter {name} is not declared with this type"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect()
    }

    #[test]
    fn every_default_is_acceptable() {
        let (set, unknown) = ParameterSet::at_start(&BTreeMap::new()).unwrap();
        assert!(unknown.is_empty());
        for parameter in set.declared() {
            assert_eq!(
                parameter.accepts.check(&parameter.default),
                Ok(parameter.default.clone()),
                "{}",
                parameter.name
            );
            assert!(parameter.description.ends_with('.'), "{}", parameter.name);
        }
    }

    #[test]
    fn the_shipped_file_holds_every_parameter_with_its_default() {
        // Those of `flow` are told but not set: a model has its own.
        let text = include_str!("../../config/cooper.yaml")
            .replace("    #flow:", "    flow:")
            .replace("    #  ", "      ");
        let file: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        for Parameter { name, default, .. } in parameters() {
            if name == "use_sim_time" {
                continue;
            }
            let start = &file["/**"]["ros__parameters"];
            let value = name.split('.').fold(start, |tree, part| &tree[part]);
            let expected: serde_yaml::Value = serde_yaml::from_str(&default.to_string()).unwrap();
            assert_eq!(value, &expected, "{name}");
        }
    }

    #[test]
    fn all_bad_values_are_told_at_once() {
        let bad = overrides(&[
            ("flow.time_points", Value::Integer(1)),
            ("model.device", Value::Text("tpu".into())),
        ]);
        let told = ParameterSet::at_start(&bad).unwrap_err().to_string();
        assert!(
            told.contains("flow.time_points accepts an integer from 2 to 1000, got 1"),
            "{told}"
        );
        assert!(
            told.contains("model.device accepts auto, cpu, cuda:N or metal:N"),
            "{told}"
        );
    }

    #[test]
    fn each_camera_has_its_parameters() {
        let given = overrides(&[
            ("cameras", Value::Texts(vec!["left".into()])),
            ("cameras.left.transport", Value::Text("compressed".into())),
            ("cameras.right.transport", Value::Text("raw".into())),
        ]);
        let (set, unknown) = ParameterSet::at_start(&given).unwrap();
        assert_eq!(set.text("cameras.left.transport").unwrap(), "compressed");
        assert_eq!(unknown, ["cameras.right.transport"]);
    }

    #[test]
    fn what_may_not_change_is_refused_by_name() {
        let (mut set, _) = ParameterSet::at_start(&BTreeMap::new()).unwrap();
        set.set("continuous.rate", &Value::Integer(2)).unwrap();
        assert_eq!(set.float("continuous.rate").unwrap(), 2.0);
        assert!(
            set.set("model.dir", &Value::Text("x".into()))
                .unwrap_err()
                .contains("start")
        );
        assert!(set.set("modle.dir", &Value::Text("x".into())).is_err());
    }
}
