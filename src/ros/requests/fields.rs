//! The fields of requests, checked.

use cooper_model::reasoning::Question;
use cooper_model::{Error, Result};
use cooper_perception::config::{MAX_SAMPLES, MAX_TURNS};
use r2r::sensor_msgs::msg::Image;

use crate::codes;

/// The fields that all requests with a question have.
#[derive(Clone, Debug)]
pub struct ClientRequest {
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
/// [`Error::InvalidInput`] that names the wrong field.
pub fn read_question(request: &ClientRequest) -> Result<Question> {
    let text = request.question.trim();
    if text.is_empty() {
        return Err(Error::invalid(
            "question",
            "it is empty; expected plain words",
        ));
    }
    Ok(Question {
        text: text.into(),
        mode: codes::read_mode(request.mode)?,
        seed: read_seed(request.seed)?,
        max_turns: read_max_turns(request.max_turns)?,
    })
}

/// Read a request's seed: -1 leaves it to the parameter.
///
/// # Errors
/// [`Error::InvalidInput`] for other negative numbers.
pub fn read_seed(seed: i64) -> Result<Option<u64>> {
    match u64::try_from(seed) {
        Ok(seed) => Ok(Some(seed)),
        Err(_) if seed == -1 => Ok(None),
        Err(_) => Err(Error::invalid(
            "seed",
            format!("expected -1 or more, got {seed}"),
        )),
    }
}

/// Read a request's limit of turns: 0 leaves it to the parameter, which has the same upper bound.
fn read_max_turns(max_turns: u16) -> Result<Option<usize>> {
    if max_turns > MAX_TURNS {
        let why = format!("expected 0 to {MAX_TURNS}, got {max_turns}");
        return Err(Error::invalid("max_turns", why));
    }
    Ok((max_turns > 0).then_some(usize::from(max_turns)))
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
    use super::*;

    fn request(question: &str, mode: u8, seed: i64) -> ClientRequest {
        ClientRequest {
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
            let error = read_question(&wrong).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }

    #[test]
    fn default_fields_leave_everything_to_the_parameters() {
        let question = read_question(&request(" Where? ", 0, -1)).unwrap();
        assert_eq!(question.text, "Where?");
        let fields = (question.mode, question.seed, question.max_turns);
        assert_eq!(fields, (None, None, None));
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
