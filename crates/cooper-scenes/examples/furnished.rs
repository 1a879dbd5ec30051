//! Measures furnished rooms and draws a contact sheet:
//! `cargo run --release -p cooper-scenes --example furnished -- [SHEET.png] [CONFIG.json] [FIRST] [SPLIT]`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use cooper_scenes::{FurnishedConfig, FurnishedRooms, FurnishedScene, PALETTE, Split};
use image::{Rgb, RgbImage, imageops};

const COLUMNS: u64 = 4;
const ROWS: u64 = 5;
const THREADS: usize = 2;
const MEASURED: u64 = 240;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let config: FurnishedConfig = arguments
        .get(1)
        .map(|json| serde_json::from_str(json).expect("a configuration"))
        .unwrap_or_default();
    let first: u64 = arguments
        .get(2)
        .map_or(0, |text| text.parse().expect("a number"));
    let split = match arguments.get(3).map(String::as_str) {
        Some("test") => Split::Test,
        Some("validation") => Split::Validation,
        _ => Split::Train,
    };
    let rooms = FurnishedRooms::open(config).expect("furniture");
    if let Some(path) = arguments.first() {
        sheet(&rooms, split, first).save(path).expect("a file");
        return;
    }
    census(&rooms);
    let started = Instant::now();
    let faults = rooms.load_all();
    println!(
        "loading all: {:.1} s, {} cannot be used",
        started.elapsed().as_secs_f64(),
        faults.len()
    );
    for (id, why) in faults {
        println!("  {id}: {why}");
    }
    measure(&rooms, split);
    measure(&rooms, split);
}

fn census(rooms: &FurnishedRooms) {
    let models = rooms.models();
    let mut by_class: BTreeMap<(u8, &str), [usize; 3]> = BTreeMap::new();
    for model in &models {
        let name = PALETTE
            .get(usize::from(model.class))
            .map_or("unlabelled", |class| class.name);
        by_class.entry((model.class, name)).or_default()[model.split as usize - 1] += 1;
    }
    println!("{} models; by class: train, validation, test", models.len());
    for ((_, name), counts) in by_class {
        println!("  {name}: {counts:?}");
    }
}

/// Scenes a second with two threads; the second call finds all models loaded.
fn measure(rooms: &FurnishedRooms, split: Split) {
    let next = AtomicU64::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= MEASURED {
                        break;
                    }
                    std::hint::black_box(rooms.scene(split, index));
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{MEASURED} scenes in {seconds:.2} s with {THREADS} threads: {:.1} a second",
        MEASURED as f64 / seconds
    );
}

fn sheet(rooms: &FurnishedRooms, split: Split, first: u64) -> RgbImage {
    let [width, height] = [rooms.config().width, rooms.config().height];
    let mut sheet = RgbImage::new(width * COLUMNS as u32, 2 * height * ROWS as u32);
    for i in 0..COLUMNS * ROWS {
        let scene = rooms.scene(split, first + i);
        let (x, y) = (
            (i % COLUMNS) as i64 * i64::from(width),
            (i / COLUMNS) as i64 * 2 * i64::from(height),
        );
        imageops::replace(&mut sheet, &scene.image, x, y);
        let (depth, labels) = (depth_image(&scene), scene.segmentation_image());
        let half = |image: &RgbImage| imageops::thumbnail(image, width / 2, height);
        imageops::replace(&mut sheet, &half(&depth), x, y + i64::from(height));
        imageops::replace(
            &mut sheet,
            &half(&labels),
            x + i64::from(width / 2),
            y + i64::from(height),
        );
        let names: Vec<&str> = scene
            .objects
            .iter()
            .map(|object| object.name.as_str())
            .collect();
        println!(
            "{}: {:?} {:?} {}",
            first + i,
            scene.world,
            scene.room_m,
            names.join(", ")
        );
    }
    sheet
}

fn depth_image(scene: &FurnishedScene) -> RgbImage {
    let mut depth = scene.relative_depth(0.0, 6.0).into_iter();
    RgbImage::from_fn(scene.image.width(), scene.image.height(), |_, _| {
        Rgb([(255.0 * depth.next().unwrap_or(0.0)) as u8; 3])
    })
}
