//! One camera's metric scale: its calibration, its reference depth, and the fit of relative depth to metres.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cooper_imaging::FrameHeader;
use cooper_metric::{FloorSettings, Observation, Scale, ScaleTracker, fit_floor, fit_scale};
use cooper_model::perception::DepthMap;
use cooper_perception::config::{
    CameraConfig, DepthConfig, ParameterSet, ScaleConfig, ScaleSource, interfaces,
};
use cooper_perception::pipeline::StampBuffer;
use r2r::sensor_msgs::msg::{CameraInfo, Image};

use super::metres::{MetricDepth, MetricResult};
use super::status::{ScaleLog, ScaleStatus};
use crate::availability::{PublisherInfo, why_no_messages};
use crate::convert::{self, Calibration, ImageKind};

/// A camera's inputs for metres, and its scale.
#[derive(Debug)]
pub struct MetricScale {
    config: CameraConfig,
    /// The CameraInfo topic, fully resolved.
    pub info_topic: String,
    /// The topic of reference depth, fully resolved.
    pub reference_topic: String,
    received: Mutex<Received>,
    tracker: Mutex<ScaleTracker>,
    log: Mutex<ScaleLog>,
}

#[derive(Debug, Default)]
struct Received {
    info: Option<CameraInfo>,
    info_publishers: Vec<PublisherInfo>,
    references: StampBuffer<Image>,
    n_references: u64,
    reference_publishers: Vec<PublisherInfo>,
}

