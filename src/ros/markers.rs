//! Markers for rviz: boxes around regions, and answers as text.
//!
//! Namespaces of a camera `N`: `N/regions` has the boxes and `N/names` the texts above them, both by region id;
//! `N/answer` has the newest answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cooper_imaging::FrameHeader;
use cooper_metric::Box3d;
use cooper_model::Result;
use cooper_model::perception::{Region, Segmentation};
use cooper_perception::config::interfaces;
use nalgebra::{Point3, Vector3};
use r2r::cooper_perception::msg::Answer;
use r2r::geometry_msgs::msg::{Pose, Quaternion, Vector3 as Vector3Msg};
use r2r::std_msgs::msg::{ColorRGBA, Header};
use r2r::visualization_msgs::msg::{Marker, MarkerArray};
use r2r::{Node, Publisher};

use crate::{convert, topics};

/// The opacity of a small region's box. The more of the image a region covers, the fainter its box is, so that walls and
/// floors do not hide what stands in front of them.
const OPACITY: f64 = 0.5;
/// The least side of a box, in metres: rviz rejects 0.
const MIN_SIDE_M: f64 = 0.005;
/// The height of letters, as a share of their distance, so that all appear equally large.
const LETTER_SHARE: f64 = 0.03;
/// The position of answers in the optical frame, in metres: above the image.
const ANSWER_POSITION: Point3<f64> = Point3::new(0.0, -0.6, 1.0);
/// The most characters of a text.
const MAX_CHARS: usize = 240;
/// The most characters of a line.
const LINE_CHARS: usize = 60;
const WHITE: ColorRGBA = ColorRGBA {
    r: 1.0,
    g: 1.0,
    b: 1.0,
    a: 1.0,
};

/// The topic, and the regions shown on it.
pub struct Markers {
    publisher: Mutex<Publisher<MarkerArray>>,
    /// By camera, the ids that were ever shown: each message deletes all old ones, for subscribers that missed one.
    shown: Mutex<BTreeMap<String, BTreeSet<u16>>>,
}

impl Markers {
    /// Advertise it.
    ///
    /// # Errors
    /// [`cooper_model::Error::Internal`] if the middleware rejects it.
    pub fn advertise(node: &mut Node) -> Result<Self> {
        Ok(Self {
            publisher: Mutex::new(topics::publisher(node, &interfaces::MARKERS, "")?),
            shown: Mutex::default(),
        })
    }

    /// Whether the topic has subscribers.
    pub fn has_subscribers(&self) -> bool {
        topics::has_subscribers(&*self.publisher())
    }

    /// Show those regions of a camera's frame that have boxes, and no others.
    pub fn show_regions(
        &self,
        camera: &str,
        segmentation: &Segmentation,
        boxes: &BTreeMap<u16, Box3d>,
        header: &FrameHeader,
    ) {
        let frame = MarkedFrame {
            camera,
            header: convert::std_header(header),
            n_pixels: segmentation.labels.len(),
        };
        let regions = segmentation.regions.iter();
        let added = regions.filter_map(|r| boxes.get(&r.id).map(|b| frame.region(r, b)));
        let ids = boxes.keys().copied().collect();
        let deleted = self.stale_ids(camera, &ids);
        let deleted = deleted.into_iter().map(|id| frame.deleted(id));
        self.publish(added.chain(deleted).flatten().collect());
    }

    /// Delete all regions of a camera, whose frame has no metres.
    pub fn hide_regions(&self, camera: &str, header: &FrameHeader) {
        let frame = MarkedFrame {
            camera,
            header: convert::std_header(header),
            n_pixels: 0,
        };
        let deleted = self.stale_ids(camera, &BTreeSet::new()).into_iter();
        self.publish(deleted.flat_map(|id| frame.deleted(id)).collect());
    }

