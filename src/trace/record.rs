//! `trace.json`: everything of a question but its images, maps and prompts, which are files beside it.

use std::time::{SystemTime, UNIX_EPOCH};

use cooper_model::engine::{FlowParams, MapKind, ModelIdentity, SamplingParams};
use cooper_model::reasoning::{Mode, Timings};
use cooper_model::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::query::{Ended, Query};
use crate::pipeline::{Frame, ModelInfo, Settings};

/// The number of this layout; a reader of another one refuses it.
const FORMAT: u32 = 1;

/// What `trace.json` holds.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Trace {
    /// Of this layout.
    pub format: u32,
    /// Of the crate that wrote it.
    pub version: String,
    /// Operating system and processor.
    pub platform: String,
    /// When it ended: nanoseconds since 1970, by the clock of the computer.
    pub ended_ns: u64,
    /// As asked.
    pub question: String,
    /// How it ended.
    pub status: Ended,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The short answer.
    pub answer: String,
    /// The last turn.
    pub text: String,
    /// Every turn's text.
    pub turns: Vec<String>,
    /// Every turn's tokens as the model wrote them, the start token first.
    pub tokens: Vec<Vec<u32>>,
    /// What it was about, in the order in which the model read them.
    #[serde(rename = "pictures")]
    pub images: Vec<ImageRecord>,
    /// Every map that was drawn, in order.
    pub evidence: Vec<MapRecord>,
    /// How it was reasoned.
    pub mode: Mode,
    /// Turns before the model must have answered.
    pub max_turns: usize,
    /// Of all randomness.
    pub seed: u64,
    /// How maps were drawn.
    pub flow: FlowParams,
    /// How text was written.
    pub sampling: SamplingParams,
    /// Who answered.
    pub model: ModelRecord,
    /// SHA-256 of `prompts.yaml`.
    pub prompts_sha256: String,
    /// Where the time went.
    pub seconds: Seconds,
}

/// An image that the model read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ImageRecord {
    /// In the trace's folder.
    pub file: String,
    /// The camera's name; empty if the image came with the question.
    pub camera: String,
    /// Seconds, in the clock of the source.
    pub stamp: String,
    /// The camera's optical frame.
    pub frame_id: String,
    /// Pixels, before the model's resizing.
    pub width: u32,
    /// Pixels, before the model's resizing.
    pub height: u32,
    /// See [`cooper_imaging::sha256`].
    pub sha256: String,
    /// The file that it was read from, on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// A map that was drawn.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct MapRecord {
    /// `depth` or `segmentation`.
    pub kind: MapKind,
    /// The turn that asked for it, from 1; 0 before the first.
    pub turn: usize,
    /// Which image it has the size of, from 0.
    #[serde(rename = "picture")]
    pub image_idx: usize,
    /// Of its noise.
    pub seed: u64,
    /// Flow steps.
    pub steps: usize,
    /// Of these, the ones that were computed; unknown in older traces.
    #[serde(default)]
    pub steps_computed: Option<usize>,
    /// Pixels, as drawn.
    pub width: u32,
    /// Pixels, as drawn.
    pub height: u32,
    /// See [`cooper_imaging::sha256`].
    pub sha256: String,
    /// How long drawing it took.
    pub seconds: f64,
    /// In the trace's folder.
    pub file: String,
}

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct ModelRecord {
    /// The model directory.
    pub dir: String,
    /// Where it ran.
    pub device: String,
    /// Its number format.
    pub dtype: String,
    /// Bytes of all weights as loaded.
    pub memory_bytes: u64,
    /// Which files it was loaded from.
    #[serde(flatten)]
    pub identity: ModelIdentity,
}

/// Where the time went, seconds of wall clock.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Seconds {
    /// Waiting for its turn.
    pub queue: f64,
    /// Reading.
    pub prefill: f64,
    /// Writing.
    pub text: f64,
    /// Drawing.
    pub maps: f64,
    /// All but the waiting.
    pub total: f64,
    /// Of writing, each turn.
    pub turns: Vec<f64>,
}

