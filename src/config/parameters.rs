//! Every parameter of the node, declared once: name, default, what it accepts, whether it may change, description.
//!
//! Plain data: docs/parameters.md and `config/cooper.yaml` are held against it without a running ROS.

use std::ops::RangeInclusive;

use cooper_metric::{FilterSettings, FitSettings};
use cooper_model::engine::{DeviceChoice, DtypeChoice, FlowParams, FlowProfile, Quantization};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::Changes::{AtStart, NextLoad, Running};
use super::choices::{DepthEncoding, Reliability, ScaleSource, Transport};
use super::names;
use super::value::{Accepts, Value};
use crate::pipeline::Settings;

/// The most turns that a question may have.
pub const MAX_TURNS: u16 = 100;

/// The most maps that a confidence is made from.
pub const MAX_SAMPLES: u16 = 16;

/// When a parameter may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changes {
    /// At start only.
    AtStart,
    /// Also while the node runs; it holds when the model is loaded next.
    NextLoad,
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
            Changes::NextLoad => "at start and for the next ~/load_model",
            Changes::Running => "also while running",
        };
        format!("{} Accepts {}; {when}.", self.description, self.accepts)
    }
}

/// The parameters that every node has, in the order of the documentation; see [`camera_parameters`] for the others.
pub fn parameters() -> Vec<Parameter> {
    let groups = [model(), answers(), flow(), cameras(), maps(), limits()];
    groups.into_iter().flatten().collect()
}

#[rustfmt::skip] // Tables: a line each.
fn model() -> Vec<Parameter> {
    let device = Accepts::Read("auto, cpu, cuda:N or metal:N", |text| {
        text.parse::<DeviceChoice>().map(drop)
    });
    vec![
        text("model.dir", "", Accepts::Text, NextLoad, "Model directory; empty: the model shipped with the package."),
        text("model.weights", "", Accepts::Text, NextLoad, "Weights file, when it does not lie in the model directory."),
        text("model.device", "auto", device, NextLoad, "Where the model runs."),
        choice("model.dtype", DtypeChoice::Auto, NextLoad, "Number format of the weights; auto: bf16 on a GPU, f32 on a CPU."),
        choice("model.quantization", Quantization::None, NextLoad, "Quantisation of the transformer's matrices while loading; those of `cooper quantize` are quantised already."),
        flag("model.ignore_memory", NextLoad, "Load a model even if less memory is available than it will take."),
        text("model.prompts_file", "", Accepts::Text, NextLoad, "Prompts in YAML; empty: those of the model directory, else the built-in ones."),
    ]
}

#[rustfmt::skip]
fn answers() -> Vec<Parameter> {
    let Settings { sampling, mode, max_turns, .. } = Settings::default();
    vec![
        integer("generation.max_new_tokens", sampling.max_new_tokens, 1..=65536, Running, "Tokens that one turn may have."),
        float("generation.temperature", sampling.temperature, 0.0..=10.0, Running, "Randomness of the text; 0: greedy."),
        float("generation.top_p", sampling.top_p, 0.0..=1.0, Running, "top-p sampling: share of the most probable tokens to sample from; 1: all."),
        choice("reasoning.mode", mode, Running, "How a question is answered that leaves its mode at 0."),
        integer("reasoning.max_turns", max_turns, 1..=i64::from(MAX_TURNS), Running, "Turns before the model must have answered."),
    ]
}

#[rustfmt::skip]
fn flow() -> Vec<Parameter> {
    let flow = FlowParams::default();
    vec![
        choice("flow.profile", FlowProfile::Paper, NextLoad, "What flow.* say that nobody sets. paper: as the model, or the paper's numbers; realtime: at most 10 time points and a cache_threshold of 0.2, with the same guidance."),
        integer("flow.time_points", flow.time_points, 2..=1000, Running, "Points in time of a map; one less is the number of steps."),
        float("flow.guidance_text", flow.guidance_text, 1.0..=100.0, Running, "How strongly a map follows the text; 1: no guidance."),
        float("flow.guidance_image", flow.guidance_image, 1.0..=100.0, Running, "How strongly a map follows the image; 1: no guidance."),
        Parameter {
            name: "flow.guidance_interval".into(),
            default: Value::Floats(flow.guidance_interval.to_vec()),
            accepts: Accepts::Interval(0.0..=1.0),
            changes: Running,
            description: "Times between which guidance acts; 1 is noise, 0 the finished map.",
        },
        choice("flow.renorm", flow.renorm, Running, "Over what a guided velocity is brought back to its unguided size."),
        float("flow.renorm_min", flow.renorm_min, 0.0..=1.0, Running, "The least that this scales by."),
        float("flow.timestep_shift", flow.timestep_shift, 0.01..=100.0, Running, "How much of the time is spent near the noise; 1: evenly."),
        float("flow.cache_threshold", flow.cache_threshold, 0.0..=1.0, Running, "The relative error that a step's velocity may be expected to have if it is forecast, not computed; 0: all are computed."),
        integer("seed", 0, 0..=i64::MAX, Running, "The seed of all randomness where a request brings none."),
    ]
}

#[rustfmt::skip]
fn cameras() -> Vec<Parameter> {
    vec![
        Parameter {
            name: "cameras".into(),
            default: Value::Texts(vec!["camera".into()]),
            accepts: Accepts::TopicNames,
            changes: AtStart,
            description: "Names of the cameras; a name begins the camera's topics.",
        },
        float("continuous.rate", 1.0, 0.0..=100.0, Running, "At most so many frames per second and camera become maps for subscribed topics; 0: none."),
    ]
}