impl MetricScale {
    /// The scale of a camera that has received nothing yet; the topics are fully resolved.
    pub fn new(config: CameraConfig, info_topic: String, reference_topic: String) -> Self {
        Self {
            config,
            info_topic,
            reference_topic,
            received: Mutex::default(),
            tracker: Mutex::default(),
            log: Mutex::default(),
        }
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> MutexGuard<'_, ScaleLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep the newest CameraInfo.
    pub fn set_camera_info(&self, info: CameraInfo) {
        self.received().info = Some(info);
    }

    /// Keep a reference depth image.
    pub fn add_reference(&self, reference: Image) {
        let stamp_ns = convert::frame_header(&reference.header).stamp_ns();
        let mut received = self.received();
        received.n_references += 1;
        received.references.put(stamp_ns, reference);
    }

    /// Keep who publishes CameraInfo and reference depth.
    pub fn set_publishers(&self, info: Vec<PublisherInfo>, reference: Vec<PublisherInfo>) {
        let mut received = self.received();
        (received.info_publishers, received.reference_publishers) = (info, reference);
    }

    /// Keep the reference of a frame that the model works on until the frame has a map.
    pub fn pin_reference(&self, header: &FrameHeader) {
        if self.config.scale_source == ScaleSource::Depth {
            self.received().references.pin(header.stamp_ns());
        }
    }

    /// Fit a map to metres, as `parameters` say. It takes a while: call it on a blocking thread.
    ///
    /// # Errors
    /// Why the map has no metres.
    pub fn fit(
        &self,
        depth: &DepthMap,
        header: &FrameHeader,
        parameters: &ParameterSet,
    ) -> MetricResult<MetricDepth> {
        if self.config.scale_source == ScaleSource::None {
            return Err(self.not_configured());
        }
        let fitted = self.try_fit(depth, header, parameters);
        self.log().record(&self.config.name, &fitted);
        fitted
    }

    fn try_fit(
        &self,
        depth: &DepthMap,
        header: &FrameHeader,
        parameters: &ParameterSet,
    ) -> MetricResult<MetricDepth> {
        let camera = &self.config.name;
        let settings = ScaleConfig::read(parameters, camera).map_err(|error| error.to_string())?;
        let config = DepthConfig::read(parameters).map_err(|error| error.to_string())?;
        let calibration = self.calibration((depth.width, depth.height));
        let (observation, doubt) = match self.config.scale_source {
            ScaleSource::Height => (fit_to_floor(depth, &calibration, &settings), None),
            _ => self.observe_reference(depth, header, &settings),
        };
        // Fits run in parallel, but enter the filter one by one.
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let scale = tracker.observe(observation, header.stamp_s(), settings.filter);
        let scale = scale.map_err(|why| why.to_string())?;
        let remarks = [
            reused_scale_remark(&scale),
            doubt,
            self.calibration_remark(&calibration),
        ];
        let remarks: Vec<_> = remarks.into_iter().flatten().collect();
        Ok(MetricDepth {
            values: within(scale.affine.metres(&depth.values), config.range_m),
            scale,
            calibration,
            config,
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
        })
    }

    /// The map's scale by the frame's reference, and what is doubtful about the reference.
    fn observe_reference(
        &self,
        depth: &DepthMap,
        header: &FrameHeader,
        settings: &ScaleConfig,
    ) -> (Observation, Option<String>) {
        let reference = match self.reference(header, settings.tolerance_s) {
            Ok(reference) => reference,
            Err(why) => return (Observation::Missing(why), None),
        };
        let (frame, own) = (&reference.header.frame_id, &header.frame_id);
        let is_other = !frame.is_empty() && !own.is_empty() && frame != own;
        let doubt = is_other.then(|| {
            let topic = &self.reference_topic;
            format!("the frame of {topic} is `{frame}`, the image's `{own}`: is it registered to the camera?")
        });
        (fit_to_reference(depth, &reference, settings), doubt)
    }

    fn calibration_remark(&self, calibration: &MetricResult<Calibration>) -> Option<String> {
        let why = calibration.as_ref().err()?;
        let [info, points] = [&interfaces::DEPTH_CAMERA_INFO, &interfaces::POINTS]
            .map(|interface| interface.of(&self.config.name));
        Some(format!("{info} and {points} need a calibration: {why}"))
    }

    /// The calibration of images of this size.
    fn calibration(&self, size: (u32, u32)) -> MetricResult<Calibration> {
        let received = self.received();
        let Some(info) = &received.info else {
            return Err(self.why_no_info(&received));
        };
        let kind = match self.config.is_rectified {
            true => ImageKind::Rectified,
            false => ImageKind::Raw,
        };
        Calibration::new(info, kind, size).map_err(|error| format!("{}: {error}", self.info_topic))
    }

    fn why_no_info(&self, received: &Received) -> String {
        let (topic, expected) = (&self.info_topic, interfaces::CAMERA_INFO.type_name);
        why_no_messages(&self.config, topic, expected, &received.info_publishers)
            .unwrap_or_else(|| format!("no CameraInfo received yet on {topic}"))
    }

    /// The reference depth image of a frame.
    fn reference(&self, header: &FrameHeader, tolerance_s: f64) -> MetricResult<Arc<Image>> {
        let received = self.received();
        let Some((distance_ns, reference)) = received.references.nearest(header.stamp_ns()) else {
            return Err(self.why_no_reference(&received));
        };
        let distance_s = distance_ns as f64 * 1e-9;
        if distance_s <= tolerance_s {
            return Ok(reference);
        }
        let off = format!(
            "the nearest depth on {} is {distance_s:.3} s from the frame's stamp, and cameras.{}.scale.tolerance is {tolerance_s:.3} s",
            self.reference_topic, self.config.name
        );
        Err(match self.why_reference_unavailable(&received) {
            Some(why) => format!("{off}; {why}"),
            None => off,
        })
    }

    fn why_no_reference(&self, received: &Received) -> String {
        self.why_reference_unavailable(received)
            .unwrap_or_else(|| format!("no depth received yet on {}", self.reference_topic))
    }

    fn why_reference_unavailable(&self, received: &Received) -> Option<String> {
        let (topic, expected) = (&self.reference_topic, interfaces::DEPTH_REFERENCE.type_name);
        why_no_messages(
            &self.config,
            topic,
            expected,
            &received.reference_publishers,
        )
    }

    /// Why none of its frames can ever have metres; none if they can.
    pub fn why_never(&self) -> Option<String> {
        (self.config.scale_source == ScaleSource::None).then(|| self.not_configured())
    }

    fn not_configured(&self) -> String {
        format!("cameras.{}.scale.source is none", self.config.name)
    }

    /// The state at this moment.
    pub fn status(&self) -> ScaleStatus {
        let (received, log) = (self.received(), self.log());
        let source = self.config.scale_source;
        let why_not = match (source, &log.newest) {
            (ScaleSource::None, _) => self.not_configured(),
            (_, Some(Err(why))) => why.clone(),
            (_, Some(Ok(_))) => String::new(),
            (ScaleSource::Depth, None) if received.n_references == 0 => {
                self.why_no_reference(&received)
            }
            (ScaleSource::Height, None) if received.info.is_none() => self.why_no_info(&received),
            (_, None) => "no metric map was requested yet".into(),
        };
        ScaleStatus {
            source,
            affine: log
                .newest
                .as_ref()
                .and_then(|newest| newest.as_ref().ok())
                .copied(),
            age: log.fit.map(|(at, _)| at.elapsed()),
            fit: log.fit.map(|(_, fit)| fit),
            n_references: received.n_references,
            has_camera_info: received.info.is_some(),
            why_not,
            remark: log.remark.clone(),
        }
    }
}

/// Fit a map to a reference.
fn fit_to_reference(depth: &DepthMap, reference: &Image, settings: &ScaleConfig) -> Observation {
    let pairs = || -> cooper_imaging::Result<_> {
        let reference = convert::reference_depth(reference)?;
        reference.pairs_with(&depth.values, depth.width, depth.height)
    };
    match pairs() {
        Err(error) => Observation::Missing(error.to_string()),
        Ok((relative, metres)) => match fit_scale(&relative, &metres, &settings.fit) {
            Ok(fit) => Observation::Fit(fit),
            Err(why) => Observation::Bad(why),
        },
    }
}

/// Fit a map to the floor.
fn fit_to_floor(
    depth: &DepthMap,
    calibration: &MetricResult<Calibration>,
    settings: &ScaleConfig,
) -> Observation {
    let camera = match calibration {
        Ok(calibration) => &calibration.intrinsics,
        Err(why) => return Observation::Missing(why.clone()),
    };
    let floor = FloorSettings::default();
    match fit_floor(
        &depth.values,
        camera,
        settings.height_m,
        &settings.floor,
        &floor,
    ) {
        Ok(floor) => Observation::Fit(floor.fit),
        Err(why) => Observation::Bad(why),
    }
}

/// The remark that a frame uses an earlier scale.
fn reused_scale_remark(scale: &Scale) -> Option<String> {
    let (why, age_s) = (scale.missing.as_ref()?, scale.age_s);
    Some(format!(
        "the newest frame uses the scale of {age_s:.1} s earlier: {why}"
    ))
}

fn within(mut metres: Vec<f32>, [nearest, farthest]: [f64; 2]) -> Vec<f32> {
    for value in &mut metres {
        if !(nearest..=farthest).contains(&f64::from(*value)) {
            *value = f32::NAN;
        }
    }
    metres
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_become_nan() {
        let metres = within(vec![0.4, 0.5, 3.0, 3.5, f32::NAN], [0.5, 3.0]);
        assert_eq!(metres[1..3], [0.5, 3.0]);
        assert!(
            [0, 3, 4].iter().all(|i: &usize| metres[*i].is_nan()),
            "{metres:?}"
        );
    }
}
