//! Choices of the node's own parameters: enums whose variants' names are the parameters' values.

use serde::{Deserialize, Serialize};

use super::names;

/// How a camera's images travel: `cameras.N.transport`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Plain pixels.
    #[default]
    Raw,
    /// JPEG or PNG.
    Compressed,
}

/// Which quality of service is asked of a camera: `cameras.N.reliability`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reliability {
    /// Every publisher is heard; lost frames are not sent again.
    #[default]
    BestEffort,
    /// Lost frames are sent again.
    Reliable,
}

/// Where a camera's metres come from: `cameras.N.scale.source`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScaleSource {
    /// Nowhere: there is relative depth only.
    #[default]
    None,
    /// A reference depth image.
    Depth,
    /// The camera's height over the floor.
    Height,
}

impl ScaleSource {
    /// The parameter's value.
    pub fn word(self) -> &'static str {
        names::declared::<Self>()[self as usize]
    }
}

/// The number format of metric depth: `depth.encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum DepthEncoding {
    /// 32-bit floats in metres; NaN is invalid.
    #[default]
    #[serde(rename = "32FC1")]
    Metres,
    /// 16-bit integers in millimetres; 0 is invalid.
    #[serde(rename = "16UC1")]
    Millimetres,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_called_as_in_the_parameter() {
        let words = [ScaleSource::None, ScaleSource::Depth, ScaleSource::Height];
        assert_eq!(words.map(ScaleSource::word), ["none", "depth", "height"]);
    }
}