impl Trace {
    /// Of a question that has just ended.
    pub fn of(query: &Query) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let transcript = query.transcript.as_ref();
        let maps = transcript.map_or(&[][..], |transcript| &transcript.evidence);
        let maps = maps.iter().enumerate().map(|(n, map)| MapRecord {
            kind: map.kind,
            turn: map.turn,
            image_idx: map.image_idx,
            seed: map.seed,
            steps: map.steps,
            steps_computed: Some(map.steps_computed),
            width: map.image.width(),
            height: map.image.height(),
            sha256: cooper_imaging::sha256(&map.image),
            seconds: map.took.as_secs_f64(),
            file: format!("map_{}_{}.png", n + 1, map.kind.word()),
        });
        let timings = transcript.map(|transcript| transcript.timings.clone());
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            ended_ns: since.map_or(0, |since| since.as_nanos() as u64),
            question: query.question.clone(),
            status: query.ended,
            error: query.error.clone(),
            answer: transcript.map_or(String::new(), |t| t.answer.clone()),
            text: transcript.map_or(String::new(), |t| t.text().to_owned()),
            turns: transcript.map_or(Vec::new(), |t| t.turns.clone()),
            tokens: transcript.map_or(Vec::new(), |t| t.ids.clone()),
            images: query.frame.all().enumerate().map(image).collect(),
            evidence: maps.collect(),
            mode: query.settings.mode,
            max_turns: query.settings.max_turns,
            seed: query.settings.seed,
            flow: query.settings.flow.clone(),
            sampling: query.settings.sampling,
            model: ModelRecord::of(&query.model),
            prompts_sha256: format!("{:x}", Sha256::digest(query.model.prompts.as_bytes())),
            seconds: seconds(query.queued.as_secs_f64(), &timings.unwrap_or_default()),
        }
    }

    /// Read `trace.json`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] about `what` if it is none, or of another layout.
    pub fn parse(text: &str, what: &str) -> Result<Self> {
        let invalid = |e: serde_json::Error| Error::invalid(what, format!("expected a trace: {e}"));
        let any: serde_json::Value = serde_json::from_str(text).map_err(invalid)?;
        if any["format"] != FORMAT {
            let why = format!("expected a trace of format {FORMAT}, got {}", any["format"]);
            return Err(Error::invalid(what, why));
        }
        serde_json::from_value(any).map_err(invalid)
    }

    /// The settings, to ask it again.
    pub fn settings(&self) -> Settings {
        Settings {
            flow: self.flow.clone(),
            sampling: self.sampling,
            mode: self.mode,
            max_turns: self.max_turns,
            seed: self.seed,
        }
    }
}

impl ModelRecord {
    /// Of a loaded model.
    pub fn of(info: &ModelInfo) -> Self {
        Self {
            dir: absolute(&info.dir),
            device: info.device.clone(),
            dtype: info.dtype.clone(),
            memory_bytes: info.memory_bytes,
            identity: ModelIdentity {
                weights: absolute(&info.identity.weights),
                ..ModelIdentity::clone(&info.identity)
            },
        }
    }
}

/// A path that holds from every folder.
fn absolute(path: &str) -> String {
    let absolute = std::path::absolute(path);
    absolute.map_or_else(|_| path.into(), |path| path.display().to_string())
}

fn image((n, frame): (usize, &Frame)) -> ImageRecord {
    let header = &frame.header;
    ImageRecord {
        file: format!("picture_{}.png", n + 1),
        camera: frame.camera.clone(),
        stamp: format!("{}.{:09}", header.stamp_secs, header.stamp_nanos),
        frame_id: header.frame_id.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        sha256: cooper_imaging::sha256(&frame.image),
        path: None,
    }
}

fn seconds(queue: f64, timings: &Timings) -> Seconds {
    Seconds {
        queue,
        prefill: timings.prefill.as_secs_f64(),
        text: timings.text.as_secs_f64(),
        maps: timings.maps.as_secs_f64(),
        total: timings.total.as_secs_f64(),
        turns: timings.turns.iter().map(|t| t.as_secs_f64()).collect(),
    }
}
