//! How a model draws depth, `depth_config.json`.

use serde::{Deserialize, Serialize};

/// Brightness at relative depth r is ln(1 + R·r) / ln(1 + R) with this R on the logarithmic curve: steps of one
/// brightness are steps of one ratio beyond 1 / R of the range (0.5 m of 10 m).
const RATIO: f32 = 20.0;

/// How a model draws depth, `depth_config.json`.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct DepthConfig {
    /// How relative depth becomes brightness.
    pub curve: DepthCurve,
    /// The model tells depths as a camera with this focal length, as a share of the image's width, would have to measure
    /// them to see the same image; if not given, it was trained on depths of one kind of camera as they are.
    ///
    /// Source: the canonical camera of Metric3D (arXiv 2307.10984), whose labels are transformed.
    pub canonical_focal: Option<f32>,
}

/// How relative depth (0 near, 1 far) becomes the brightness of a drawn depth map (0 black, 1 white).
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DepthCurve {
    /// Brightness is relative depth, as in COOPER's training data.
    #[default]
    Linear,
    /// Near things get more of the brightness: their depth is told as precisely as that of far ones, by ratio.
    Log,
}

impl DepthCurve {
    /// The brightness of a relative depth.
    pub fn encode(self, relative: f32) -> f32 {
        match self {
            Self::Linear => relative,
            Self::Log => (RATIO * relative).ln_1p() / RATIO.ln_1p(),
        }
    }

    /// The relative depth of a brightness.
    pub fn decode(self, brightness: f32) -> f32 {
        match self {
            Self::Linear => brightness,
            Self::Log => (brightness * RATIO.ln_1p()).exp_m1() / RATIO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_undoes_encoding_and_ends_stay() {
        for curve in [DepthCurve::Linear, DepthCurve::Log] {
            for i in 0..=20 {
                let relative = i as f32 / 20.0;
                assert!((curve.decode(curve.encode(relative)) - relative).abs() < 1e-6);
            }
            assert_eq!((curve.encode(0.0), curve.encode(1.0)), (0.0, 1.0));
        }
        assert!(DepthCurve::Log.encode(0.05) > 0.2);
    }
}