    /// The ids shown before that are not among `ids`, which are shown now.
    fn stale_ids(&self, camera: &str, ids: &BTreeSet<u16>) -> Vec<u16> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = shown.entry(camera.into()).or_default();
        let stale = shown.difference(ids).copied().collect();
        shown.extend(ids);
        stale
    }

    /// Show a question and its answer in the image's frame, in place of the camera's previous one.
    pub fn show_answer(&self, answer: &Answer) {
        let text = match answer.answer.is_empty() {
            true => "(no answer)",
            false => &answer.answer,
        };
        let marker = Marker {
            ns: namespace(&answer.camera, "answer"),
            ..text_marker(
                &answer.header,
                ANSWER_POSITION,
                wrap(&format!("{}\n{text}", answer.question)),
            )
        };
        self.publish(vec![marker]);
    }

    fn publish(&self, markers: Vec<Marker>) {
        if !markers.is_empty() {
            topics::publish(&*self.publisher(), || Ok(MarkerArray { markers }));
        }
    }

    fn publisher(&self) -> MutexGuard<'_, Publisher<MarkerArray>> {
        self.publisher
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frame whose regions are marked.
struct MarkedFrame<'a> {
    camera: &'a str,
    header: Header,
    n_pixels: usize,
}

impl MarkedFrame<'_> {
    /// A region's box and the text above it.
    fn region(&self, region: &Region, bounds: &Box3d) -> [Marker; 2] {
        let share = f64::from(region.n_pixels) / self.n_pixels.max(1) as f64;
        let [r, g, b] = region.color.map(|value| f32::from(value) / 255.0);
        let a = (OPACITY * (1.0 - share).powi(4)) as f32;
        let size = bounds.size.map(|side| side.max(MIN_SIDE_M));
        let cube = Marker {
            ns: namespace(self.camera, "regions"),
            id: region.id.into(),
            color: ColorRGBA { r, g, b, a },
            scale: convert::vector(Some(size)),
            ..marker(&self.header, Marker::CUBE as i32, bounds.center)
        };
        let name = match region.name.as_deref() {
            None | Some("") => format!("region {}", region.id),
            Some(name) => name.into(),
        };
        // Up is -y.
        let letters = LETTER_SHARE * bounds.center.z;
        let above = bounds.center - Vector3::y() * (size.y / 2.0 + 1.5 * letters);
        let text = Marker {
            ns: namespace(self.camera, "names"),
            id: region.id.into(),
            ..text_marker(
                &self.header,
                above,
                format!("{name}\n{:.2} m", bounds.center.z),
            )
        };
        [cube, text]
    }

    fn deleted(&self, id: u16) -> [Marker; 2] {
        ["regions", "names"].map(|kind| Marker {
            ns: namespace(self.camera, kind),
            id: id.into(),
            action: Marker::DELETE as i32,
            header: self.header.clone(),
            ..Marker::default()
        })
    }
}

fn namespace(camera: &str, kind: &str) -> String {
    match camera {
        "" => kind.into(),
        camera => format!("{camera}/{kind}"),
    }
}

fn marker(header: &Header, shape: i32, position: Point3<f64>) -> Marker {
    Marker {
        header: header.clone(),
        type_: shape,
        action: Marker::ADD as i32,
        pose: Pose {
            position: convert::point(Some(position)),
            orientation: Quaternion {
                w: 1.0,
                ..Quaternion::default()
            },
        },
        ..Marker::default()
    }
}

fn text_marker(header: &Header, position: Point3<f64>, text: String) -> Marker {
    Marker {
        text: convert::message_text(&text),
        color: WHITE,
        scale: Vector3Msg {
            z: LETTER_SHARE * position.z,
            ..Vector3Msg::default()
        },
        ..marker(header, Marker::TEXT_VIEW_FACING as i32, position)
    }
}

/// A text cut to [`MAX_CHARS`], in lines of [`LINE_CHARS`].
fn wrap(text: &str) -> String {
    let mut shown: String = text.chars().take(MAX_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let (mut wrapped, mut column) = (String::new(), 0);
    for line in shown.lines() {
        for word in line.split_whitespace() {
            let n = word.chars().count();
            let gap = match column {
                0 => "",
                column if column + n < LINE_CHARS => " ",
                _ => "\n",
            };
            column = if gap == " " { column + 1 + n } else { n };
            wrapped += gap;
            wrapped += word;
        }
        wrapped.push('\n');
        column = 0;
    }
    wrapped.trim_end().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_answers_are_cut_and_wrapped() {
        let text = format!("How far?\n{}", "word ".repeat(100));
        let shown = wrap(&text);
        assert!(shown.starts_with("How far?\nword word"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= LINE_CHARS));
        assert!(shown.ends_with('…') && shown.chars().count() <= MAX_CHARS + 1);
        assert_eq!(wrap("a\nb"), "a\nb");
    }
}
