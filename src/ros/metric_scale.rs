//! One camera's way from relative depth to metres: its calibration, what its maps are compared with, and its scale.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cooper_imaging::FrameHeader;
use cooper_metric::{FloorSettings, Observation, Scale, ScaleTracker, fit_floor, fit_scale};
use cooper_model::perception::DepthMap;
use cooper_perception::config::{
    CameraConfig, DepthConfig, ParameterSet, ScaleConfig, ScaleSource, interfaces,
};
use cooper_perception::pipeline::StampBuffer;
use r2r::sensor_msgs::msg::{CameraInfo, Image};

use super::convert::{self, Calibration};
use super::scale_status::{ScaleStatus, Told};
use super::silence::{self, Offer};

/// A result, or why there is none: an outcome to tell, not an error.
pub type OrWhy<T> = std::result::Result<T, String>;

/// What metres need besides maps, and what became of them.
#[derive(Debug)]
pub struct MetricScale {
    config: CameraConfig,
    /// The topics, fully resolved.
    pub info_topic: String,
    /// See `info_topic`.
    pub reference_topic: String,
    heard: Mutex<Heard>,
    tracker: Mutex<ScaleTracker>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Heard {
    info: Option<CameraInfo>,
    info_offers: Vec<Offer>,
    references: StampBuffer<Image>,
    n_references: u64,
    reference_offers: Vec<Offer>,
}

/// A map in metres.
#[derive(Debug)]
pub struct Metres {
    /// Row-major; NaN where there are none.
    pub values: Vec<f32>,
    /// What they come from.
    pub scale: Scale,
    /// The image's camera, or why it is unknown.
    pub calibration: OrWhy<Calibration>,
    /// How they are published.
    pub config: DepthConfig,
    /// What is missing or doubtful beside them.
    pub remark: Option<String>,
}

impl MetricScale {
    /// Of a camera that has heard nothing yet; the topics are fully resolved.
    pub fn new(config: CameraConfig, info_topic: String, reference_topic: String) -> Self {
        Self {
            config,
            info_topic,
            reference_topic,
            heard: Mutex::default(),
            tracker: Mutex::default(),
            told: Mutex::default(),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep the calibration.
    pub fn put_info(&self, info: CameraInfo) {
        self.heard().info = Some(info);
    }

    /// Keep a reference depth image.
    pub fn put_reference(&self, reference: Image) {
        let stamp_ns = convert::header_of(&reference.header).stamp_ns();
        let mut heard = self.heard();
        heard.n_references += 1;
        heard.references.put(stamp_ns, reference);
    }

    /// Keep who publishes calibrations and reference depth.
    pub fn put_offers(&self, info: Vec<Offer>, reference: Vec<Offer>) {
        let mut heard = self.heard();
        (heard.info_offers, heard.reference_offers) = (info, reference);
    }

    /// A frame is worked on: keep its reference until it has a map.
    pub fn expect(&self, header: &FrameHeader) {
        if self.config.scale_source == ScaleSource::Depth {
            self.heard().references.pin(header.stamp_ns());
        }
    }

    /// Give a map its metres, as the parameters of this moment say. It takes a while and is no work for a task.
    ///
    /// # Errors
    /// Why it has none.
    pub fn metres(
        &self,
        depth: &DepthMap,
        header: &FrameHeader,
        parameters: &ParameterSet,
    ) -> OrWhy<Metres> {
        if self.config.scale_source == ScaleSource::None {
            return Err(self.not_configured());
        }
        let metres = self.try_metres(depth, header, parameters);
        self.told().tell(&self.config.name, &metres);
        metres
    }

    fn try_metres(
        &self,
        depth: &DepthMap,
        header: &FrameHeader,
        parameters: &ParameterSet,
    ) -> OrWhy<Metres> {
        let camera = &self.config.name;
        let settings = ScaleConfig::read(parameters, camera).map_err(|error| error.to_string())?;
        let config = DepthConfig::read(parameters).map_err(|error| error.to_string())?;
        let calibration = self.calibration((depth.width, depth.height));
        let (sighting, doubt) = match self.config.scale_source {
            ScaleSource::Height => (on_floor(depth, &calibration, &settings), None),
            _ => self.against_reference(depth, header, &settings),
        };
        // Fits are made at any time, but enter the filter one by one.
        let mut tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        let scale = tracker.observe(sighting, header.stamp_s(), settings.filter);
        let scale = scale.map_err(|why| why.to_string())?;
        let missing = [stand_in(&scale), doubt, self.without_camera(&calibration)];
        let remarks: Vec<_> = missing.into_iter().flatten().collect();
        Ok(Metres {
            values: within(scale.affine.metres(&depth.values), config.range_m),
            scale,
            calibration,
            config,
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
        })
    }

    /// What the frame's reference says of the map's scale, and what is doubtful about the reference.
    fn against_reference(
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
        (compared(depth, &reference, settings), doubt)
    }

    fn without_camera(&self, calibration: &OrWhy<Calibration>) -> Option<String> {
        let why = calibration.as_ref().err()?;
        let [info, points] = [&interfaces::DEPTH_CAMERA_INFO, &interfaces::POINTS]
            .map(|interface| interface.of(&self.config.name));
        Some(format!("{info} and {points} need a calibration: {why}"))
    }

    /// The calibration of images of this size.
    fn calibration(&self, size: (u32, u32)) -> OrWhy<Calibration> {
        let heard = self.heard();
        let Some(info) = &heard.info else {
            return Err(self.no_info(&heard));
        };
        Calibration::of(info, self.config.is_rectified, size)
            .map_err(|error| format!("{}: {error}", self.info_topic))
    }

    fn no_info(&self, heard: &Heard) -> String {
        let (topic, expected) = (&self.info_topic, interfaces::CAMERA_INFO.type_name);
        silence::in_graph(&self.config, topic, expected, &heard.info_offers)
            .unwrap_or_else(|| format!("no calibration has come yet on {topic}"))
    }

    /// The reference depth image of a frame.
    fn reference(&self, header: &FrameHeader, tolerance_s: f64) -> OrWhy<Arc<Image>> {
        let heard = self.heard();
        let Some((distance_ns, reference)) = heard.references.nearest(header.stamp_ns()) else {
            return Err(self.no_reference(&heard));
        };
        let distance_s = distance_ns as f64 * 1e-9;
        if distance_s <= tolerance_s {
            return Ok(reference);
        }
        let off = format!(
            "the nearest depth on {} is {distance_s:.3} s off the frame's stamp, and cameras.{}.scale.tolerance is {tolerance_s:.3} s",
            self.reference_topic, self.config.name
        );
        Err(match self.unheard_reference(&heard) {
            Some(why) => format!("{off}; {why}"),
            None => off,
        })
    }

    fn no_reference(&self, heard: &Heard) -> String {
        self.unheard_reference(heard)
            .unwrap_or_else(|| format!("no depth has come yet on {}", self.reference_topic))
    }

    fn unheard_reference(&self, heard: &Heard) -> Option<String> {
        let (topic, expected) = (&self.reference_topic, interfaces::DEPTH_REFERENCE.type_name);
        silence::in_graph(&self.config, topic, expected, &heard.reference_offers)
    }

    /// Why none of its frames will ever have metres, if so.
    pub fn why_never(&self) -> Option<String> {
        (self.config.scale_source == ScaleSource::None).then(|| self.not_configured())
    }

    fn not_configured(&self) -> String {
        format!("cameras.{}.scale.source is none", self.config.name)
    }

    /// All that is known, for status and diagnostics.
    pub fn status(&self) -> ScaleStatus {
        let (heard, told) = (self.heard(), self.told());
        let source = self.config.scale_source;
        let why_not = match (source, &told.newest) {
            (ScaleSource::None, _) => self.not_configured(),
            (_, Some(Err(why))) => why.clone(),
            (_, Some(Ok(_))) => String::new(),
            (ScaleSource::Depth, None) if heard.n_references == 0 => self.no_reference(&heard),
            (ScaleSource::Height, None) if heard.info.is_none() => self.no_info(&heard),
            (_, None) => "no map was wanted in metres yet".into(),
        };
        ScaleStatus {
            source,
            affine: told
                .newest
                .as_ref()
                .and_then(|newest| newest.as_ref().ok())
                .copied(),
            age: told.fit.map(|(at, _)| at.elapsed()),
            fit: told.fit.map(|(_, fit)| fit),
            n_references: heard.n_references,
            has_camera_info: heard.info.is_some(),
            why_not,
            remark: told.remark.clone(),
        }
    }
}

/// Fit a map to a reference.
fn compared(depth: &DepthMap, reference: &Image, settings: &ScaleConfig) -> Observation {
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
fn on_floor(
    depth: &DepthMap,
    calibration: &OrWhy<Calibration>,
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

/// That a frame has an older scale.
fn stand_in(scale: &Scale) -> Option<String> {
    let (why, age_s) = (scale.missing.as_ref()?, scale.age_s);
    Some(format!(
        "the newest frame has the scale of {age_s:.1} s before: {why}"
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
    fn what_is_out_of_range_has_no_metres() {
        let metres = within(vec![0.4, 0.5, 3.0, 3.5, f32::NAN], [0.5, 3.0]);
        assert_eq!(metres[1..3], [0.5, 3.0]);
        assert!(
            [0, 3, 4].iter().all(|i: &usize| metres[*i].is_nan()),
            "{metres:?}"
        );
    }
}