#[rustfmt::skip]
fn maps() -> Vec<Parameter> {
    vec![
        choice("depth.encoding", DepthEncoding::Metres, Running, "Metric depth in metres (32FC1, NaN invalid) or in millimetres (16UC1, 0 invalid)."),
        float("depth.min_range", 0.0, 0.0..=1000.0, Running, "Metres below which metric depth is invalid."),
        float("depth.max_range", 0.0, 0.0..=1000.0, Running, "Metres above which metric depth is invalid; 0: no limit."),
        integer("depth.confidence_samples", 4, 2..=i64::from(MAX_SAMPLES), Running, "Maps with different seeds that ~/N/depth/confidence compares."),
        float("depth.confidence_deviation", 0.05, 0.001..=1.0, Running, "Their standard deviation, in relative depth, at which the confidence has fallen to 0.37."),
        flag("segmentation.names", Running, "Whether the model is asked what new regions are, a short question each, for label_info and markers."),
    ]
}

#[rustfmt::skip]
fn limits() -> Vec<Parameter> {
    vec![
        integer("limits.queue", 8, 1..=1000, AtStart, "Requests that may wait; more are refused."),
        float("limits.image_age", 5.0, 0.0..=86400.0, Running, "Seconds after which a camera's newest frame is too old to be used; 0: never."),
        text("trace.dir", "", Accepts::Text, Running, "Folder that each question's trace is written into, for cooper replay; empty: none."),
        integer("trace.max_queries", 100, 1..=100_000, Running, "Traces that are kept; the oldest goes first."),
        integer("trace.max_megabytes", 1000, 1..=10_000_000, Running, "Megabytes (10^6) of all traces that are kept; the oldest goes first."),
        flag("use_sim_time", AtStart, "Take the time from /clock."),
    ]
}

/// The parameters of the camera `name` (`N` in the documentation).
#[rustfmt::skip]
pub fn camera_parameters(name: &str) -> Vec<Parameter> {
    let full = |leaf: &str| format!("cameras.{name}.{leaf}");
    let (fit, filter) = (FitSettings::default(), FilterSettings::default());
    vec![
        choice(full("transport"), Transport::Raw, AtStart, "Which image topic is read."),
        choice(full("reliability"), Reliability::BestEffort, AtStart, "Which quality of service is asked for; best_effort hears every publisher."),
        flag(full("rectified"), AtStart, "Whether the images are rectified: then p of the CameraInfo is their camera matrix where it is set, else k."),
        choice(full("scale.source"), ScaleSource::None, AtStart, "Where metres come from: a depth image on N/depth_reference, the camera's height over the floor, or nowhere."),
        float(full("scale.tolerance"), 0.05, 0.0..=10.0, Running, "depth: the most seconds between the stamps of a frame and its reference."),
        integer(full("scale.min_points"), fit.min_points, 2..=1_000_000, Running, "depth: the fewest points with a relative and a reference depth."),
        float(full("scale.inlier_error"), fit.inlier_error, 0.001..=0.5, Running, "depth: a point fits when its metres are right to this share."),
        float(full("scale.min_inlier_share"), fit.min_inlier_share, 0.0..=1.0, Running, "depth: the least share of points that fit."),
        float(full("scale.max_median_error"), fit.max_median_error, 0.0..=0.5, Running, "depth: the largest median error of the points that fit, as a share of their depth."),
        float(full("scale.height"), 0.0, 0.0..=1000.0, Running, "height: metres from the camera to the floor; above 0."),
        flag(full("scale.tilt_known"), Running, "height: whether scale.pitch and scale.roll hold; else the tilt is found with the floor."),
        float(full("scale.pitch"), 0.0, -1.5..=1.5, Running, "height: radians that the camera looks down."),
        float(full("scale.roll"), 0.0, -1.5..=1.5, Running, "height: radians that the camera is turned clockwise about its optical axis."),
        float(full("scale.time_constant"), filter.time_constant_s, 0.0..=3600.0, Running, "Seconds after which 63 % of a change of scale have gone through; 0: no smoothing."),
        float(full("scale.max_jump"), filter.max_jump, 0.0..=2.0, Running, "A fit whose metres differ by more than this share is a jump, and its frame has no metric depth; 2: never."),
        integer(full("scale.persist"), filter.n_persist, 1..=1000, Running, "So many jumps to the same place, one after another, are believed."),
        float(full("scale.max_age"), filter.max_age_s, 0.0..=86400.0, Running, "Seconds for which a frame that cannot be fitted is given the scale of those before."),
    ]
}

fn flag(name: impl Into<String>, changes: Changes, description: &'static str) -> Parameter {
    Parameter {
        name: name.into(),
        default: Value::Bool(false),
        accepts: Accepts::Bool,
        changes,
        description,
    }
}

fn choice<T: Serialize + DeserializeOwned>(
    name: impl Into<String>,
    default: T,
    changes: Changes,
    description: &'static str,
) -> Parameter {
    let accepts = Accepts::Choice(names::declared::<T>());
    text(name, &names::name(default), accepts, changes, description)
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
    name: impl Into<String>,
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
    name: impl Into<String>,
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
