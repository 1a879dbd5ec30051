//! Segmentation from files on a disk to scores.

use cooper_model::model::Palette;
use cooper_model::perception::Segmentation;
use cooper_train::evaluation::Bootstrap;
use cooper_train::evaluation::segmentation::{
    SegmentationRow, SegmentationSource, segmentation_report,
};
use image::{GrayImage, Luma, Rgb, RgbImage, imageops};
use serde_json::{Value, json};

use crate::evaluation::{names, scenes};
use crate::evaluation_support::{folder, image, png};

#[test]
fn a_flawless_drawing_is_flawless_and_a_shifted_one_is_not() {
    let source = SegmentationSource::Scenes(scenes(5));
    let row = |i: usize, shift: i64| {
        let sample = source.load(i).unwrap();
        let mut drawn = sample.truth.image.clone();
        imageops::replace(&mut drawn, &sample.truth.image, shift, 0);
        SegmentationRow::new(
            sample.name,
            &sample.truth,
            &Segmentation::from_colors(drawn),
            None,
            0.0,
        )
    };
    let report = |shift| {
        let rows: Vec<SegmentationRow> = (0..5).map(|i| row(i, shift)).collect();
        segmentation_report(&rows, None, &Bootstrap::default()).results
    };
    let (flawless, shifted) = (report(0), report(5));
    for key in ["palette_pixels", "palette_iou", "palette_object_pixels"] {
        assert_eq!(flawless[key]["mean"], 1.0, "{key}");
    }
    assert_eq!(flawless["region_count_error"]["mean"], 0.0);
    let mean = |report: &Value, key: &str| report[key]["mean"].as_f64().unwrap();
    // One of the twelve objects covers fewer pixels than a region needs.
    assert!(mean(&flawless, "object_iou") > 0.9, "{flawless}");
    assert_eq!(flawless["object_iou"], flawless["reachable_object_iou"]);
    assert_eq!(shifted["reachable_object_iou"], flawless["object_iou"]);
    assert!(mean(&flawless, "boundary_f") > 0.98, "{flawless}");
    assert!(mean(&shifted, "object_iou") < 0.9, "{shifted}");
    assert!(mean(&shifted, "boundary_f") < 0.9, "{shifted}");
}

#[test]
fn ids_and_colours_beside_images_are_truths() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    for name in ["ids", "paint", "bare"] {
        std::fs::write(path(&format!("{name}.png")), png(&image(1))).unwrap();
    }
    let ids = GrayImage::from_fn(24, 16, |x, _| Luma([if x < 12 { 0 } else { 7 }]));
    ids.save(path("ids_ids.png")).unwrap();
    let paint = RgbImage::from_fn(24, 16, |x, _| Rgb(if x < 6 { [255, 0, 0] } else { [0; 3] }));
    paint.save(path("paint_segmentation.png")).unwrap();
    let (source, broken) = SegmentationSource::files(dir.path(), 3).unwrap();
    assert_eq!(names(&broken), ["bare"]);
    let [ids, painted] = [0, 1].map(|i| source.load(i).unwrap().truth);
    assert_eq!((ids.first_object, ids.ids[0], ids.ids[23]), (3, 0, 7));
    assert_eq!(
        (painted.first_object, painted.ids[0], painted.ids[23]),
        (0, 0, 1)
    );
    // Drawn at half the size; the left third of the object is missing.
    let drawn = RgbImage::from_fn(12, 8, |x, _| Rgb(if x < 8 { [9; 3] } else { [200; 3] }));
    let drawn = Segmentation::from_colors(drawn);
    let row = SegmentationRow::new("x".into(), &ids, &drawn, None, 1.0);
    assert_eq!(row.object_ious.len(), 1);
    assert!((row.object_ious[0] - 8.0 / 12.0).abs() < 1e-9, "{row:?}");
    assert_eq!((row.n_regions, row.n_true_regions), (2, 2));
    assert_eq!(row.palette, None);
}

#[test]
fn labels_beside_images_are_classes_of_a_palette() {
    let dir = folder();
    let path = |name: &str| dir.path().join(name);
    for name in ["a", "b"] {
        std::fs::write(path(&format!("{name}.png")), png(&image(1))).unwrap();
    }
    // The left half is a wall, the last column of the right one has no class.
    let labels = GrayImage::from_fn(24, 16, |x, _| {
        Luma([[3, 7, 255][(x / 12 + x / 23) as usize]])
    });
    labels.save(path("a_labels.png")).unwrap();
    let small = GrayImage::new(12, 16);
    small.save(path("b_labels.png")).unwrap();
    labels.save(path("b_ids.png")).unwrap();
    let (source, broken) = SegmentationSource::files(dir.path(), 3).unwrap();
    assert!(broken.is_empty(), "{broken:?}");
    let truth = source.load(0).unwrap().truth;
    let error = source.load(1).unwrap_err().to_string();
    assert!(
        error.contains("labels: expected 24x16, got 12x16"),
        "{error}"
    );
    let palette: Palette = serde_json::from_value(json!({"classes": [
        {"id": 3, "name": "wall", "colour": [128, 128, 128]},
        {"id": 7, "name": "chair", "colour": [0, 0, 255]}]}))
    .unwrap();
    // A third of the wall is drawn as a chair, in shades and at half the size.
    let drawn = RgbImage::from_fn(12, 8, |x, _| {
        Rgb(if x < 4 { [120, 128, 130] } else { [9, 9, 250] })
    });
    let drawn = Segmentation::from_palette(drawn, &palette);
    let row = SegmentationRow::new("a".into(), &truth, &drawn, Some(&palette), 1.0);
    assert!(row.object_ious.is_empty(), "{row:?}");
    let report = segmentation_report(&[row], Some(&palette), &Bootstrap::default());
    let right = (8.0 + 11.0) / 23.0;
    assert_eq!(report.results["class_pixels"]["mean"], json!(right));
    assert_eq!(report.results["by_class"]["pixels"], json!(right));
    let iou = |class: &str| report.results["by_class"]["classes"][class]["iou"].as_f64();
    assert_eq!(
        [iou("wall"), iou("chair")],
        [Some(8.0 / 12.0), Some(11.0 / 15.0)]
    );
    assert!(
        report.tables[1]
            .to_string()
            .contains("| chair | 0.478 | 0.733 |"),
        "{}",
        report.tables[1]
    );
}
