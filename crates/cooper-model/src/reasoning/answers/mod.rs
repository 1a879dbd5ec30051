//! What an answer says, and whether it is right: the one place where answers are read.
//!
//! Measurements, `cooper eval qa` and GRPO's rewards all read answers by these rules, so they cannot disagree.
//!
//! ```
//! use cooper_model::reasoning::answers::{AnswerForm, LengthRule, Reading, Truth};
//!
//! let truth = Truth::of_answer("2.0 m")?;
//! assert!(truth.is_right("It is about 180 cm away.", LengthRule::Within25));
//! assert!(!truth.is_right("3 m", LengthRule::Within25));
//! assert_eq!(AnswerForm::YesNo.read("No."), Some(Reading::YesNo(false)));
//! # Ok::<(), String>(())
//! ```

mod choice;
mod form;
mod quantities;
mod spatial;
mod truth;
mod words;

pub use form::{AnswerForm, Reading};
pub use quantities::{Found, LengthUnit, count, last_number, length_m, numbers, parse_length_cm};
pub use spatial::{Axis, order, pixel_at_percent, side};
pub use truth::{LengthRule, Truth, TruthHints, mean_relative_accuracy};
pub use words::{phrase, same_thing};
