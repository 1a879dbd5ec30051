//! Files and parts of tables that all kinds of scenes have.

use std::path::Path;

use cooper_model::{Error, Result};
use cooper_scenes::Camera;
use image::{DynamicImage, GrayImage, ImageFormat};
use serde_json::{Value, json};

use super::super::output;

/// Depth images count in thousandths of a metre; 0 is unknown.
const DEPTH_SCALE: f32 = 1000.0;

/// The name of a scene's file.
pub(super) fn name(index: u64, ending: &str) -> String {
    format!("{index:06}{ending}.png")
}

/// A scene's row of `depth.jsonl`.
pub(super) fn depth_row(index: u64) -> Value {
    json!({"rgb_image": name(index, ""), "depth_image": name(index, "_depth")})
}

/// A scene's row of `segmentation.jsonl`.
pub(super) fn segmentation_row(index: u64) -> Value {
    json!({
        "rgb_image": name(index, ""),
        "seg_image": name(index, "_segmentation"),
        "ids_image": name(index, "_ids"),
    })
}

/// Write metres in thousandths, saturating at 65.535 m.
pub(super) fn write_depth(path: &Path, size: [u32; 2], metres: &[f32]) -> Result<()> {
    let to_u16 = |metres: &f32| (metres * DEPTH_SCALE).round() as u16;
    output::write_u16_png(path, size, metres.iter().map(to_u16).collect())
}

/// Write an id or a class for each pixel.
pub(super) fn write_labels(path: &Path, size: [u32; 2], labels: &[u8]) -> Result<()> {
    let grey = GrayImage::from_raw(size[0], size[1], labels.to_vec());
    let grey =
        grey.ok_or_else(|| Error::Internal("a scene with fewer labels than pixels".into()))?;
    output::write_image(path, &DynamicImage::from(grey), ImageFormat::Png)
}

/// A file with one JSON object a line.
#[derive(Default)]
pub(super) struct Lines(pub(super) String);

impl Lines {
    pub(super) fn push(&mut self, row: &Value) {
        self.0 += &format!("{row}\n");
    }
}

/// The pose as a 4 x 4 matrix, rows first.
pub(super) fn camera_row(camera: &Camera) -> Value {
    let matrix = camera.world_from_camera.to_homogeneous();
    let rows: Vec<Vec<f64>> = matrix
        .row_iter()
        .map(|row| row.iter().copied().collect())
        .collect();
    json!({
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "world_from_camera": rows,
    })
}
