//! What rviz shows in 3D: boxes around regions, and answers as text.
//!
//! Markers of a camera `N`: `N/regions` has the boxes and `N/names` the texts over them, both by region id; `N/answer`
//! has the newest answer.

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

use super::{convert, topics};

/// How solid the box of a small region is; the more of the image a region covers, the fainter it is, so that walls
/// and floors do not hide what stands before them.
const SOLID: f64 = 0.5;
/// The least side of a box, in metres: rviz refuses 0.
const THIN_M: f64 = 0.005;
/// How high letters are, as a share of their distance, so that all look alike.
const LETTER_SHARE: f64 = 0.03;
/// Where answers stand in the optical frame, in metres: above the image.
const ANSWER_AT: Point3<f64> = Point3::new(0.0, -0.6, 1.0);
/// Characters of an answer that are shown, and of a line.
const MAX_CHARS: usize = 240;
const LINE_CHARS: usize = 60;
const WHITE: ColorRGBA = ColorRGBA {
    r: 1.0,
    g: 1.0,
    b: 1.0,
    a: 1.0,
};

/// The topic, and what was shown on it.
pub struct Markers {
    publisher: Mutex<Publisher<MarkerArray>>,
    /// For each camera, the ids that were ever shown: a reader that missed a message still loses the old ones.
    shown: Mutex<BTreeMap<String, BTreeSet<u16>>>,
}

impl Markers {
    /// Advertise it.
    ///
    /// # Errors
    /// [`cooper_model::Error::Internal`] if the middleware refuses it.
    pub fn advertise(node: &mut Node) -> Result<Self> {
        Ok(Self {
            publisher: Mutex::new(topics::publisher(node, &interfaces::MARKERS, "")?),
            shown: Mutex::default(),
        })
    }

    /// Whether somebody listens.
    pub fn is_wanted(&self) -> bool {
        topics::is_wanted(&*self.publisher())
    }

    /// Show the regions of a camera's frame that have boxes, and those alone.
    pub fn show_regions(
        &self,
        camera: &str,
        segmentation: &Segmentation,
        boxes: &BTreeMap<u16, Box3d>,
        header: &FrameHeader,
    ) {
        let scene = Scene {
            camera,
            header: convert::std_header(header),
            n_pixels: segmentation.labels.len(),
        };
        let regions = segmentation.regions.iter();
        let added = regions.filter_map(|r| boxes.get(&r.id).map(|b| scene.region(r, b)));
        let ids = boxes.keys().copied().collect();
        let deleted = self.gone(camera, &ids);
        let deleted = deleted.into_iter().map(|id| scene.deleted(id));
        self.publish(added.chain(deleted).flatten().collect());
    }

    /// Show no regions of a camera, since its frame has no metres.
    pub fn hide_regions(&self, camera: &str, header: &FrameHeader) {
        let scene = Scene {
            camera,
            header: convert::std_header(header),
            n_pixels: 0,
        };
        let deleted = self.gone(camera, &BTreeSet::new()).into_iter();
        self.publish(deleted.flat_map(|id| scene.deleted(id)).collect());
    }

    /// The ids that were shown and are none of `ids`, which are shown now.
    fn gone(&self, camera: &str, ids: &BTreeSet<u16>) -> Vec<u16> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = shown.entry(camera.into()).or_default();
        let gone = shown.difference(ids).copied().collect();
        shown.extend(ids);
        gone
    }

    /// Show a finished question in its image's frame, in place of the camera's one before.
    pub fn show_answer(&self, answer: &Answer) {
        let words = match answer.answer.is_empty() {
            true => "(no answer)",
            false => &answer.answer,
        };
        let text = Marker {
            ns: namespace(&answer.camera, "answer"),
            ..text_at(
                &answer.header,
                ANSWER_AT,
                lines(&format!("{}\n{words}", answer.question)),
            )
        };
        self.publish(vec![text]);
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

/// What the regions of one frame have in common.
struct Scene<'a> {
    camera: &'a str,
    header: Header,
    n_pixels: usize,
}

impl Scene<'_> {
    /// A region's box and the text over it.
    fn region(&self, region: &Region, found: &Box3d) -> [Marker; 2] {
        let share = f64::from(region.n_pixels) / self.n_pixels.max(1) as f64;
        let [r, g, b] = region.color.map(|value| f32::from(value) / 255.0);
        let a = (SOLID * (1.0 - share).powi(4)) as f32;
        let size = found.size.map(|side| side.max(THIN_M));
        let cube = Marker {
            ns: namespace(self.camera, "regions"),
            id: region.id.into(),
            color: ColorRGBA { r, g, b, a },
            scale: convert::vector(Some(size)),
            ..marker(&self.header, Marker::CUBE as i32, found.center)
        };
        let name = match region.name.as_deref() {
            None | Some("") => format!("region {}", region.id),
            Some(name) => name.into(),
        };
        // Up is -y.
        let letters = LETTER_SHARE * found.center.z;
        let over = found.center - Vector3::y() * (size.y / 2.0 + 1.5 * letters);
        let text = Marker {
            ns: namespace(self.camera, "names"),
            id: region.id.into(),
            ..text_at(
                &self.header,
                over,
                format!("{name}\n{:.2} m", found.center.z),
            )
        };
        [cube, text]
    }

    fn deleted(&self, id: u16) -> [Marker; 2] {
        ["regions", "names"].map(|of| Marker {
            ns: namespace(self.camera, of),
            id: id.into(),
            action: Marker::DELETE as i32,
            header: self.header.clone(),
            ..Marker::default()
        })
    }
}

fn namespace(camera: &str, of: &str) -> String {
    match camera {
        "" => of.into(),
        camera => format!("{camera}/{of}"),
    }
}

fn marker(header: &Header, shape: i32, at: Point3<f64>) -> Marker {
    Marker {
        header: header.clone(),
        type_: shape,
        action: Marker::ADD as i32,
        pose: Pose {
            position: convert::point(Some(at)),
            orientation: Quaternion {
                w: 1.0,
                ..Quaternion::default()
            },
        },
        ..Marker::default()
    }
}

fn text_at(header: &Header, at: Point3<f64>, text: String) -> Marker {
    Marker {
        text: convert::message_text(&text),
        color: WHITE,
        scale: Vector3Msg {
            z: LETTER_SHARE * at.z,
            ..Vector3Msg::default()
        },
        ..marker(header, Marker::TEXT_VIEW_FACING as i32, at)
    }
}

/// A text cut to what can be shown, in lines that are not too long.
fn lines(text: &str) -> String {
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
    fn long_answers_are_cut_and_broken_into_lines() {
        let text = format!("How far?\n{}", "word ".repeat(100));
        let shown = lines(&text);
        assert!(shown.starts_with("How far?\nword word"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() <= LINE_CHARS));
        assert!(shown.ends_with('…') && shown.chars().count() <= MAX_CHARS + 1);
        assert_eq!(lines("a\nb"), "a\nb");
    }
}
