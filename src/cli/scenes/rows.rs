//! Parts of tables that all kinds of scenes have.

use cooper_scenes::Camera;
use serde_json::{Value, json};

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
