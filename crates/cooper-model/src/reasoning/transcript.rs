//! The result of a question: no answer, a broken turn and a stop are statuses, not errors.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::engine::Evidence;

/// How a question is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// COOPER's loop: the model decides in turns whether to draw a map, and looks at it.
    #[default]
    Interleaved,
    /// Think in text, then answer (BAGEL-RE).
    Text,
    /// Draw both maps first, then answer from them (BAGEL-PE).
    Perception,
    /// Answer at once.
    Direct,
}

/// How the question ended. Shown, and written in JSON, by the names of the ROS interfaces: `ANSWERED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is an answer.
    Answered,
    /// All turns passed without an answer.
    NoAnswer,
    /// The last turn reached its token limit before it answered.
    Truncated,
    /// The request was stopped.
    Canceled,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Answered => "ANSWERED",
            Self::NoAnswer => "NO_ANSWER",
            Self::Truncated => "TRUNCATED",
            Self::Canceled => "CANCELED",
        })
    }
}

impl Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Where the time was spent.
#[derive(Clone, Debug, Default)]
pub struct Timings {
    /// Prefill: the system prompt, the images, the question and the maps.
    pub prefill: Duration,
    /// Writing text.
    pub text: Duration,
    /// Drawing maps.
    pub maps: Duration,
    /// All of it.
    pub total: Duration,
    /// Writing each turn; `text` is their sum.
    pub turns: Vec<Duration>,
}

/// The answer to a question with all turns and maps that led to it.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// How it ended.
    pub status: Status,
    /// The boxed text, else the answer tag's text, else empty.
    pub answer: String,
    /// The text of every turn, in order.
    pub turns: Vec<String>,
    /// The tokens of every turn as the model wrote them, the start token first, the end token not among them.
    pub ids: Vec<Vec<u32>>,
    /// The maps that the model drew and looked at, in order.
    pub evidence: Vec<Evidence>,
    /// Where the time went.
    pub timings: Timings,
}

impl Transcript {
    /// The last turn's text, or nothing.
    pub fn text(&self) -> &str {
        self.turns.last().map_or("", String::as_str)
    }
}
