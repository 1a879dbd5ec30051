//! Failed service calls.

use cooper_model::Error;

use crate::{codes, convert};

/// Log a failure of `service`, and return its `error_code` and message for the reply.
pub fn report(service: &str, error: &Error) -> (u16, String) {
    tracing::warn!(service, "request failed: {error}");
    let message = convert::message_text(&error.to_string());
    (codes::error_code(error), message)
}
