//! The fields of requests, checked.

use std::time::Instant;

use cooper_model::{Error, Result};
use cooper_perception::config::{MAX_SAMPLES, MAX_TURNS};
use cooper_perception::pipeline::Settings;
use r2r::sensor_msgs::msg::Image;

use crate::codes;

/// The fields that all requests with a question have.
#[derive(Clone, Debug)]
pub struct ClientRequest {
    /// When it came in; its time budget and its total time begin here.
    pub received: Instant,
    /// The question.
    pub question: String,
    /// A camera's name; empty: the first one.
    pub camera: String,
    /// Used instead of the camera when its width is not 0.
    pub image: Image,
    /// 0: `reasoning.mode`.
    pub mode: u8,
    /// -1: the parameter `seed`.
    pub seed: i64,
    /// 0: `reasoning.max_turns`.
    pub max_turns: u16,
    /// Cameras whose images follow the first one.
    pub further_cameras: Vec<String>,
    /// Images that follow those.
    pub further_images: Vec<Image>,
}

/// Read a request's question.
///
/// # Errors
/// [`Error::InvalidInput`] if it is empty.
pub fn read_question(request: &ClientRequest) -> Result<String> {
    let text = request.question.trim();
    if text.is_empty() {
        return Err(Error::invalid(
            "question",
            "it is empty; expected plain words",
        ));
    }
    Ok(text.into())
}

/// The settings of a request: its fields over the parameters.
///
/// # Errors
/// [`Error::InvalidInput`] that names the wrong field.
pub fn resolve(request: &ClientRequest, parameters: Settings) -> Result<Settings> {
    Ok(Settings {
        mode: codes::read_mode(request.mode)?.unwrap_or(parameters.mode),
        seed: resolve_seed(request.seed, parameters.seed)?,
        max_turns: resolve_max_turns(request.max_turns, parameters.max_turns)?,
        ..parameters
    })
}

/// A request's seed; -1 leaves it to the parameter.
///
/// # Errors
/// [`Error::InvalidInput`] for other negative numbers.
pub fn resolve_seed(seed: i64, parameter: u64) -> Result<u64> {
    match u64::try_from(seed) {
        Ok(seed) => Ok(seed),
        Err(_) if seed == -1 => Ok(parameter),
        Err(_) => Err(Error::invalid(
            "seed",
            format!("expected -1 or more, got {seed}"),
        )),
    }
}

/// A request's limit of turns; 0 leaves it to the parameter, which has the same upper bound.
fn resolve_max_turns(max_turns: u16, parameter: usize) -> Result<usize> {
    if max_turns > MAX_TURNS {
        let why = format!("expected 0 to {MAX_TURNS}, got {max_turns}");
        return Err(Error::invalid("max_turns", why));
    }
    Ok(match max_turns {
        0 => parameter,
        given => usize::from(given),
    })
}

/// Read the number of maps that a confidence is made from; 0 is none.
///
/// # Errors
/// [`Error::InvalidInput`] for 1 or more than [`MAX_SAMPLES`].
pub fn read_sample_count(n: u16) -> Result<Option<usize>> {
    match n {
        0 => Ok(None),
        n if (2..=MAX_SAMPLES).contains(&n) => Ok(Some(usize::from(n))),
        _ => {
            let why = format!("expected 0 or 2 to {MAX_SAMPLES}, got {n}");
            Err(Error::invalid("confidence_samples", why))
        }
    }
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::Mode;

    use super::*;

    fn request(question: &str, mode: u8, seed: i64) -> ClientRequest {
        ClientRequest {
            received: Instant::now(),
            question: question.into(),
            camera: String::new(),
            image: Image::default(),
            mode,
            seed,
            max_turns: 0,
            further_cameras: Vec::new(),
            further_images: Vec::new(),
        }
    }

    #[test]
    fn an_invalid_field_is_rejected_by_name() {
        let too_many_turns = ClientRequest {
            max_turns: 101,
            ..request("a", 0, -1)
        };
        for (wrong, message) in [
            (request(" ", 0, -1), "question"),
            (request("a", 9, -1), "mode"),
            (request("a", 0, -2), "seed"),
            (too_many_turns, "max_turns: expected 0 to 100, got 101"),
        ] {
            let settings = read_question(&wrong).and_then(|_| resolve(&wrong, Settings::default()));
            let error = settings.unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn default_fields_leave_everything_to_the_parameters() {
        let request = request(" Where? ", 0, -1);
        assert_eq!(read_question(&request).unwrap(), "Where?");
        let parameters = Settings {
            mode: Mode::Text,
            seed: 5,
            max_turns: 7,
            ..Settings::default()
        };
        let settings = resolve(&request, parameters).unwrap();
        let fields = (settings.mode, settings.seed, settings.max_turns);
        assert_eq!(fields, (Mode::Text, 5, 7));
    }

    #[test]
    fn a_single_map_has_no_confidence() {
        assert_eq!(read_sample_count(0).unwrap(), None);
        assert_eq!(read_sample_count(2).unwrap(), Some(2));
        for wrong in [1, 17] {
            let error = read_sample_count(wrong).unwrap_err().to_string();
            let expected = format!("expected 0 or 2 to 16, got {wrong}");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
