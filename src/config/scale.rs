//! How a camera's maps become metres, as the parameters of this moment say.

use cooper_metric::{FilterSettings, FitSettings, FloorPrior, Tilt};
use cooper_model::{Error, Result};

use super::choices::{DepthEncoding, ScaleSource};
use super::parameter_set::ParameterSet;

/// Read a camera's source, and see that it has what it needs.
///
/// # Errors
/// [`Error::InvalidInput`] that names the parameter that is missing.
pub(super) fn scale_source(parameters: &ParameterSet, camera: &str) -> Result<ScaleSource> {
    let source = parameters.choice(&format!("cameras.{camera}.scale.source"))?;
    let height = format!("cameras.{camera}.scale.height");
    if source == ScaleSource::Height && parameters.float(&height)? <= 0.0 {
        let why = "expected metres above 0 where scale.source is height, got 0";
        return Err(Error::invalid(format!("parameter {height}"), why));
    }
    Ok(source)
}

/// What of a camera's scale may change while the node runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleConfig {
    /// The most seconds between the stamps of a frame and its reference.
    pub tolerance_s: f64,
    /// When the fit to a reference is good enough.
    pub fit: FitSettings,
    /// Metres from the camera to the floor.
    pub height_m: f64,
    /// What else is known of the floor.
    pub floor: FloorPrior,
    /// How scales are smoothed.
    pub filter: FilterSettings,
}

impl ScaleConfig {
    /// Read a camera's.
    ///
    /// # Errors
    /// [`Error::Internal`] if there is no such camera.
    pub fn read(parameters: &ParameterSet, camera: &str) -> Result<Self> {
        let name = |leaf: &str| format!("cameras.{camera}.scale.{leaf}");
        let float = |leaf: &str| parameters.float(&name(leaf));
        // COOPER's maps are proportional to depth.
        let offset = 0.0;
        let floor = if parameters.flag(&name("tilt_known"))? {
            let (pitch, roll) = (float("pitch")?, float("roll")?);
            let tilt = Tilt { pitch, roll };
            FloorPrior::Both { offset, tilt }
        } else {
            FloorPrior::Offset(offset)
        };
        Ok(Self {
            tolerance_s: float("tolerance")?,
            fit: FitSettings {
                min_points: parameters.count(&name("min_points"))?,
                inlier_error: float("inlier_error")?,
                min_inlier_share: float("min_inlier_share")?,
                max_median_error: float("max_median_error")?,
                ..FitSettings::default()
            },
            height_m: float("height")?,
            floor,
            filter: FilterSettings {
                time_constant_s: float("time_constant")?,
                max_jump: float("max_jump")?,
                n_persist: parameters.count(&name("persist"))?,
                max_age_s: float("max_age")?,
            },
        })
    }
}

/// How depth is published.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DepthConfig {
    /// The number format of metric depth.
    pub encoding: DepthEncoding,
    /// The least and the largest metres that are valid.
    pub range_m: [f64; 2],
    /// How many maps a confidence is made from.
    pub n_samples: usize,
    /// The standard deviation at which it has fallen to 0.37, in relative depth.
    pub deviation: f64,
}

impl DepthConfig {
    /// Read it.
    ///
    /// # Errors
    /// [`Error::Internal`] if the parameters are not those that [`super::parameters()`] declares.
    pub fn read(parameters: &ParameterSet) -> Result<Self> {
        let max_range = parameters.float("depth.max_range")?;
        let farthest = if max_range > 0.0 {
            max_range
        } else {
            f64::INFINITY
        };
        Ok(Self {
            encoding: parameters.choice("depth.encoding")?,
            range_m: [parameters.float("depth.min_range")?, farthest],
            n_samples: parameters.count("depth.confidence_samples")?,
            deviation: parameters.float("depth.confidence_deviation")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::Value;
    use super::*;

    fn set(pairs: &[(&str, Value)]) -> ParameterSet {
        let pairs = pairs.iter().cloned();
        let overrides: BTreeMap<_, _> = pairs.map(|(name, value)| (name.into(), value)).collect();
        ParameterSet::at_start(&overrides).unwrap().0
    }

    #[test]
    fn defaults_are_the_metric_ones() {
        let config = ScaleConfig::read(&set(&[]), "camera").unwrap();
        assert_eq!(config.fit, FitSettings::default());
        assert_eq!(config.filter, FilterSettings::default());
        assert_eq!(config.floor, FloorPrior::Offset(0.0));
        let depth = DepthConfig::read(&set(&[])).unwrap();
        assert_eq!(
            (depth.encoding, depth.range_m),
            (DepthEncoding::Metres, [0.0, f64::INFINITY])
        );
    }

    #[test]
    fn a_known_tilt_is_used() {
        let config = set(&[
            ("cameras.camera.scale.tilt_known", Value::Bool(true)),
            ("cameras.camera.scale.pitch", Value::Float(0.2)),
        ]);
        let tilt = Tilt {
            pitch: 0.2,
            roll: 0.0,
        };
        let floor = ScaleConfig::read(&config, "camera").unwrap().floor;
        assert_eq!(floor, FloorPrior::Both { offset: 0.0, tilt });
    }

    #[test]
    fn a_height_is_needed_where_it_is_the_source() {
        let source = ("cameras.camera.scale.source", Value::Text("height".into()));
        let told = scale_source(&set(std::slice::from_ref(&source)), "camera").unwrap_err();
        assert!(
            told.to_string()
                .starts_with("parameter cameras.camera.scale.height: expected"),
            "{told}"
        );
        let height = ("cameras.camera.scale.height", Value::Float(1.2));
        assert_eq!(
            scale_source(&set(&[source, height]), "camera").unwrap(),
            ScaleSource::Height
        );
    }
}
