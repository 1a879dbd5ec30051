//! Maps of the newest frames, made only for topics that somebody subscribes to, and only when no question waits.

use std::sync::Arc;
use std::time::Duration;

use r2r::Node;
use r2r::Publisher;
use r2r::sensor_msgs::msg::Image;
use tokio::time::Instant;

use super::cameras::Camera;
use super::convert;
use super::requests::{self, Core};
use super::topics;
use crate::config::interfaces;
use crate::config::interfaces::Interface;
use crate::engine::Cancel;
use crate::error::{Error, Result};
use crate::pipeline::Frame;
use crate::pipeline::FrameSource;
use crate::pipeline::Outcome;
use crate::pipeline::Priority;
use crate::pipeline::Work;

/// How often a camera without new frames is looked at again: somebody may have subscribed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long to leave the model alone after it had no time for a map.
const GIVE_WAY: Duration = Duration::from_millis(100);

/// The map topics of one camera.
pub struct Maps {
    core: Arc<Core>,
    camera: Arc<Camera>,
    depth_relative: Publisher<Image>,
    depth_color: Publisher<Image>,
    segmentation_color: Publisher<Image>,
    segmentation_labels: Publisher<Image>,
    overlay: Publisher<Image>,
    /// The frame that was made into maps last.
    last: Option<Arc<Frame>>,
    /// The number of the frame that could not be.
    failed: u64,
}

impl Maps {
    /// Advertise a camera's map topics.
    ///
    /// # Errors
    /// [`Error::Internal`] if the middleware refuses one.
    pub fn advertise(node: &mut Node, core: &Arc<Core>, camera: &Arc<Camera>) -> Result<Self> {
        let mut publisher =
            |interface: &Interface| topics::publisher(node, interface, &camera.config.name);
        Ok(Self {
            core: core.clone(),
            camera: camera.clone(),
            depth_relative: publisher(&interfaces::DEPTH_RELATIVE)?,
            depth_color: publisher(&interfaces::DEPTH_COLOR)?,
            segmentation_color: publisher(&interfaces::SEGMENTATION_COLOR)?,
            segmentation_labels: publisher(&interfaces::SEGMENTATION_LABELS)?,
            overlay: publisher(&interfaces::OVERLAY)?,
            last: None,
            failed: 0,
        })
    }

    /// Make maps until the node ends.
    pub async fn keep_up(mut self) {
        let mut not_before = Instant::now();
        loop {
            let _ = tokio::time::timeout(LOOK_AGAIN, self.camera.arrival()).await;
            let rate = self
                .core
                .parameters
                .float("continuous.rate")
                .unwrap_or_default();
            if rate <= 0.0 || !(self.wants_depth() || self.wants_segmentation()) {
                continue;
            }
            tokio::time::sleep_until(not_before).await;
            if !self.has_news() {
                continue;
            }
            let begun = Instant::now();
            let number = self.camera.n_frames();
            match self.make().await {
                Ok(()) => not_before = begun + Duration::from_secs_f64(1.0 / rate),
                Err(Error::Canceled | Error::Busy { .. } | Error::NotReady(_)) => {
                    not_before = Instant::now() + GIVE_WAY;
                }
                Err(error) => {
                    self.failed = number;
                    not_before =
                        begun + Duration::from_secs_f64(1.0 / rate).max(Duration::from_secs(1));
                    tracing::warn!(camera = %self.camera.config.name, "no maps of a frame: {error}");
                }
            }
        }
    }

    /// Whether there is a frame that can be used and was not yet.
    fn has_news(&self) -> bool {
        let is_old = self
            .last
            .as_ref()
            .is_some_and(|last| self.camera.is_newest(last));
        !is_old && self.camera.n_frames() > self.failed && self.camera.check().is_ok()
    }

    async fn make(&mut self) -> Result<()> {
        let mut source = FrameSource::Latest(self.camera.clone());
        let mut used = None;
        if self.wants_depth() {
            let (frame, outcome) = self.draw(source, Work::Depth { seed: None }).await?;
            let Outcome::Depth(depth) = outcome else {
                return Err(requests::wrong_outcome());
            };
            publish(&self.depth_relative, || {
                convert::depth_image(&depth, &frame.header)
            });
            publish(&self.depth_color, || {
                convert::rgb_image(&depth.color, &frame.header)
            });
            source = FrameSource::Pinned(frame.clone());
            used = Some(frame);
        }
        if self.wants_segmentation() {
            let (frame, outcome) = self.draw(source, Work::Segment { seed: None }).await?;
            let Outcome::Segmentation(segmentation) = outcome else {
                return Err(requests::wrong_outcome());
            };
            let header = &frame.header;
            publish(&self.segmentation_color, || {
                convert::rgb_image(&segmentation.color, header)
            });
            publish(&self.segmentation_labels, || {
                convert::labels_image(&segmentation, header)
            });
            publish(&self.overlay, || {
                convert::rgb_image(&convert::blend_regions(&frame.image, &segmentation), header)
            });
            used = Some(frame);
        }
        self.last = used;
        Ok(())
    }

    async fn draw(&mut self, source: FrameSource, work: Work) -> Result<(Arc<Frame>, Outcome)> {
        let events = self
            .core
            .submit(source, work, Priority::Background, Cancel::default())?;
        let finished = requests::finished(events).await;
        let outcome = finished.result?;
        Ok((finished.frame.ok_or_else(requests::lost)?, outcome))
    }

    fn wants_depth(&self) -> bool {
        is_wanted(&self.depth_relative) || is_wanted(&self.depth_color)
    }

    fn wants_segmentation(&self) -> bool {
        is_wanted(&self.segmentation_color)
            || is_wanted(&self.segmentation_labels)
            || is_wanted(&self.overlay)
    }
}

fn is_wanted(publisher: &Publisher<Image>) -> bool {
    publisher
        .get_inter_process_subscription_count()
        .is_ok_and(|count| count > 0)
}

fn publish(publisher: &Publisher<Image>, message: impl FnOnce() -> Image) {
    if is_wanted(publisher)
        && let Err(error) = publisher.publish(&message())
    {
        tracing::warn!("a map could not be published: {error}");
    }
}
