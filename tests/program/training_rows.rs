//! Rows in the public training set's form become the samples that the recipe asks for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cooper_imaging::ResizeRule;
use cooper_model::engine::Views;
use cooper_model::reasoning::Prompts;
use cooper_train::training::{
    Author, DenseTarget, Mixture, Part, Sample, Target, Weighted, rng_at,
};
use image::{ImageBuffer, Luma, RgbImage, imageops};
use serde_json::{Value, json};

use crate::training_support as training;
use crate::training_support::{
    HEIGHT, WIDTH, all_rows, depth, folder, image, write_lines, write_rows,
};

/// Keeps 64 x 48, and shrinks what is larger.
const RULE: ResizeRule = ResizeRule {
    max_size: 64,
    min_size: 16,
    stride: 16,
    max_pixels: 1 << 20,
};

/// Samples number `n` of one source.
fn samples(source: &Value, n: impl Iterator<Item = u64>) -> Vec<Sample> {
    let data: Vec<Weighted> = serde_json::from_value(json!([source])).unwrap();
    let target = DenseTarget::default();
    let fit = (RULE, &target);
    let mixture = Mixture::open(&data, Prompts::built_in().unwrap(), fit, 5).unwrap();
    n.map(|n| mixture.sample(n, &mut rng_at(1, n as usize, 0)).unwrap().1)
        .collect()
}

fn first(source: &Value) -> Sample {
    samples(source, 0..1).remove(0)
}

fn key(source: &Value, key: &str, value: Value) -> Value {
    let mut source = source.clone();
    source["jsonl"][key] = value;
    source
}

/// The image and the target of a row of stage 1, which has nothing else but the instruction.
#[track_caller]
fn seen_and_drawn(sample: &Sample, instruction: &str) -> (Arc<RgbImage>, Target) {
    let [
        Part::Read { image, views },
        Part::Text { text, by },
        Part::Draw(target),
    ] = &sample.trunk[..]
    else {
        panic!("{sample:?}");
    };
    assert!(sample.branches.is_empty());
    assert_eq!(
        (*views, *by, text.as_str()),
        (Views::VaeAndVit, Author::Prompt, instruction)
    );
    (image.clone(), target.clone())
}

#[test]
fn depth_is_drawn_between_the_ends_of_its_range_and_mirrored_with_its_image() {
    let dir = folder();
    write_rows(dir.path(), 1);
    let [source, ..] = all_rows(dir.path());
    let prompts = Prompts::built_in().unwrap();
    for (flip, name) in [(0, "as it is"), (1, "mirrored")] {
        let sample = first(&key(&source, "flip", json!(flip)));
        let (seen, target) = seen_and_drawn(&sample, &prompts.depth_instruction);
        let (mut expected, mut map) = (image(0), depth(0));
        if flip == 1 {
            (expected, map) = (
                imageops::flip_horizontal(&expected),
                imageops::flip_horizontal(&map),
            );
        }
        assert!(*seen == expected, "{name}");
        let Target::Depth {
            values,
            width,
            height,
        } = target
        else {
            panic!("{name}: not depth");
        };
        assert_eq!((width, height), (WIDTH, HEIGHT));
        for (value, stored) in values.iter().zip(map.pixels()) {
            let metres = (f32::from(stored.0[0]) / 100.0).clamp(0.5, 40.0);
            assert!((value - (metres - 0.5) / 39.5).abs() < 1e-5, "{name}");
        }
    }
    let flips = samples(&source, 0..64).into_iter();
    let n_mirrored = flips
        .filter(|sample| *seen_and_drawn(sample, &prompts.depth_instruction).0 != image(0))
        .count();
    assert!((20..44).contains(&n_mirrored), "{n_mirrored} of 64");
}

#[test]
fn segmentations_are_drawn_as_images() {
    let dir = folder();
    write_rows(dir.path(), 1);
    let source = key(&all_rows(dir.path())[1], "flip", json!(0));
    let prompts = Prompts::built_in().unwrap();
    let (seen, target) = seen_and_drawn(&first(&source), &prompts.segmentation_instruction);
    assert!(*seen == image(0));
    assert!(matches!(target, Target::Image(drawn) if *drawn == image(1)));
}

/// A row of images as large as Virtual KITTI's, black but for the part that its benchmark keeps.
fn write_kitti(dir: &Path) -> Value {
    let (width, height) = (1242, 375);
    let inside = |x: u32, y: u32| (13..13 + 1216).contains(&x) && y >= 23;
    let rgb = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb(if inside(x, y) { [90, 160, 20] } else { [0; 3] })
    });
    rgb.save(dir.join("wide.png")).unwrap();
    let map: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_fn(width, height, |x, y| {
        Luma([if inside(x, y) { 2000 } else { 65_535 }])
    });
    map.save(dir.join("wide_depth.png")).unwrap();
    let row = json!({"rgb_image": "wide.png", "depth_image": "wide_depth.png"});
    write_lines(&dir.join("wide.jsonl"), &[row]);
    json!({"jsonl": {"file": dir.join("wide.jsonl"), "rows": "depth", "dataset": "vkitti"}})
}

