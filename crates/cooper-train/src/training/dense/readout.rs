//! How well what is read from an encoder's tokens tells depth and classes of images that are not trained on.

use cooper_model::Result;
use cooper_model::model::Grid;

use super::cells::CELLS;
use super::image::DenseImage;
use super::palette::ClassSet;
use crate::evaluation::depth::{Crop, DepthProtocol, DepthScores, DepthTask, DepthTruth};
use crate::evaluation::segmentation::ClassCounts;
use crate::training::stage::Metrics;

/// Depth that counts, metres.
const RANGE_M: [f64; 2] = [0.0, 10.0];

/// Scores of one set of images.
#[derive(Debug)]
pub(in crate::training) struct Readout {
    sums: Metrics,
    classes: ClassCounts,
}

/// What is read for the cells of one image, in (patch, cell row, cell column) order.
#[derive(Debug)]
pub(in crate::training) struct CellReading {
    /// The logarithm of metres.
    pub(in crate::training) log_depth: Vec<f32>,
    /// The place of the likeliest class.
    pub(in crate::training) classes: Vec<usize>,
}

impl Readout {
    /// No scores yet.
    pub(in crate::training) fn new(classes: &ClassSet) -> Self {
        Self {
            sums: Metrics::new(),
            classes: ClassCounts::new(classes.len()),
        }
    }

    /// Score an image of so many patches.
    ///
    /// # Errors
    /// If the reading has numbers that are no numbers.
    pub(in crate::training) fn add(
        &mut self,
        image: &DenseImage,
        classes: &ClassSet,
        grid: Grid,
        reading: &CellReading,
    ) -> Result<()> {
        let (width, height) = image.rgb.dimensions();
        let truth = DepthTruth {
            width,
            height,
            metres: image.depth.clone(),
        };
        let protocol = DepthProtocol {
            range_m: RANGE_M,
            crop: Crop::None,
        };
        // An image without any depth that counts has no scores of depth.
        if let Ok(task) = DepthTask::new(&truth, &protocol) {
            self.add_depth(&task, grid, &reading.log_depth)?;
        }
        self.add_classes(image, classes, grid, &reading.classes);
        Ok(())
    }

    fn add_depth(&mut self, task: &DepthTask, grid: Grid, log_depth: &[f32]) -> Result<()> {
        let rows = CELLS * grid.rows;
        let columns = CELLS * grid.columns;
        let [_, far] = RANGE_M;
        let relative: Vec<f32> = (0..rows * columns)
            .map(|i| log_depth[cell(grid, i % columns, i / columns)].exp() / far as f32)
            .collect();
        let relative = task.fitted(&relative, columns as u32, rows as u32)?;
        let scores = [
            ("aligned", task.scores(&task.aligned(&relative))),
            ("raw", task.scores(&task.metric(&relative))),
        ];
        for (kind, scores) in scores {
            let Some(DepthScores {
                delta1, abs_rel, ..
            }) = scores
            else {
                continue;
            };
            for (name, score) in [("delta1", delta1), ("abs_rel", abs_rel)] {
                let entry = self.sums.entry(format!("{kind}_{name}")).or_default();
                entry.0 += score;
                entry.1 += 1.0;
            }
        }
        Ok(())
    }

    fn add_classes(&mut self, image: &DenseImage, set: &ClassSet, grid: Grid, read: &[usize]) {
        let (width, height) = (image.rgb.width() as usize, image.rgb.height() as usize);
        let (columns, rows) = (CELLS * grid.columns, CELLS * grid.rows);
        for (i, label) in image.labels.iter().enumerate() {
            let Some(truth) = set.place(*label) else {
                continue;
            };
            let (x, y) = (i % width * columns / width, i / width * rows / height);
            self.classes.add(truth, read[cell(grid, x, y)]);
        }
    }

    /// Means over images; pixels with the right class, and the mean IoU of the classes that are there.
    pub(in crate::training) fn metrics(mut self) -> Metrics {
        let (right, all) = self.classes.pixels();
        if let Some(mean_iou) = self.classes.mean_iou() {
            self.sums
                .insert("class_pixels".into(), (right as f64, all as f64));
            self.sums.insert("mean_iou".into(), (mean_iou, 1.0));
        }
        self.sums
    }
}

/// The place of the cell in this column and row.
fn cell(grid: Grid, x: usize, y: usize) -> usize {
    let patch = y / CELLS * grid.columns + x / CELLS;
    (patch * CELLS + y % CELLS) * CELLS + x % CELLS
}

#[cfg(test)]
mod tests {
    use cooper_scenes::UNLABELLED;
    use image::RgbImage;

    use super::super::image::DepthUnit;
    use super::*;

    #[test]
    fn the_truth_itself_has_full_marks_and_another_scale_only_after_alignment() {
        let grid = Grid {
            rows: 1,
            columns: 2,
        };
        // 4 columns and 2 rows of cells, each one pixel.
        let depth = [1.0f32, 2.0, 3.0, 4.0, 2.0, 3.0, 4.0, 5.0];
        let image = DenseImage {
            rgb: RgbImage::new(4, 2),
            depth: depth.to_vec(),
            unit: DepthUnit::Metres,
            labels: vec![0, 0, 1, UNLABELLED, 0, 0, 1, 1],
            colors: None,
            focal: None,
        };
        let order = [0, 1, 4, 5, 2, 3, 6, 7];
        let mut readout = Readout::new(&ClassSet::Scenes);
        let reading = CellReading {
            log_depth: order.map(|i| (2.0 * depth[i]).ln()).to_vec(),
            classes: order.map(|i| [0, 0, 1, 1, 0, 1, 1, 1][i]).to_vec(),
        };
        readout
            .add(&image, &ClassSet::Scenes, grid, &reading)
            .unwrap();
        let metrics = readout.metrics();
        let mean = |name: &str| metrics[name].0 / metrics[name].1;
        assert!((mean("aligned_delta1") - 1.0).abs() < 1e-9);
        assert!(mean("aligned_abs_rel") < 1e-6 && mean("raw_delta1") < 0.2);
        assert!((mean("class_pixels") - 6.0 / 7.0).abs() < 1e-9);
        assert!((mean("mean_iou") - (3.0 / 4.0 + 3.0 / 4.0) / 2.0).abs() < 1e-9);
    }
}
