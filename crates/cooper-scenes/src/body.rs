//! An object that stands in a room.

use super::colors::ColorName;
use super::solid::Solid;

/// An object before its pixels are known.
#[derive(Clone, Debug)]
pub(super) struct Body {
    /// Its shape and place.
    pub solid: Solid,
    /// Its colour.
    pub color: ColorName,
    /// The index of the body under it; the floor otherwise.
    pub stands_on: Option<usize>,
}
