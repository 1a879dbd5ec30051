//! Segmentation in a table.

use cooper_model::model::Palette;
use cooper_model::perception::Segmentation;
use serde::Serialize;
use serde_json::{Map, json};

use super::boundary::{boundary_f, boundary_tolerance};
use super::classes::{ClassCounts, class_table};
use super::matching::{Overlap, object_ious};
use super::palette::{PaletteScores, palette_scores};
use super::source::SegmentationTruth;
use crate::evaluation::statistics::{Bootstrap, mean};
use crate::evaluation::table::{Report, Table, dash, interval};

/// The figures of one image.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentationRow {
    /// The image's.
    pub name: String,
    /// The IoU of each true object with its region, 0 without one.
    pub object_ious: Vec<f64>,
    /// The same of a flawless drawing: objects that are too small or cut in two cannot be met as one region.
    pub reachable_ious: Vec<f64>,
    /// How well edges lie on each other.
    pub boundary_f: f64,
    /// Drawn regions.
    pub n_regions: usize,
    /// Regions of a flawless drawing.
    pub n_true_regions: usize,
    /// By paints, where the truth is in the paints of scenes.
    pub palette: Option<PaletteScores>,
    /// By classes, where the truth has classes and the model a palette.
    pub classes: Option<ClassCounts>,
    /// How long the model took.
    pub seconds: f64,
}

impl SegmentationRow {
    /// Compare a drawing, of a model with this palette, with the truth; a drawing of another size is brought to the
    /// truth's.
    pub fn new(
        name: String,
        truth: &SegmentationTruth,
        drawn: &Segmentation,
        palette: Option<&Palette>,
        seconds: f64,
    ) -> Self {
        let (width, height) = (truth.width, truth.height);
        let fitted = (drawn.color.dimensions() != (width, height))
            .then(|| Segmentation::at_size(&drawn.color, (width, height), palette));
        let drawn = fitted.as_ref().unwrap_or(drawn);
        let flawless = Segmentation::from_colors(truth.image.clone());
        let ious = |drawn: &Segmentation| {
            let overlap = Overlap::new(&truth.ids, &drawn.labels);
            object_ious(&overlap, truth.first_object)
        };
        let tolerance = boundary_tolerance(width, height);
        Self {
            name,
            object_ious: ious(drawn),
            reachable_ious: ious(&flawless),
            boundary_f: boundary_f(&truth.ids, &drawn.labels, width, tolerance),
            n_regions: drawn.regions.len(),
            n_true_regions: flawless.regions.len(),
            palette: palette_scores(&truth.image, &drawn.color),
            classes: (truth.classes.as_ref().zip(palette))
                .map(|(classes, palette)| ClassCounts::of(palette, classes, &drawn.color)),
            seconds,
        }
    }

    /// By which images are put in order: mean IoU over objects, else boundary F.
    pub fn quality(&self) -> f64 {
        mean(&self.object_ious).unwrap_or(self.boundary_f)
    }

    fn count_error(&self) -> f64 {
        self.n_regions.abs_diff(self.n_true_regions) as f64
    }
}

/// What is measured: its name, its key in JSON, and its values in an image.
type Measure = (&'static str, &'static str, fn(&SegmentationRow) -> Vec<f64>);

const MEASURES: [Measure; 10] = [
    ("IoU over objects (matched regions)", "object_iou", |row| {
        row.object_ious.clone()
    }),
    (
        "the same of a flawless drawing",
        "reachable_object_iou",
        |row| row.reachable_ious.clone(),
    ),
    ("boundary F", "boundary_f", |row| vec![row.boundary_f]),
    ("region count error", "region_count_error", |row| {
        vec![row.count_error()]
    }),
    ("pixels in the right paint", "palette_pixels", |row| {
        row.palette.iter().map(|p| p.pixels).collect()
    }),
    (
        "the same, pixels of objects",
        "palette_object_pixels",
        |row| row.palette.iter().filter_map(|p| p.object_pixels).collect(),
    ),
    ("IoU by nearest paint, all classes", "palette_iou", |row| {
        row.palette
            .iter()
            .flat_map(|p| p.class_ious.clone())
            .collect()
    }),
    ("the same, objects", "palette_object_iou", |row| {
        row.palette
            .iter()
            .flat_map(|p| p.object_ious.clone())
            .collect()
    }),
    ("pixels of the right class", "class_pixels", |row| {
        row.classes.iter().filter_map(ClassCounts::share).collect()
    }),
    ("seconds per image", "seconds_per_picture", |row| {
        vec![row.seconds]
    }),
];

/// Means with intervals; objects and classes of one image are resampled together. With a palette, its classes too.
pub fn segmentation_report(
    rows: &[SegmentationRow],
    palette: Option<&Palette>,
    bootstrap: &Bootstrap,
) -> Report {
    let title = format!("Segmentation of {} images", rows.len());
    let mut table = Table::new(title, ["measure", "mean", "values"]);
    let mut results = Map::new();
    for (name, key, values_of) in MEASURES {
        let values = rows.iter().enumerate();
        let values: Vec<(usize, f64)> = values
            .flat_map(|(i, row)| values_of(row).into_iter().map(move |value| (i, value)))
            .collect();
        let estimate = bootstrap.clustered(&values);
        let n = estimate.map_or_else(dash, |e| e.n.to_string());
        table.row([name.to_owned(), interval(estimate, 3), n]);
        results.insert(key.into(), json!(estimate));
    }
    let mut tables = vec![table];
    if let Some(palette) = palette.filter(|_| rows.iter().any(|row| row.classes.is_some())) {
        let mut counts = ClassCounts::new(palette.classes().len());
        for row in rows {
            row.classes.iter().for_each(|own| counts.merge(own));
        }
        let (table, figures) = class_table(&counts, palette);
        tables.push(table);
        results.insert("by_class".into(), figures);
    }
    Report {
        tables,
        notes: vec![
            "In brackets: the interval of 95 % of the means over resampled images.".into(),
            "Boundary F: edges within 0.75 % of the diagonal, at least 1 pixel.".into(),
            "Region count error: mean of |drawn - true|, both found in flat colours in the same way.".into(),
        ],
        results: results.into(),
    }
}
