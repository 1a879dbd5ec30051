//! The result of `~/reason`: what there is, whichever way the goal ended.

use std::time::Duration;

use r2r::cooper_perception::action::Reason;
use r2r::cooper_perception::msg::Evidence as EvidenceMsg;
use r2r::cooper_perception::msg::Timings;

use super::codes;
use super::convert;
use super::feedback::turn_number;
use crate::engine::Evidence;
use crate::engine::Stop;
use crate::error::Error;
use crate::pipeline::FrameHeader;
use crate::reasoning::Transcript;

/// What every ended goal can tell: its picture's header and its time.
pub fn begun(header: &FrameHeader, waited: Duration, total: Duration) -> Reason::Result {
    Reason::Result {
        header: convert::std_header(header),
        timings: Timings {
            queue_s: waited.as_secs_f64(),
            total_s: total.as_secs_f64(),
            ..Timings::default()
        },
        ..Reason::Result::default()
    }
}

/// A goal that brought a transcript, perhaps a partial one.
pub fn of_transcript(
    transcript: &Transcript,
    header: &FrameHeader,
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
        evidence: transcript
            .evidence
            .iter()
            .map(|map| evidence(map, header))
            .collect(),
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
        timings: Timings {
            prefill_s: transcript.timings.prefill.as_secs_f64(),
            text_s: transcript.timings.text.as_secs_f64(),
            maps_s: transcript.timings.maps.as_secs_f64(),
            ..base.timings
        },
        ..base
    }
}

/// A goal that brought nothing.
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

/// A goal that was stopped by ourselves, for this reason. One that had ended stays as it is.
pub fn stopped(result: Reason::Result, why: Stop) -> Reason::Result {
    let (status, error_code) = match why {
        _ if result.status != codes::STATUS_CANCELED => return result,
        Stop::Asked => return result,
        Stop::Expired => (codes::STATUS_DEADLINE, codes::DEADLINE),
        Stop::Unloaded => (codes::STATUS_CANCELED, codes::NOT_READY),
    };
    let error_msg = match why {
        Stop::Unloaded => format!("the model is not ready: {why}; this is what there was by then"),
        _ => format!("{why}; this is what there was by then"),
    };
    Reason::Result {
        status,
        error_code,
        error_msg,
        ..result
    }
}

/// What is left of a result that nobody fetched for so long.
pub fn forgotten(kept: Duration) -> Reason::Result {
    let error_msg = format!("the result was kept for {} s and is gone", kept.as_secs());
    Reason::Result {
        status: codes::STATUS_FAILED,
        error_code: codes::FAILED,
        error_msg,
        ..Reason::Result::default()
    }
}

fn evidence(map: &Evidence, header: &FrameHeader) -> EvidenceMsg {
    EvidenceMsg {
        kind: codes::kind_number(map.kind),
        turn: turn_number(map.turn),
        image: convert::rgb_image(&map.image, header),
        seed: i64::try_from(map.seed).unwrap_or(i64::MAX),
        steps: u32::try_from(map.steps).unwrap_or(u32::MAX),
    }
}
