//! Outgoing relative depth and segmentation, with the header and the size of the source image.

use std::collections::BTreeMap;

use cooper_imaging::FrameHeader;
use cooper_metric::Box3d;
use cooper_model::perception::{DepthMap, Segmentation};
use r2r::cooper_perception::msg::Region as RegionMsg;
use r2r::sensor_msgs::msg::{Image, RegionOfInterest};
use r2r::std_msgs::msg::ColorRGBA;

use super::image::{float_image, image_message};
use super::message::{message_text, point, vector};

/// Relative depth as 32FC1.
pub fn depth_image(depth: &DepthMap, header: &FrameHeader) -> Image {
    float_image(&depth.values, (depth.width, depth.height), header)
}

/// Region ids as mono8 or mono16, see [`Segmentation::raster`].
pub fn labels_image(segmentation: &Segmentation, header: &FrameHeader) -> Image {
    let labels = segmentation.raster();
    let size = (labels.width, labels.height);
    image_message(header, size, labels.encoding, labels.data)
}

/// The regions in order of id, each with its box in `boxes`, which are by id.
pub fn regions(segmentation: &Segmentation, boxes: &BTreeMap<u16, Box3d>) -> Vec<RegionMsg> {
    let channel = |value: u8| f32::from(value) / 255.0;
    let regions = segmentation.regions.iter().map(|region| {
        let [r, g, b] = region.color.map(channel);
        let found = boxes.get(&region.id);
        RegionMsg {
            id: region.id,
            color: ColorRGBA { r, g, b, a: 1.0 },
            pixel_count: region.n_pixels,
            bounding_box: RegionOfInterest {
                x_offset: region.bounding_box.x,
                y_offset: region.bounding_box.y,
                width: region.bounding_box.width,
                height: region.bounding_box.height,
                do_rectify: false,
            },
            centroid_x: f64::from(region.centroid.x),
            centroid_y: f64::from(region.centroid.y),
            name: message_text(region.name.as_deref().unwrap_or_default()),
            has_box: found.is_some(),
            box_center: point(found.map(|found| found.center)),
            box_size: vector(found.map(|found| found.size)),
        }
    });
    let mut regions: Vec<_> = regions.collect();
    regions.sort_by_key(|region| region.id);
    regions
}
