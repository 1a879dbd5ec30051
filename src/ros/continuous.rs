//! Continuous maps of the newest frames: only for topics with subscribers, and only while no question waits.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::perception::{DepthMap, Segmentation};
use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::Interface;
use cooper_perception::config::{DepthConfig, interfaces};
use cooper_perception::pipeline::{Frame, FrameSource};
use r2r::sensor_msgs::msg::Image;
use r2r::{Node, Publisher};
use tokio::time::Instant;

use crate::camera::Camera;
use crate::convert;
use crate::drawing::{self, Samples};
use crate::label_info::LabelInfos;
use crate::metric::{self, MetricDepth, MetricMaps};
use crate::requests::Caller;
use crate::shared::Shared;
use crate::topics::{self, has_subscribers, publish};

/// The longest time between two checks of frames, subscribers and the rate.
const CHECK_PERIOD: Duration = Duration::from_millis(250);
/// The pause after the model had no time for a map.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// The pause after a frame that no map could be made of.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The map topics of one camera.
pub struct Maps {
    shared: Arc<Shared>,
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
    /// [`Error::Internal`] if the middleware rejects one.
    pub fn advertise(node: &mut Node, shared: &Arc<Shared>, camera: &Arc<Camera>) -> Result<Self> {
        let metric = MetricMaps::advertise(node, &camera.config)?;
        let label_info = LabelInfos::advertise(node, &camera.config.name)?;
        let mut publisher =
            |interface: &Interface| topics::publisher(node, interface, &camera.config.name);
        Ok(Self {
            metric,
            label_info,
            shared: shared.clone(),
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

    /// Make maps for ever.
    pub async fn run(mut self) {
        let (mut last_begin, mut pause_end) = (None, Instant::now());
        loop {
            // Read each time: the rate may change, subscribers and frames come and go.
            let rate = self.shared.parameters.float("continuous.rate");
            let rate = rate.unwrap_or_default();
            if rate <= 0.0 || !self.has_subscribers() || !self.has_new_frame() {
                let _ = tokio::time::timeout(CHECK_PERIOD, self.camera.arrival()).await;
                continue;
            }
            let now = Instant::now();
            let wait = wait(rate, last_begin.map(|begin| now - begin))
                .max(pause_end.saturating_duration_since(now));
            if !wait.is_zero() {
                tokio::time::sleep(wait.min(CHECK_PERIOD)).await;
                continue;
            }
            let newest = self.camera.n_frames();
            match self.publish_newest().await {
                Ok(number) => {
                    last_begin = Some(now);
                    self.done = number;
                }
                Err(Error::Canceled | Error::Busy { .. } | Error::NotReady(_)) => {
                    pause_end = Instant::now() + BUSY_PAUSE;
                }
                Err(error) => {
                    last_begin = Some(now);
                    pause_end = now + FAILURE_PAUSE;
                    self.done = newest;
                    tracing::warn!(camera = %self.camera.config.name, "cannot make maps of a frame: {error}");
                }
            }
        }
    }

    /// Whether there is a usable frame without maps.
    fn has_new_frame(&self) -> bool {
        self.camera.n_frames() > self.done && self.camera.check().is_ok()
    }

    fn has_subscribers(&self) -> bool {
        self.needs_depth() || self.needs_segmentation()
    }

    /// Make and publish the maps of the newest frame that have subscribers; the frame's number.
    async fn publish_newest(&mut self) -> Result<u64> {
        let mut source = FrameSource::Latest(self.camera.clone());
        let (mut number, mut metric) = (self.done, None);
        if self.needs_depth() {
            let (frame, found) = self.publish_depth(source).await?;
            number = frame.number;
            (source, metric) = (FrameSource::Pinned(frame), found);
        }
        let has_boxes = metric.is_some() && self.needs_boxes();
        if self.needs_segmentation() || has_boxes {
            number = self.publish_segmentation(source, metric).await?;
        }
        Ok(number)
    }

    /// Publish the segmentation; the frame's number.
    async fn publish_segmentation(
        &mut self,
        source: FrameSource,
        metric: Option<Arc<MetricDepth>>,
    ) -> Result<u64> {
        let shared = self.shared.clone();
        let (frame, segmentation) =
            drawing::draw_segmentation(&shared, Caller::MAPS, source).await?;
        let mut segmentation = self.camera.track(segmentation);
        let header = &frame.header;
        publish(&self.segmentation_color, || {
            Ok(convert::rgb_image(&segmentation.color, header))
        });
        publish(&self.segmentation_labels, || {
            Ok(convert::labels_image(&segmentation, header))
        });
        publish(&self.overlay, || {
            let overlay = segmentation.overlay(&frame.image);
            Ok(convert::rgb_image(&overlay, header))
        });
        if self.needs_names() {
            self.name_regions(&frame, &mut segmentation).await;
        }
        self.label_info.publish(&segmentation, header);
        if let Some(metric) = metric.filter(|_| self.needs_boxes()) {
            let segmentation = Arc::new(segmentation);
            // Without a calibration there are none; the camera's scale reports why.
            let boxes = metric::boxes(&segmentation, &metric).await;
            let (name, boxes) = (&self.camera.config.name, boxes.unwrap_or_default());
            let markers = &self.shared.markers;
            markers.show_regions(name, &segmentation, &boxes, header);
        }
        Ok(frame.number)
    }

    /// Name new regions. A question cancels this: then they stay without names until the next frame.
    async fn name_regions(&mut self, frame: &Arc<Frame>, segmentation: &mut Segmentation) {
        match drawing::name_regions(&self.shared, Caller::MAPS, frame, segmentation).await {
            Ok(()) => self.camera.keep_names(segmentation),
            Err(Error::Canceled | Error::Busy { .. } | Error::NotReady(_)) => {}
            Err(error) => {
                tracing::warn!(camera = %self.camera.config.name, "cannot name regions: {error}");
            }
        }
    }

    /// Publish depth; the frame, and its metric depth where that is needed and there is a scale.
    async fn publish_depth(
        &mut self,
        source: FrameSource,
    ) -> Result<(Arc<Frame>, Option<Arc<MetricDepth>>)> {
        let shared = self.shared.clone();
        let settings = shared.parameters.settings()?;
        let (frame, depth) = drawing::draw_depth(&shared, Caller::MAPS, source, settings).await?;
        let header = &frame.header;
        publish(&self.depth_relative, || {
            Ok(convert::depth_image(&depth, header))
        });
        publish(&self.depth_color, || {
            Ok(convert::rgb_image(&depth.color(), header))
        });
        let metric = self.publish_metric_depth(&frame, &depth).await;
        if has_subscribers(&self.confidence) {
            self.publish_confidence(&frame, &depth).await?;
        }
        Ok((frame, metric))
    }

    async fn publish_confidence(&mut self, frame: &Arc<Frame>, depth: &DepthMap) -> Result<()> {
        let parameters = &self.shared.parameters;
        let samples = Samples {
            n: DepthConfig::read(&parameters.now())?.n_samples,
            settings: parameters.settings()?,
            caller: Caller::MAPS,
        };
        let confidence = samples.confidence(&self.shared, frame, depth).await?;
        publish(&self.confidence, || {
            let size = frame.image.dimensions();
            Ok(convert::float_image(&confidence, size, &frame.header))
        });
        Ok(())
    }

    /// Publish metric depth. Where there is none, the camera's scale reports why.
    async fn publish_metric_depth(
        &mut self,
        frame: &Arc<Frame>,
        depth: &Arc<DepthMap>,
    ) -> Option<Arc<MetricDepth>> {
        if !self.needs_metric_depth() {
            return None;
        }
        let parameters = self.shared.parameters.now();
        let fitted = metric::fit(&self.camera.scale, frame, depth, parameters).await;
        let Ok(fitted) = fitted.map(Arc::new) else {
            let name = &self.camera.config.name;
            self.shared.markers.hide_regions(name, &frame.header);
            return None;
        };
        if let Some(metric) = &self.metric {
            metric.publish(frame, &fitted);
        }
        if self.metric.as_ref().is_some_and(MetricMaps::needs_points)
            && let Some(points) = metric::points(frame, &fitted).await
            && let Some(metric) = &self.metric
        {
            metric.publish_points(points);
        }
        Some(fitted)
    }

    fn needs_depth(&self) -> bool {
        has_subscribers(&self.depth_relative)
            || has_subscribers(&self.depth_color)
            || has_subscribers(&self.confidence)
            || self.needs_metric_depth()
    }

    fn needs_metric_depth(&self) -> bool {
        let metric = self.metric.as_ref();
        metric.is_some_and(MetricMaps::has_subscribers) || self.needs_boxes()
    }

    /// Boxes need metres: without a scale, markers show only answers.
    fn needs_boxes(&self) -> bool {
        self.metric.is_some() && self.shared.markers.has_subscribers()
    }

    fn needs_names(&self) -> bool {
        let is_on = self.shared.parameters.flag("segmentation.names");
        is_on.unwrap_or_default() && (self.label_info.has_subscribers() || self.needs_boxes())
    }

    fn needs_segmentation(&self) -> bool {
        has_subscribers(&self.segmentation_color)
            || has_subscribers(&self.segmentation_labels)
            || self.label_info.has_subscribers()
            || has_subscribers(&self.overlay)
    }
}

/// How long to wait at this rate, in maps per second, so long after the last map began.
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
