//! Maps that go out: with the header and the size of the image that they were made from.

use std::collections::BTreeMap;

use cooper_imaging::FrameHeader;
use cooper_metric::Box3d;
use cooper_model::perception::{DepthMap, Segmentation};
use image::RgbImage;
use r2r::builtin_interfaces::msg::Time;
use r2r::cooper_perception::msg::Region as RegionMsg;
use r2r::sensor_msgs::msg::{Image, RegionOfInterest};
use r2r::std_msgs::msg::{ColorRGBA, Header};

use super::metres::{point, vector};

/// The crate's header as a message's.
pub fn std_header(header: &FrameHeader) -> Header {
    Header {
        stamp: Time {
            sec: header.stamp_secs,
            nanosec: header.stamp_nanos,
        },
        frame_id: header.frame_id.clone(),
    }
}

/// An image as rgb8.
pub fn rgb_image(image: &RgbImage, header: &FrameHeader) -> Image {
    plain(header, image.dimensions(), "rgb8", image.as_raw().clone())
}

/// Relative depth as 32FC1.
pub fn depth_image(depth: &DepthMap, header: &FrameHeader) -> Image {
    float_image(&depth.values, (depth.width, depth.height), header)
}

/// A map of numbers as 32FC1.
pub fn float_image(values: &[f32], size: (u32, u32), header: &FrameHeader) -> Image {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    plain(header, size, "32FC1", bytes.collect())
}

/// Region ids as mono8 or mono16, see [`Segmentation::raster`].
pub fn labels_image(segmentation: &Segmentation, header: &FrameHeader) -> Image {
    let labels = segmentation.raster();
    let size = (labels.width, labels.height);
    plain(header, size, labels.encoding, labels.data)
}

/// What is known of each region, in order of id; `boxes` are by id.
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

/// An image of these bytes, without padding.
pub(super) fn plain(
    header: &FrameHeader,
    (width, height): (u32, u32),
    encoding: &str,
    data: Vec<u8>,
) -> Image {
    let step = u32::try_from(data.len()).unwrap_or(u32::MAX) / height.max(1);
    Image {
        header: std_header(header),
        height,
        width,
        encoding: encoding.into(),
        is_bigendian: 0,
        step,
        data,
    }
}

/// A text that a message can carry: r2r panics on a NUL, which a model may well write.
pub fn message_text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
