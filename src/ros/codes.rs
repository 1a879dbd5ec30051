//! Errors, statuses, modes and states as the interfaces write them; nothing else knows these numbers and names.

use cooper_model::engine::{Cancel, MapKind, Stage, Stop};
use cooper_model::reasoning::{Mode, Status};
use cooper_model::{Error, Result};
use cooper_perception::pipeline::State;
use cooper_perception::trace::Ended;
use r2r::cooper_perception::action::Reason;
use r2r::cooper_perception::msg::{Answer, Evidence as EvidenceMsg};
use r2r::cooper_perception::srv::Ask;

/// The error code of success.
pub const NONE: u16 = Ask::Response::NONE as u16;
/// The error code of a time budget that ran out.
pub const DEADLINE: u16 = Ask::Response::DEADLINE as u16;
/// The error code of a model that is not loaded.
pub const NOT_READY: u16 = Ask::Response::NOT_READY as u16;
/// The error code of an internal error.
pub const FAILED: u16 = Ask::Response::FAILED as u16;
/// The error code of a canceled request.
pub const CANCELED: u16 = Ask::Response::CANCELED as u16;
/// The status of a question whose time budget ran out.
pub const STATUS_DEADLINE: u8 = Answer::DEADLINE as u8;
/// The status of a question that failed.
pub const STATUS_FAILED: u8 = Answer::FAILED as u8;
/// The status of a canceled question.
pub const STATUS_CANCELED: u8 = Answer::CANCELED as u8;

/// The `error_code` of an error.
pub fn error_code(error: &Error) -> u16 {
    match error {
        Error::InvalidInput { .. } | Error::ContextFull { .. } => {
            Ask::Response::INVALID_INPUT as u16
        }
        Error::UnknownCamera { .. } => Ask::Response::UNKNOWN_CAMERA as u16,
        Error::NoImage { .. } => Ask::Response::NO_IMAGE as u16,
        Error::Busy { .. } => Ask::Response::BUSY as u16,
        Error::NotReady(_) => Ask::Response::NOT_READY as u16,
        Error::Canceled => Ask::Response::CANCELED as u16,
        Error::Config { .. }
        | Error::Weights { .. }
        | Error::Model(_)
        | Error::Io { .. }
        | Error::Internal(_) => Ask::Response::FAILED as u16,
    }
}

/// The error of a question that was stopped before its end.
pub fn stop_error(cancel: &Cancel) -> Error {
    match cancel.stopped() {
        Some(Stop::Unloaded) => Error::NotReady(Stop::Unloaded.to_string()),
        _ => Error::Canceled,
    }
}

/// Read the `mode` of a request; 0, the default, leaves it to `reasoning.mode`.
///
/// # Errors
/// [`Error::InvalidInput`] for a number that is no mode.
pub fn read_mode(mode: u8) -> Result<Option<Mode>> {
    match mode {
        0 => Ok(None),
        1 => Ok(Some(Mode::Text)),
        2 => Ok(Some(Mode::Perception)),
        3 => Ok(Some(Mode::Direct)),
        _ => Err(Error::invalid(
            "mode",
            format!("expected 0 to 3, got {mode}"),
        )),
    }
}

/// The number of a mode.
pub fn mode_number(mode: Mode) -> u8 {
    match mode {
        Mode::Interleaved => Answer::INTERLEAVED as u8,
        Mode::Text => Answer::TEXT as u8,
        Mode::Perception => Answer::PERCEPTION as u8,
        Mode::Direct => Answer::DIRECT as u8,
    }
}

/// The number of a status.
pub fn status_number(status: Status) -> u8 {
    match status {
        Status::Answered => Answer::ANSWERED as u8,
        Status::NoAnswer => Answer::NO_ANSWER as u8,
        Status::Truncated => Answer::TRUNCATED as u8,
        Status::Canceled => Answer::CANCELED as u8,
    }
}

/// How a question ended, by the number of its status; for its trace.
pub fn ended(status: u8) -> Ended {
    let known = [
        Status::Answered,
        Status::NoAnswer,
        Status::Truncated,
        Status::Canceled,
    ];
    let known = known
        .into_iter()
        .find(|known| status_number(*known) == status);
    match known {
        Some(known) => known.into(),
        None if status == STATUS_DEADLINE => Ended::Deadline,
        None => Ended::Failed,
    }
}

/// The message of a status; empty for a plain answer.
pub fn remark(status: Status) -> &'static str {
    match status {
        Status::Answered => "",
        Status::NoAnswer => "no answer within the allowed turns",
        Status::Truncated => {
            "the last turn reached generation.max_new_tokens: the answer is cut off or missing"
        }
        Status::Canceled => "canceled",
    }
}

/// A state's name in messages.
pub fn state_name(state: &State) -> &'static str {
    match state {
        State::Loading => "loading",
        State::WarmingUp => "warming_up",
        State::Ready => "ready",
        State::Failed(_) => "failed",
        State::Unloaded | State::Stopped => "unloaded",
    }
}

/// The number of a stage.
pub fn stage_number(stage: Stage) -> u8 {
    match stage {
        Stage::Prefill => Reason::Feedback::PREFILL as u8,
        Stage::Thinking => Reason::Feedback::THINKING as u8,
        Stage::Depth => Reason::Feedback::DEPTH as u8,
        Stage::Segmentation => Reason::Feedback::SEGMENTATION as u8,
        Stage::Answering => Reason::Feedback::ANSWERING as u8,
    }
}

/// The number of a kind of map.
pub fn kind_number(kind: MapKind) -> u8 {
    match kind {
        MapKind::Depth => EvidenceMsg::DEPTH as u8,
        MapKind::Segmentation => EvidenceMsg::SEGMENTATION as u8,
    }
}

/// A turn's number: counted from 1, 0 before the first, as in the engine.
pub fn turn_number(turn: usize) -> u16 {
    u16::try_from(turn).unwrap_or(u16::MAX)
}

/// A seed as a number of the interfaces.
pub fn seed_number(seed: u64) -> i64 {
    i64::try_from(seed).unwrap_or(i64::MAX)
}

/// A count as a number of the interfaces.
pub fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_the_action_share_their_numbers() {
        assert_eq!(DEADLINE, Reason::Result::ERROR_DEADLINE as u16);
        assert_eq!(CANCELED, Reason::Result::ERROR_CANCELED as u16);
        assert_eq!(STATUS_DEADLINE, Reason::Result::DEADLINE as u8);
        assert_eq!(STATUS_FAILED, Reason::Result::FAILED as u8);
        assert_eq!(
            error_code(&Error::Busy { limit: 1 }),
            Reason::Result::BUSY as u16
        );
        assert_eq!(mode_number(Mode::Direct), Reason::Goal::DIRECT as u8);
    }
}
