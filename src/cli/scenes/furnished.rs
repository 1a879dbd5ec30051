//! Furnished rooms: image, depth, segmentation, labels, ids, and what is known about each scene.

use std::ops::Range;
use std::path::Path;

use cooper_model::{Error, Result};
use cooper_scenes::{
    FurnishedConfig, FurnishedObject, FurnishedRooms, FurnishedScene, PALETTE, Split, UNLABELLED,
};
use rayon::prelude::*;
use serde_json::{Value, json};

use super::super::output;
use super::super::progress::note;
use super::rows::{
    Lines, camera_row, depth_row, name, segmentation_row, write_depth, write_labels,
};

/// So many scenes are made side by side before progress is told.
const BATCH: usize = 32;

/// Write scenes of a split and the tables that name their files.
pub(super) fn write(
    folder: &Path,
    config: FurnishedConfig,
    split: Split,
    range: Range<u64>,
) -> Result<()> {
    if config.worlds.is_some() && split != Split::Train {
        let why = "expected --split train, got another: worlds are rooms to learn from";
        return Err(Error::invalid("--worlds", why));
    }
    let rooms = FurnishedRooms::open(config)?;
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let palette = json!({"unlabelled": UNLABELLED, "classes": PALETTE});
    output::write_json(&folder.join("palette.json"), &palette)?;
    let (mut depth, mut segmentation, mut scenes) =
        (Lines::default(), Lines::default(), Vec::new());
    let indices: Vec<u64> = range.collect();
    for batch in indices.chunks(BATCH) {
        let made: Vec<Result<Value>> = batch
            .par_iter()
            .map(|&index| write_scene(folder, &rooms.scene(split, index)))
            .collect();
        for (row, &index) in made.into_iter().zip(batch) {
            let row = row?;
            depth.push(&rgbd_row(index, &row["camera"]));
            segmentation.push(&segmentation_row(index));
            scenes.push(row);
        }
        note(&format!("scenes: {} of {}", scenes.len(), indices.len()));
    }
    output::write(&folder.join("depth.jsonl"), depth.0.as_bytes())?;
    output::write(
        &folder.join("segmentation.jsonl"),
        segmentation.0.as_bytes(),
    )?;
    output::write_json(&folder.join("scenes.json"), &scenes)
}

/// A scene's row of `depth.jsonl`, as training reads RGB-D files.
fn rgbd_row(index: u64, camera: &Value) -> Value {
    let mut row = depth_row(index);
    row["labels_image"] = json!(name(index, "_labels"));
    row["intrinsics"] = json!({"fx": camera["fx"], "fy": camera["fy"]});
    row
}

/// Write a scene's images; its row of `scenes.json`.
fn write_scene(folder: &Path, scene: &FurnishedScene) -> Result<Value> {
    let size = scene.image.dimensions().into();
    let path = |ending| folder.join(name(scene.index, ending));
    output::write_rgb_png(&path(""), &scene.image)?;
    write_depth(&path("_depth"), size, &scene.depth)?;
    output::write_rgb_png(&path("_segmentation"), &scene.segmentation_image())?;
    for (ending, values) in [("_ids", &scene.ids), ("_labels", &scene.labels)] {
        write_labels(&path(ending), size, values)?;
    }
    Ok(scene_row(scene))
}

fn scene_row(scene: &FurnishedScene) -> Value {
    json!({
        "image": name(scene.index, ""),
        "labels_image": name(scene.index, "_labels"),
        "index": scene.index,
        "split": scene.split,
        "camera": camera_row(&scene.camera),
        "room_m": scene.room_m,
        "world": scene.world,
        "objects": scene.objects.iter().map(object_row).collect::<Vec<_>>(),
    })
}

fn object_row(object: &FurnishedObject) -> Value {
    let bounds = object.bounding_box;
    let class = PALETTE
        .get(usize::from(object.class))
        .map(|class| class.name);
    json!({
        "name": object.name,
        "class": class,
        "color": object.color,
        "model": object.model,
        "stands_on": object.stands_on,
        "size_m": object.size_m,
        "yaw_rad": object.yaw,
        "center_in_world": object.center_in_world.coords.as_slice(),
        "center_in_camera": object.center_in_camera.coords.as_slice(),
        "visible_pixels": object.visible_pixels,
        "visible_share": object.visible_share,
        "bounding_box": [bounds.x, bounds.y, bounds.width, bounds.height],
        "centroid": [object.centroid.x, object.centroid.y],
        "nearest_m": object.nearest_m,
    })
}
