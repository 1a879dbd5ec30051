//! Classes of pixels: how many are right, and the IoU of each class over all images.

use cooper_model::model::Palette;
use image::RgbImage;
use serde::Serialize;
use serde_json::{Value, json};

use crate::evaluation::table::Table;

/// Pixels of the classes of a palette, by their places in it; pixels without a true class do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassCounts(Vec<ClassCount>);

/// Pixels of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct ClassCount {
    truth: u64,
    drawn: u64,
    both: u64,
}

impl ClassCounts {
    /// No pixels of `n` classes.
    pub fn new(n: usize) -> Self {
        Self(vec![ClassCount::default(); n])
    }

    /// Compare a drawing in a palette's colours with true classes (ids, row-major, of the same size).
    pub fn of(palette: &Palette, truth: &[u8], drawn: &RgbImage) -> Self {
        let classes = palette.classes();
        let paints: Vec<[u8; 3]> = classes.iter().map(|class| class.color).collect();
        let mut counts = Self::new(classes.len());
        for (truth, drawn) in truth.iter().zip(drawn.pixels()) {
            if let Some(truth) = classes.iter().position(|class| class.id == *truth) {
                counts.add(truth, super::nearest_paint(&paints, drawn.0));
            }
        }
        counts
    }

    /// A pixel of the class at the place `truth` that was drawn as the one at the place `drawn`.
    pub fn add(&mut self, truth: usize, drawn: usize) {
        self.0[truth].truth += 1;
        self.0[drawn].drawn += 1;
        self.0[truth].both += u64::from(truth == drawn);
    }

    /// Add another image's.
    pub fn merge(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            own.truth += other.truth;
            own.drawn += other.drawn;
            own.both += other.both;
        }
    }

    /// Pixels with the right class, and all that have a true one.
    pub fn pixels(&self) -> (u64, u64) {
        let right = self.0.iter().map(|count| count.both).sum();
        (right, self.0.iter().map(|count| count.truth).sum())
    }

    /// The share of pixels with the right class; none without any.
    pub fn share(&self) -> Option<f64> {
        let (right, all) = self.pixels();
        (all > 0).then(|| right as f64 / all as f64)
    }

    /// The IoU of each class, by its place; none where the truth has no pixel of it.
    pub fn ious(&self) -> impl Iterator<Item = Option<f64>> {
        self.0.iter().map(|count| {
            let either = count.truth + count.drawn - count.both;
            (count.truth > 0).then(|| count.both as f64 / either as f64)
        })
    }

    /// The mean of the IoUs; none without any.
    pub fn mean_iou(&self) -> Option<f64> {
        let ious: Vec<f64> = self.ious().flatten().collect();
        crate::evaluation::statistics::mean(&ious)
    }
}

/// A table of classes with the same figures for programs.
pub(super) fn class_table(counts: &ClassCounts, palette: &Palette) -> (Table, Value) {
    let (_, all) = counts.pixels();
    let figure =
        |x: Option<f64>| x.map_or_else(crate::evaluation::table::dash, |x| format!("{x:.3}"));
    let mut table = Table::new(
        "Classes, over all pixels",
        ["class", "share of the truth", "IoU"],
    );
    let mut by_class = serde_json::Map::new();
    for ((class, count), iou) in palette.classes().iter().zip(&counts.0).zip(counts.ious()) {
        let share = (all > 0).then(|| count.truth as f64 / all as f64);
        table.row([class.name.clone(), figure(share), figure(iou)]);
        by_class.insert(class.name.clone(), json!({"share": share, "iou": iou}));
    }
    let (share, mean) = (counts.share(), counts.mean_iou());
    table.row([
        "mean of the classes that are there".into(),
        String::new(),
        figure(mean),
    ]);
    table.row([
        "pixels with the right class".into(),
        figure(share),
        String::new(),
    ]);
    let figures = json!({"pixels": share, "mean_iou": mean, "classes": by_class});
    (table, figures)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn pixels_and_ious_count_over_images_and_only_where_the_truth_has_a_class() {
        let palette: Palette = serde_json::from_value(json!({"classes": [
            {"id": 3, "name": "wall", "colour": [128, 128, 128]},
            {"id": 7, "name": "chair", "colour": [0, 0, 255]},
            {"id": 9, "name": "lamp", "colour": [128, 0, 204]}]}))
        .unwrap();
        let drawn = |colors: [[u8; 3]; 4]| RgbImage::from_fn(4, 1, |x, _| Rgb(colors[x as usize]));
        let grey = [120, 130, 128];
        let blue = [9, 0, 240];
        let mut counts =
            ClassCounts::of(&palette, &[3, 3, 7, 255], &drawn([grey, blue, blue, grey]));
        assert_eq!(counts.share(), Some(2.0 / 3.0));
        counts.merge(&ClassCounts::of(
            &palette,
            &[7, 7, 3, 3],
            &drawn([blue, grey, grey, grey]),
        ));
        assert_eq!(counts.pixels(), (5, 7));
        let ious: Vec<_> = counts.ious().collect();
        assert_eq!(ious, [Some(3.0 / 5.0), Some(2.0 / 4.0), None]);
        let (table, figures) = class_table(&counts, &palette);
        assert_eq!(table.rows[1], ["chair", "0.429", "0.500"]);
        assert_eq!(figures["mean_iou"], json!(0.55));
        assert_eq!(ClassCounts::new(2).share(), None);
    }
}
