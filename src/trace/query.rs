//! A question that has ended, with everything that is known of it.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::reasoning::{Status, Transcript};
use serde::{Deserialize, Serialize};

use crate::pipeline::{Frame, ModelInfo, Settings};

/// A question that has ended.
#[derive(Clone, Debug)]
pub struct Query {
    /// The images.
    pub frame: Arc<Frame>,
    /// As the model got it.
    pub question: String,
    /// How it was to be answered.
    pub settings: Settings,
    /// Who answered.
    pub model: ModelInfo,
    /// How it ended.
    pub ended: Ended,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What came of it, if anything.
    pub transcript: Option<Transcript>,
    /// How long it waited for its turn.
    pub queued: Duration,
}

/// How a question ended; [`Status`] in the same words, and two more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ended {
    /// See [`Status::Answered`].
    Answered,
    /// See [`Status::NoAnswer`].
    NoAnswer,
    /// See [`Status::Truncated`].
    Truncated,
    /// Somebody stopped it.
    Canceled,
    /// It was stopped since its time was spent.
    Deadline,
    /// It failed.
    Failed,
}

impl From<Status> for Ended {
    fn from(status: Status) -> Self {
        match status {
            Status::Answered => Self::Answered,
            Status::NoAnswer => Self::NoAnswer,
            Status::Truncated => Self::Truncated,
            Status::Canceled => Self::Canceled,
        }
    }
}

impl Ended {
    /// Whether more would have come.
    pub fn is_stopped(self) -> bool {
        matches!(self, Self::Canceled | Self::Deadline | Self::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_the_same_words_everywhere() {
        for (status, word) in [
            (Status::Answered, "ANSWERED"),
            (Status::NoAnswer, "NO_ANSWER"),
            (Status::Truncated, "TRUNCATED"),
            (Status::Canceled, "CANCELED"),
        ] {
            assert_eq!(status.to_string(), word);
            assert_eq!(serde_json::json!(status), word);
            assert_eq!(serde_json::json!(Ended::from(status)), word);
        }
    }
}
