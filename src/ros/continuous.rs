//! Maps of the newest frames, made only for topics that somebody subscribes to, and only when no question waits.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::perception::{DepthMap, Segmentation};
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::Interface;
use cooper_perception::config::{DepthConfig, interfaces};
use cooper_perception::pipeline::{Frame, FrameSource, Task, TaskResult};
use r2r::sensor_msgs::msg::Image;
use r2r::{Node, Publisher};
use tokio::time::Instant;

use super::cameras::Camera;
use super::convert;
use super::drawing::{self, Samples};
use super::label_info::LabelInfos;
use super::metric_maps::{self, MetricMaps};
use super::metric_scale::Metres;
use super::requests::{self, Caller, Core};
use super::topics::{self, is_wanted, publish};

/// The longest time without a look at frames, subscribers and the rate.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// How long to leave the model alone after it had no time for a map.
const GIVE_WAY: Duration = Duration::from_millis(100);
/// How long to leave a camera alone of which no map could be made.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// The map topics of one camera.
pub struct Maps {
    core: Arc<Core>,
    camera: Arc<Camera>,
    depth_relative: Publisher<Image>,
    depth_color: Publisher<Image>,
    metric: Option<MetricMaps>,
    confidence: Publisher<Image>,
    segmentation_color: Publisher<Image>,
    segmentation_labels: Publisher<Image>,
    label_info: LabelInfos,
    overlay: Publisher<Image>,
    /// The number of the last frame that was made into maps, or could not be.
    done: u64,
}

impl Maps {
    /// Advertise a camera's map topics.
    ///
    /// # Errors
    /// [`Error::Internal`] if the middleware refuses one.
    pub fn advertise(node: &mut Node, core: &Arc<Core>, camera: &Arc<Camera>) -> Result<Self> {
        let metric = MetricMaps::advertise(node, camera)?;
        let label_info = LabelInfos::advertise(node, &camera.config.name)?;
        let mut publisher =
            |interface: &Interface| topics::publisher(node, interface, &camera.config.name);
        Ok(Self {
            metric,
            label_info,
            core: core.clone(),
            camera: camera.clone(),
            depth_relative: publisher(&interfaces::DEPTH_RELATIVE)?,
            depth_color: publisher(&interfaces::DEPTH_COLOR)?,
            confidence: publisher(&interfaces::DEPTH_CONFIDENCE)?,
            segmentation_color: publisher(&interfaces::SEGMENTATION_COLOR)?,
            segmentation_labels: publisher(&interfaces::SEGMENTATION_LABELS)?,
            overlay: publisher(&interfaces::OVERLAY)?,
            done: 0,
        })
    }

