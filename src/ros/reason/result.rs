//! The result message for each end of a goal.

use std::time::Duration;

use cooper_model::Error;
use cooper_model::engine::Stop;
use cooper_model::reasoning::Transcript;
use cooper_perception::pipeline::Frame;
use r2r::cooper_perception::action::Reason;

use crate::requests::{MapImages, evidence};
use crate::{codes, convert};

/// The result of a goal with a transcript, which may be partial.
pub fn from_transcript(
    transcript: &Transcript,
    frame: Option<&Frame>,
    base: Reason::Result,
) -> Reason::Result {
    let status = codes::status_number(transcript.status);
    let canceled = status == codes::STATUS_CANCELED;
    Reason::Result {
        status,
        answer: convert::message_text(&transcript.answer),
        text: convert::message_text(transcript.text()),
        turns: transcript
            .turns
            .iter()
            .map(|turn| convert::message_text(turn))
            .collect(),
        evidence: frame.map_or(Vec::new(), |frame| {
            evidence(Some(transcript), frame, MapImages::Full)
        }),
        error_code: if canceled {
            codes::CANCELED
        } else {
            codes::NONE
        },
        error_msg: if canceled {
            codes::remark(transcript.status).into()
        } else {
            String::new()
        },
        ..base
    }
}

/// The result of a goal that failed.
pub fn failed(error: &Error, base: Reason::Result) -> Reason::Result {
    let status = match error {
        Error::Canceled => codes::STATUS_CANCELED,
        _ => codes::STATUS_FAILED,
    };
    let error_msg = convert::message_text(&error.to_string());
    Reason::Result {
        status,
        error_code: codes::error_code(error),
        error_msg,
        ..base
    }
}

/// The result of a goal that the node stopped; one that had ended already stays as it is.
pub fn stopped(result: Reason::Result, why: Stop) -> Reason::Result {
    let (status, error_code) = match why {
        _ if result.status != codes::STATUS_CANCELED => return result,
        Stop::Asked => return result,
        Stop::Expired => (codes::STATUS_DEADLINE, codes::DEADLINE),
        Stop::Unloaded => (codes::STATUS_CANCELED, codes::NOT_READY),
    };
    let error_msg = match why {
        Stop::Unloaded => format!("the model is not ready: {why}; the result is partial"),
        _ => format!("{why}; the result is partial"),
    };
    Reason::Result {
        status,
        error_code,
        error_msg,
        ..result
    }
}

/// The result in place of one that no client fetched in time.
pub fn expired(kept: Duration) -> Reason::Result {
    let error_msg = format!("the result expired after {} s", kept.as_secs());
    Reason::Result {
        status: codes::STATUS_FAILED,
        error_code: codes::FAILED,
        error_msg,
        ..Reason::Result::default()
    }
}
