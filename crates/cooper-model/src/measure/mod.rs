//! Typed spatial questions: asked in words, answered in numbers, and checked against the maps.
//!
//! [`Measurement`] says what is asked and puts it in words. [`observe`] asks the model: for the answer, for where the
//! objects are, and for the maps. [`conclude`] reads the answer, reads the same from the maps, and says whether the two
//! agree; it needs no model, and metres only where the camera's scale and calibration are known.
//!
//! Axes are those of the optical frame (REP 103): x right, y down, z ahead.

mod conclude;
mod measurement;
mod observe;

pub use crate::reasoning::answers::Axis;
pub use conclude::{Agreement, Conclusion, Metric, conclude};
pub use measurement::{Kind, MAX_OBJECTS, Measurement};
pub use observe::{MAX_NAMED_REGIONS, Named, Observation, names_at, observe};
