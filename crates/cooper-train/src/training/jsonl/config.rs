//! What a file of rows is: its form, its paths, how depth is stored.

use std::path::PathBuf;

use cooper_model::engine::Views;
use cooper_model::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file with one JSON object a line.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonlRows {
    /// The file. Required.
    pub file: PathBuf,
    /// What the rows are. Required.
    pub rows: RowForm,
    /// The folder that paths in rows start from; by default the file's own.
    #[serde(default)]
    pub root: Option<PathBuf>,
    /// The data set whose way of storing depth is used; rows of depth need this or `depth_scale`.
    #[serde(default)]
    pub dataset: Option<DepthDataset>,
    /// How depth is stored, in numbers; rows of depth need this or `dataset`.
    #[serde(default)]
    pub depth_scale: Option<DepthScale>,
    /// Keep the lowest 352 rows and the middle 1216 columns, as KITTI's benchmark; by default for `vkitti` and `kitti`.
    #[serde(default)]
    pub kitti_crop: Option<bool>,
    /// The chance that an image and its map are mirrored left to right, 0 to 1.
    #[serde(default = "half")]
    pub flip: f64,
    /// How generated images in `interleaved` rows are read: those behind the first text with a loss.
    #[serde(default)]
    pub generated_views: GeneratedViews,
}

fn half() -> f64 {
    0.5
}

/// What the rows of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowForm {
    /// An image and its depth map: `rgb_image`, `depth_image`.
    Depth,
    /// An image and its segmentation: `rgb_image`, `seg_image`.
    Segmentation,
    /// A conversation with images: `interleaved_reason`.
    Interleaved,
}

/// The part of an image that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crop {
    /// All of it.
    None,
    /// As KITTI's benchmark.
    Kitti,
}

/// How generated images are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GeneratedViews {
    /// With both encoders, as COOPER was trained.
    #[default]
    VaeAndVit,
    /// With the vision encoder alone, as COOPER answers.
    Vit,
}

impl From<GeneratedViews> for Views {
    fn from(views: GeneratedViews) -> Self {
        match views {
            GeneratedViews::VaeAndVit => Self::VaeAndVit,
            GeneratedViews::Vit => Self::Vit,
        }
    }
}

impl JsonlRows {
    /// Whether the keys fit each other.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |key: &str, why: String| Err(Error::invalid(format!("jsonl: {key}"), why));
        if !(0.0..=1.0).contains(&self.flip) {
            return refuse(
                "flip",
                format!("expected a chance from 0 to 1, got {}", self.flip),
            );
        }
        let n_scales =
            usize::from(self.dataset.is_some()) + usize::from(self.depth_scale.is_some());
        let n_wanted = usize::from(self.rows == RowForm::Depth);
        if n_scales != n_wanted {
            let why = format!(
                "expected {n_wanted} of these keys with rows: {}, got {n_scales}",
                serde_json::to_string(&self.rows).unwrap_or_default()
            );
            return refuse("dataset, depth_scale", why);
        }
        if self.rows == RowForm::Interleaved && self.kitti_crop.is_some() {
            return refuse(
                "kitti_crop",
                "expected no such key with rows: \"interleaved\"".into(),
            );
        }
        self.depth_scale.as_ref().map_or(Ok(()), DepthScale::check)
    }

    /// How the depth of the rows is stored.
    pub(super) fn scale(&self) -> Option<DepthScale> {
        self.depth_scale.or(self.dataset.map(DepthDataset::scale))
    }

    /// The part of images that is kept.
    pub(super) fn crop(&self) -> Crop {
        let kitti = [Some(DepthDataset::Kitti), Some(DepthDataset::Vkitti)];
        match self.kitti_crop.unwrap_or(kitti.contains(&self.dataset)) {
            true => Crop::Kitti,
            false => Crop::None,
        }
    }
}

/// Data sets whose depth is stored in a known way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DepthDataset {
    /// Virtual KITTI: centimetres, to 80 m.
    Vkitti,
    /// KITTI: 1/256 m, to 80 m.
    Kitti,
    /// Hypersim: millimetres, to 65 m.
    Hypersim,
    /// NYU: millimetres, to 10 m.
    Nyu,
}

impl DepthDataset {
    /// How it stores depth.
    pub fn scale(self) -> DepthScale {
        let (scale, lo, hi) = match self {
            Self::Vkitti => (100.0, 1e-5, 80.0),
            Self::Kitti => (256.0, 1e-5, 80.0),
            Self::Hypersim => (1000.0, 1e-5, 65.0),
            Self::Nyu => (1000.0, 1e-3, 10.0),
        };
        DepthScale { scale, lo, hi }
    }
}

/// How depth is stored and drawn.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DepthScale {
    /// Stored units of a metre, above 0.
    pub scale: f64,
    /// The depth that is drawn as 0, metres, from 0.
    pub lo: f64,
    /// The depth that is drawn as 1, metres, above `lo`.
    pub hi: f64,
}

impl DepthScale {
    fn check(&self) -> Result<()> {
        let Self { scale, lo, hi } = *self;
        if scale > 0.0 && scale.is_finite() && lo >= 0.0 && lo < hi && hi.is_finite() {
            return Ok(());
        }
        let why = format!("expected scale > 0 and 0 <= lo < hi, got {scale}, {lo}, {hi}");
        Err(Error::invalid("jsonl: depth_scale", why))
    }

    /// Stored depth in [0, 1].
    pub(super) fn relative(&self, stored: i32) -> f32 {
        let metres = (f64::from(stored) / self.scale).clamp(self.lo, self.hi);
        ((metres - self.lo) / (self.hi - self.lo)) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_depth_is_linear_between_the_ends_of_its_range() {
        for (dataset, stored, expected) in [
            (DepthDataset::Vkitti, 4000, 0.5),
            (DepthDataset::Kitti, 20_480, 1.0),
            (DepthDataset::Hypersim, 13_000, 0.2),
            (DepthDataset::Nyu, 2500, 0.249_925),
            (DepthDataset::Nyu, 65_535, 1.0),
            (DepthDataset::Nyu, 0, 0.0),
        ] {
            let got = dataset.scale().relative(stored);
            assert!((got - expected).abs() < 1e-6, "{dataset:?}: {got}");
        }
    }
}