    /// Make maps until the node ends.
    pub async fn keep_up(mut self) {
        // When the last map began, and until when the model is left alone.
        let (mut begun, mut rested) = (None, Instant::now());
        loop {
            // All anew at each look: the rate may change, subscribers and frames come and go.
            let rate = self
                .core
                .parameters
                .float("continuous.rate")
                .unwrap_or_default();
            if rate <= 0.0 || !self.is_wanted() || !self.has_news() {
                let _ = tokio::time::timeout(LOOK_AGAIN, self.camera.arrival()).await;
                continue;
            }
            let now = Instant::now();
            let wait = wait(rate, begun.map(|begun| now - begun))
                .max(rested.saturating_duration_since(now));
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(LOOK_AGAIN)).await;
                continue;
            }
            let newest = self.camera.n_frames();
            match self.make().await {
                Ok(used) => {
                    begun = Some(now);
                    self.done = used;
                }
                Err(Error::Canceled | Error::Busy { .. } | Error::NotReady(_)) => {
                    rested = Instant::now() + GIVE_WAY;
                }
                Err(error) => {
                    begun = Some(now);
                    rested = now + AFTER_FAILURE;
                    self.done = newest;
                    tracing::warn!(camera = %self.camera.config.name, "no maps of a frame: {error}");
                }
            }
        }
    }

    /// Whether there is a frame that can be used and was not yet.
    fn has_news(&self) -> bool {
        self.camera.n_frames() > self.done && self.camera.check().is_ok()
    }

    /// Whether somebody listens to any of the maps.
    fn is_wanted(&self) -> bool {
        self.wants_depth() || self.wants_segmentation()
    }

    /// Make what is wanted of the newest frame; the frame's number.
    async fn make(&mut self) -> Result<u64> {
        let mut source = FrameSource::Latest(self.camera.clone());
        let (mut used, mut metres) = (self.done, None);
        if self.wants_depth() {
            let (frame, found) = self.make_depth(source).await?;
            used = frame.number;
            (source, metres) = (FrameSource::Pinned(frame), found);
        }
        let has_boxes = metres.is_some() && self.wants_boxes();
        if self.wants_segmentation() || has_boxes {
            used = self.make_segmentation(source, metres).await?;
        }
        Ok(used)
    }

    /// Publish all that is wanted of a frame's regions; the frame's number.
    async fn make_segmentation(
        &mut self,
        source: FrameSource,
        metres: Option<Arc<Metres>>,
    ) -> Result<u64> {
        let (frame, outcome) = self.draw(source, Task::Segment { seed: None }).await?;
        let TaskResult::Segmentation(segmentation) = outcome else {
            return Err(requests::wrong_outcome());
        };
        let mut segmentation = self.camera.track(segmentation);
        let header = &frame.header;
        publish(&self.segmentation_color, || {
            Ok(convert::rgb_image(&segmentation.color, header))
        });
        publish(&self.segmentation_labels, || {
            Ok(convert::labels_image(&segmentation, header))
        });
        publish(&self.overlay, || {
            Ok(convert::rgb_image(
                &segmentation.overlay(&frame.image),
                header,
            ))
        });
        if self.wants_names() {
            self.name(&frame, &mut segmentation).await;
        }
        self.label_info.publish(&segmentation, header);
        if let Some(metres) = metres.filter(|_| self.wants_boxes()) {
            let segmentation = Arc::new(segmentation);
            // Without a calibration there are none, as the camera's scale says.
            let boxes = metric_maps::boxes(&segmentation, &metres).await;
            let (name, boxes) = (&self.camera.config.name, boxes.unwrap_or_default());
            let markers = &self.core.markers;
            markers.show_regions(name, &segmentation, &boxes, header);
        }
        Ok(frame.number)
    }

    /// Ask what new regions are. If a question comes between, they stay without names until the next frame.
    async fn name(&mut self, frame: &Arc<Frame>, segmentation: &mut Segmentation) {
        match drawing::name_regions(&self.core, Caller::MAPS, frame, segmentation).await {
            Ok(()) => self.camera.keep_names(segmentation),
            Err(Error::Canceled | Error::Busy { .. } | Error::NotReady(_)) => {}
            Err(error) => {
                tracing::warn!(camera = %self.camera.config.name, "no names of regions: {error}");
            }
        }
    }

    /// Publish all that is wanted of a frame's depth; the frame, and its metres where they are wanted and known.
    async fn make_depth(
        &mut self,
        source: FrameSource,
    ) -> Result<(Arc<Frame>, Option<Arc<Metres>>)> {
        let core = self.core.clone();
        let (frame, depth) = drawing::draw_depth(&core, Caller::MAPS, source, None).await?;
        let header = &frame.header;
        publish(&self.depth_relative, || {
            Ok(convert::depth_image(&depth, header))
        });
        publish(&self.depth_color, || {
            Ok(convert::rgb_image(&depth.color, header))
        });
        let metres = self.make_metres(&frame, &depth).await;
        if is_wanted(&self.confidence) {
            let parameters = core.parameters.now();
            let samples = Samples {
                n: DepthConfig::read(&parameters)?.n_samples,
                seed: core.parameters.settings()?.seed,
                caller: Caller::MAPS,
            };
            let confidence = samples.confidence(&core, &frame, &depth).await?;
            publish(&self.confidence, || {
                Ok(convert::float_image(
                    &confidence,
                    frame.image.dimensions(),
                    header,
                ))
            });
        }
        Ok((frame, metres))
    }

    /// Publish what is wanted of a frame's metres. Where it has none, the camera's scale says why.
    async fn make_metres(
        &mut self,
        frame: &Arc<Frame>,
        depth: &Arc<DepthMap>,
    ) -> Option<Arc<Metres>> {
        if !self.wants_metres() {
            return None;
        }
        let metres = metric_maps::metres(&self.core, &self.camera, frame, depth).await;
        let Ok(metres) = metres.map(Arc::new) else {
            let name = &self.camera.config.name;
            self.core.markers.hide_regions(name, &frame.header);
            return None;
        };
        if let Some(metric) = &self.metric {
            metric.publish(frame, &metres);
        }
        if self.metric.as_ref().is_some_and(MetricMaps::wants_points)
            && let Some(points) = metric_maps::points(frame, &metres).await
            && let Some(metric) = &self.metric
        {
            metric.publish_points(points);
        }
        Some(metres)
    }

    async fn draw(&mut self, source: FrameSource, work: Task) -> Result<(Arc<Frame>, TaskResult)> {
        drawing::drawn(&self.core, Caller::MAPS, source, work).await
    }

    fn wants_depth(&self) -> bool {
        is_wanted(&self.depth_relative)
            || is_wanted(&self.depth_color)
            || is_wanted(&self.confidence)
            || self.wants_metres()
    }

    fn wants_metres(&self) -> bool {
        self.metric.as_ref().is_some_and(MetricMaps::is_wanted) || self.wants_boxes()
    }

    /// Boxes need metres, so without a scale markers have only answers.
    fn wants_boxes(&self) -> bool {
        self.metric.is_some() && self.core.markers.is_wanted()
    }

    fn wants_names(&self) -> bool {
        let is_on = self.core.parameters.flag("segmentation.names");
        is_on.unwrap_or_default() && (self.label_info.is_wanted() || self.wants_boxes())
    }

    fn wants_segmentation(&self) -> bool {
        is_wanted(&self.segmentation_color)
            || is_wanted(&self.segmentation_labels)
            || self.label_info.is_wanted()
            || is_wanted(&self.overlay)
    }
}

/// How long to wait at this rate, so much time after the last map began.
fn wait(rate: f64, since: Option<Duration>) -> Duration {
    let Some(since) = since else {
        return Duration::ZERO;
    };
    // A tiny rate's period is longer than any duration.
    let period = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
    period.saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rate_has_a_wait() {
        let seconds = Duration::from_secs;
        assert_eq!(wait(1e-300, None), Duration::ZERO);
        assert_eq!(wait(0.25, Some(seconds(1))), seconds(3));
        assert_eq!(wait(0.25, Some(seconds(5))), Duration::ZERO);
        assert!(wait(5e-324, Some(seconds(5))) > seconds(1_000_000));
    }
}
