//! The result of `~/reason`: what there is, whichever way the goal ended.

use std::time::Duration;

use cooper_model::Error;
use cooper_model::engine::{Evidence, Stop};
use cooper_model::reasoning::Transcript;
use cooper_perception::pipeline::Frame;
use r2r::cooper_perception::action::Reason;
use r2r::cooper_perception::msg::{Evidence as EvidenceMsg, Picture, Timings};
use r2r::sensor_msgs::msg::Image;

use super::feedback::turn_number;
use super::{codes, convert};

/// A goal that brought a transcript, perhaps a partial one.
pub fn of_transcript(
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
        evidence: frame.map_or(Vec::new(), |frame| evidence(Some(transcript), frame, true)),
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

/// Where the time went, as far as it is known.
pub fn timings(transcript: Option<&Transcript>, waited: Duration, total: Duration) -> Timings {
    let of_all = Timings {
        queue_s: waited.as_secs_f64(),
        total_s: total.as_secs_f64(),
        ..Timings::default()
    };
    let Some(Transcript { ids, timings, .. }) = transcript else {
        return of_all;
    };
    // The start token was not written.
    let n_written = |ids: &Vec<u32>| u32::try_from(ids.len().saturating_sub(1)).unwrap_or(u32::MAX);
    Timings {
        prefill_s: timings.prefill.as_secs_f64(),
        text_s: timings.text.as_secs_f64(),
        maps_s: timings.maps.as_secs_f64(),
        turn_s: timings.turns.iter().map(Duration::as_secs_f64).collect(),
        turn_tokens: ids.iter().map(n_written).collect(),
        ..of_all
    }
}

/// An image that a question was about.
pub fn source_image(frame: &Frame) -> Picture {
    Picture {
        header: convert::std_header(&frame.header),
        camera: frame.camera.clone(),
        width: frame.image.width(),
        height: frame.image.height(),
        sha256: cooper_imaging::sha256(&frame.image),
    }
}

/// The maps of a question about `frame`, with their images or without.
pub fn evidence(
    transcript: Option<&Transcript>,
    frame: &Frame,
    with_images: bool,
) -> Vec<EvidenceMsg> {
    let maps = transcript.map_or(&[][..], |transcript| &transcript.evidence);
    let header = &frame.last().header;
    let message = |map: &Evidence| EvidenceMsg {
        kind: codes::kind_number(map.kind),
        turn: turn_number(map.turn),
        image: match with_images {
            true => convert::rgb_image(&map.image, header),
            false => Image {
                header: convert::std_header(header),
                ..Image::default()
            },
        },
        seed: i64::try_from(map.seed).unwrap_or(i64::MAX),
        steps: u32::try_from(map.steps).unwrap_or(u32::MAX),
        picture: u16::try_from(map.image_idx).unwrap_or(u16::MAX),
        duration_s: map.took.as_secs_f64(),
    };
    maps.iter().map(message).collect()
}