#[test]
fn virtual_kitti_is_cut_as_its_benchmark_does() {
    let dir = folder();
    let source = write_kitti(dir.path());
    let prompts = Prompts::built_in().unwrap();
    let (seen, target) = seen_and_drawn(&first(&source), &prompts.depth_instruction);
    assert_eq!(seen.dimensions(), (1216, 352));
    assert!(seen.pixels().all(|pixel| pixel.0 == [90, 160, 20]));
    let Target::Depth {
        values,
        width,
        height,
    } = target
    else {
        panic!("not depth");
    };
    assert_eq!((width, height), RULE.output_size(1216, 352));
    assert_eq!(values.len(), (width * height) as usize);
    assert!(
        values.iter().all(|value| (value - 0.25).abs() < 1e-5),
        "20 m of 80"
    );
    let whole = first(&key(&source, "kitti_crop", json!(false)));
    let (seen, _) = seen_and_drawn(&whole, &prompts.depth_instruction);
    assert_eq!(seen.dimensions(), (1242, 375));
}

#[test]
fn a_conversation_keeps_its_order_and_learns_what_needs_a_loss() {
    let dir = folder();
    write_rows(dir.path(), 1);
    let source = &all_rows(dir.path())[2];
    let prompts = Prompts::built_in().unwrap();
    for (views, expected) in [("vit", Views::Vit), ("vae_and_vit", Views::VaeAndVit)] {
        let sample = first(&key(source, "generated_views", json!(views)));
        let told: Vec<(Option<Author>, Option<Views>)> = sample
            .trunk
            .iter()
            .map(|part| match part {
                Part::Text { by, .. } => (Some(*by), None),
                Part::Read { views, .. } => (None, Some(*views)),
                other => panic!("{other:?}"),
            })
            .collect();
        let (prompt, model) = ((Some(Author::Prompt), None), (Some(Author::Model), None));
        let question = (None, Some(Views::VaeAndVit));
        let generated = (None, Some(expected));
        assert_eq!(
            told,
            [prompt, question, prompt, model, generated, prompt, model]
        );
        let texts: Vec<&str> = sample
            .trunk
            .iter()
            .filter_map(|part| match part {
                Part::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(texts[0], prompts.interleave_system);
        assert_eq!(texts[2], "<think>near the ball</think>");
        assert!(matches!(&sample.trunk[4], Part::Read { image: map, .. } if **map == image(1)));
    }
}

#[test]
fn each_row_comes_once_before_any_comes_again() {
    let dir = folder();
    write_rows(dir.path(), 6);
    let source = key(&all_rows(dir.path())[1], "flip", json!(0));
    let numbers = |n: std::ops::Range<u64>| -> Vec<usize> {
        let samples = samples(&source, n).into_iter();
        let seen = samples.map(|sample| match &sample.trunk[0] {
            Part::Read { image: seen, .. } => (0..6).position(|i| image(i) == **seen).unwrap(),
            other => panic!("{other:?}"),
        });
        seen.collect()
    };
    let drawn = numbers(0..60);
    let epochs: BTreeSet<Vec<usize>> = drawn.chunks(6).map(<[usize]>::to_vec).collect();
    for epoch in &epochs {
        let rows: BTreeSet<usize> = epoch.iter().copied().collect();
        assert_eq!(rows.len(), 6, "{epoch:?}");
    }
    assert!(epochs.len() > 6, "orders differ: {epochs:?}");
    assert_eq!(numbers(30..40), drawn[30..40], "whatever was asked before");
}

#[test]
fn what_cooper_scenes_writes_is_trained_on() {
    let dir = folder();
    let scenes = dir.path().join("scenes");
    let size = ["--n", "2", "--width", "64", "--height", "48"];
    let mut cooper = Command::new(env!("CARGO_BIN_EXE_cooper"));
    let written = cooper
        .arg("scenes")
        .arg(&scenes)
        .args(size)
        .output()
        .unwrap();
    assert!(written.status.success(), "{}", training::stderr(&written));
    let mut config = training::short_run(dir.path(), "out");
    config["run"]["steps"] = json!(1);
    let [depth, segmentation, _] = all_rows(&scenes);
    let millimetres = json!({"scale": 1000, "lo": 0, "hi": 10});
    config["data"] = json!([key(&depth, "depth_scale", millimetres), segmentation]);
    assert!(training::train("amg", &config).is_dir());
}
