//! Depth in tables: the model, what it is worth without alignment, and what needs no model.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::metrics::{DepthScores, METRICS, Metric};
use crate::evaluation::statistics::{Bootstrap, Estimate};
use crate::evaluation::table::{Report, Table, dash, interval};

/// Where a map in metres came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The model, after the best scale and shift.
    Model,
    /// The model by the encoding's range, without looking at the truth.
    ModelMetric,
    /// The true median everywhere.
    Constant,
    /// A vertical gradient, after the best scale and shift.
    Gradient,
    /// The best plane.
    Plane,
    /// The mean depth image of training scenes, after the best scale and shift.
    MeanImage,
    /// The same as it is.
    MeanImageMetric,
}

/// The figures of one image.
#[derive(Clone, Debug, Serialize)]
pub struct DepthRow {
    /// The image's.
    pub name: String,
    /// By method.
    pub scores: BTreeMap<Method, DepthScores>,
    /// How long the model took.
    pub seconds: f64,
}

impl Method {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 7] = [
        Self::Model,
        Self::ModelMetric,
        Self::Constant,
        Self::Gradient,
        Self::Plane,
        Self::MeanImage,
        Self::MeanImageMetric,
    ];

    /// The name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::ModelMetric => "model_metric",
            Self::Constant => "constant",
            Self::Gradient => "gradient",
            Self::Plane => "plane",
            Self::MeanImage => "mean_image",
            Self::MeanImageMetric => "mean_image_metric",
        }
    }

    /// The name in tables.
    pub fn title(self) -> &'static str {
        match self {
            Self::Model => "model, aligned",
            Self::ModelMetric => "model, raw metres",
            Self::Constant => "constant (true median)",
            Self::Gradient => "vertical gradient, aligned",
            Self::Plane => "plane, fitted to the truth",
            Self::MeanImage => "mean training image, aligned",
            Self::MeanImageMetric => "mean training image, raw metres",
        }
    }
}

/// Means over images with intervals, for every method that was measured.
pub fn depth_report(rows: &[DepthRow], bootstrap: &Bootstrap) -> Report {
    let header = std::iter::once("method").chain(METRICS.iter().map(|m| m.name));
    let mut table = Table::new(format!("Depth, mean over {} images", rows.len()), header);
    let mut results = Map::new();
    for method in Method::ALL {
        let scores: Vec<&DepthScores> = rows
            .iter()
            .filter_map(|row| row.scores.get(&method))
            .collect();
        if scores.is_empty() {
            continue;
        }
        let estimate = |metric: &Metric| -> Option<Estimate> {
            let values: Vec<f64> = scores.iter().map(|s| (metric.value)(s)).collect();
            bootstrap.estimate(&values)
        };
        let cells = METRICS.iter().map(|metric| {
            let decimals = if metric.key == "si_log" { 2 } else { 3 };
            interval(estimate(metric), decimals)
        });
        table.row(std::iter::once(method.title().to_owned()).chain(cells));
        let figures: Map<String, Value> = METRICS
            .iter()
            .map(|metric| (metric.key.to_owned(), json!(estimate(metric))))
            .collect();
        results.insert(method.key().into(), figures.into());
    }
    let seconds: Vec<f64> = rows.iter().map(|row| row.seconds).collect();
    let seconds = bootstrap.estimate(&seconds);
    results.insert("seconds_per_picture".into(), json!(seconds));
    Report {
        tables: vec![table],
        notes: vec![
            "In brackets: the interval of 95 % of the means over resampled images.".into(),
            "Aligned: scale and shift by least squares on depth, for each image.".into(),
            format!(
                "{} s per image.",
                seconds.map_or_else(dash, |s| format!("{:.2}", s.mean))
            ),
        ],
        results: results.into(),
    }
}
