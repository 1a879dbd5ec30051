//! The node's topics in a bag: their names, and a frame's maps and answer as messages on them.

use std::collections::BTreeSet;

use cooper_bag::{Camera, Image, NODE, Output, Times, schemas};
use cooper_imaging::Raster;
use cooper_model::Result;
use cooper_model::perception::{DepthMap, Segmentation};
use cooper_perception::config::interfaces::{self, Interface};
use cooper_perception::pipeline::Frame;

use super::answer::{ANSWER, Answer};

/// What is written of a camera.
const MAPS: [Interface; 5] = [
    interfaces::DEPTH_RELATIVE,
    interfaces::DEPTH_COLOR,
    interfaces::SEGMENTATION_COLOR,
    interfaces::SEGMENTATION_LABELS,
    interfaces::OVERLAY,
];

/// The topics of the maps of `cameras`, and that of the answers.
pub(super) fn node_topics<'a>(cameras: impl IntoIterator<Item = &'a Camera>) -> BTreeSet<String> {
    let maps = |camera: &Camera| MAPS.map(|interface| topic(&interface, &camera.name));
    let answer = topic(&interfaces::ANSWER, "");
    cameras.into_iter().flat_map(maps).chain([answer]).collect()
}

/// Write a frame's depth as the node publishes it.
pub(super) fn write_depth(
    output: &mut Output,
    frame: &Frame,
    times: Times,
    map: &DepthMap,
) -> Result<()> {
    for (interface, raster) in [
        (&interfaces::DEPTH_RELATIVE, map.raster()),
        (&interfaces::DEPTH_COLOR, Raster::rgb(&map.color())),
    ] {
        write_map(output, interface, frame, times, raster)?;
    }
    Ok(())
}

/// Write a frame's segmentation as the node publishes it.
pub(super) fn write_segmentation(
    output: &mut Output,
    frame: &Frame,
    times: Times,
    map: &Segmentation,
) -> Result<()> {
    for (interface, raster) in [
        (&interfaces::SEGMENTATION_COLOR, Raster::rgb(&map.color)),
        (&interfaces::SEGMENTATION_LABELS, map.raster()),
        (
            &interfaces::OVERLAY,
            Raster::rgb(&map.overlay(&frame.image)),
        ),
    ] {
        write_map(output, interface, frame, times, raster)?;
    }
    Ok(())
}

/// Write an answer as the node publishes it.
pub(super) fn write_answer(output: &mut Output, times: Times, answer: &Answer<'_>) -> Result<()> {
    let topic = topic(&interfaces::ANSWER, "");
    Ok(output.publish(&topic, ANSWER, times, &answer.write())?)
}

fn write_map(
    output: &mut Output,
    interface: &Interface,
    frame: &Frame,
    times: Times,
    raster: Raster,
) -> Result<()> {
    let message = Image::new(raster, &frame.header).write();
    Ok(output.publish(
        &topic(interface, &frame.camera),
        schemas::IMAGE,
        times,
        &message,
    )?)
}

/// The name of an interface's topic, where the node is not in a namespace.
fn topic(interface: &Interface, camera: &str) -> String {
    interface.of(camera).replacen('~', NODE, 1)
}
