//! Typed spatial questions: asked in words, answered in numbers, and checked against the maps.
//!
//! [`Measurement`] is a checked question and its words. [`observe`] asks the model for the answer, for the places of the
//! objects, for what is at each place, and for maps. [`conclude`] reads the answer with [`crate::reasoning::answers`],
//! reads the same quantity from the maps, and compares the two; it needs no model, and metres only where the camera's
//! scale and calibration are known. [`Agreement`] says what each kind is compared with.
//!
//! ```
//! # let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/cooper-nano");
//! use cooper_model::{Cooper, image};
//! use cooper_model::engine::Control;
//! use cooper_model::measure::{Axis, Kind, Measurement, conclude, observe};
//!
//! let cooper = Cooper::open(dir.as_ref())?;
//! let image = image::RgbImage::from_fn(128, 96, |x, y| image::Rgb([x as u8, y as u8, 90]));
//! let objects = ["red box".to_owned(), "blue ball".to_owned()];
//! let measurement = Measurement::new(Kind::Relation, Axis::X, &objects)?;
//! let control = &mut Control::unattended();
//! let observation = observe(cooper.model(), &image, &measurement, &cooper.settings, control)?;
//! let conclusion = conclude(&measurement, &observation, None);
//! println!("{}: {:?} {}", observation.transcript.answer, conclusion.agreement, conclusion.remark);
//! # Ok::<(), cooper_model::Error>(())
//! ```
//!
//! Axes are those of the optical frame (REP 103): x right, y down, z ahead.

mod conclude;
mod measurement;
mod observe;
mod pixels;

pub use crate::reasoning::answers::Axis;
pub use conclude::{Agreement, Conclusion, conclude};
pub use measurement::{Kind, MAX_OBJECTS, Measurement};
pub use observe::{MAX_NAMED_REGIONS, Named, Observation, names_at, observe};
pub use pixels::Metric;
