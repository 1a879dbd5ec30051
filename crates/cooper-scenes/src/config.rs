//! The settings of scenes: plain numbers with ranges.

use cooper_imaging::{Error, Result};
use serde::{Deserialize, Serialize};

use super::colors::ColorName;
use super::sampling::Span;

/// The image for which [`SceneConfig::min_visible_pixels`] is given.
const REFERENCE_PIXELS: f64 = 128.0 * 96.0;

/// The ranges from which scenes are sampled.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SceneConfig {
    /// Pixels of a row, 8 to 4096.
    pub width: u32,
    /// Rows of pixels, 8 to 4096.
    pub height: u32,
    /// The angle between the left and the right edge of the image, degrees, as [lowest, highest].
    pub horizontal_fov_deg: Span,
    /// The camera's height over the floor, metres.
    pub camera_height_m: Span,
    /// How far the camera looks down, degrees.
    pub pitch_deg: Span,
    /// How far the camera looks to the left of the room's long axis, degrees.
    pub yaw_deg: Span,
    /// How far the camera is tilted about its optical axis, degrees.
    pub roll_deg: Span,
    /// The room's extent across the viewing direction, metres.
    pub room_width_m: Span,
    /// The room's extent along the viewing direction, metres.
    pub room_depth_m: Span,
    /// From floor to ceiling, metres.
    pub room_height_m: Span,
    /// The smallest and largest number of visible objects, 0 to 8; at most one of each colour.
    pub objects: [usize; 2],
    /// The share of scenes in which an object stands on a box, 0 to 1.
    pub stacked_share: f64,
    /// The smallest and largest extent of an object, metres.
    pub size_m: Span,
    /// From the camera to an object's centre along the floor, metres.
    pub distance_m: Span,
    /// An object with fewer visible pixels does not count; given for an image of 128 x 96 pixels.
    pub min_visible_pixels: usize,
    /// Standard deviation of a pixel's noise; 1 is the range of a channel.
    pub noise_sigma: Span,
    /// How many arrangements are tried for the wanted number of visible objects, at least 1.
    pub attempts: usize,
}

impl Default for SceneConfig {
    fn default() -> Self {
        Self {
            width: 128,
            height: 96,
            horizontal_fov_deg: [62.0, 62.0],
            camera_height_m: [1.0, 1.5],
            pitch_deg: [5.0, 25.0],
            yaw_deg: [-29.0, 29.0],
            roll_deg: [-2.0, 2.0],
            room_width_m: [3.5, 7.0],
            room_depth_m: [4.0, 8.5],
            room_height_m: [2.3, 3.2],
            objects: [2, 5],
            stacked_share: 0.25,
            size_m: [0.25, 1.2],
            distance_m: [1.1, 5.5],
            min_visible_pixels: 40,
            noise_sigma: [0.003, 0.02],
            attempts: 20,
        }
    }
}

impl SceneConfig {
    /// The fewest pixels of a visible object at this image size.
    pub fn visible_from(&self) -> usize {
        let pixels = f64::from(self.width) * f64::from(self.height);
        let scaled = self.min_visible_pixels as f64 * pixels / REFERENCE_PIXELS;
        (scaled.ceil() as usize).max(1)
    }

    /// Check the settings. Scenes of invalid settings are generated, but make no sense.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] about the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, [low, high], least, most) in self.spans() {
            // In this form NaN is refused.
            if !(least <= low && low <= high && high <= most) {
                let why = format!("expected {least} <= low <= high <= {most}, got [{low}, {high}]");
                return Err(Error::invalid(name, why));
            }
        }
        let [fewest, most] = self.objects;
        if !(fewest <= most && most <= ColorName::ALL.len()) {
            let why = format!("expected 0 <= low <= high <= 8, got [{fewest}, {most}]");
            return Err(Error::invalid("objects", why));
        }
        if !(8..=4096).contains(&self.width) || !(8..=4096).contains(&self.height) {
            let why = format!("expected 8 to 4096, got {} x {}", self.width, self.height);
            return Err(Error::invalid("width and height", why));
        }
        if self.attempts == 0 {
            return Err(Error::invalid("attempts", "expected at least 1, got 0"));
        }
        Ok(())
    }

    fn spans(&self) -> [(&'static str, Span, f64, f64); 12] {
        let share = [self.stacked_share; 2];
        [
            ("horizontal_fov_deg", self.horizontal_fov_deg, 10.0, 150.0),
            ("camera_height_m", self.camera_height_m, 0.1, 50.0),
            ("pitch_deg", self.pitch_deg, -89.0, 89.0),
            ("yaw_deg", self.yaw_deg, -180.0, 180.0),
            ("roll_deg", self.roll_deg, -180.0, 180.0),
            ("room_width_m", self.room_width_m, 1.5, 100.0),
            ("room_depth_m", self.room_depth_m, 1.5, 100.0),
            ("room_height_m", self.room_height_m, 1.0, 50.0),
            ("stacked_share", share, 0.0, 1.0),
            ("size_m", self.size_m, 0.05, 5.0),
            ("distance_m", self.distance_m, 0.1, 100.0),
            ("noise_sigma", self.noise_sigma, 0.0, 1.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let config: SceneConfig = serde_json::from_str(r#"{"width": 256, "height": 192}"#).unwrap();
        assert_eq!((config.width, config.attempts), (256, 20));
        assert_eq!(config.visible_from(), 160);
        assert!(serde_json::from_str::<SceneConfig>(r#"{"widht": 256}"#).is_err());
    }

    #[test]
    fn wrong_numbers_are_named() {
        assert!(SceneConfig::default().check().is_ok());
        let wrong = [
            SceneConfig {
                pitch_deg: [3.0, 2.0],
                ..SceneConfig::default()
            },
            SceneConfig {
                noise_sigma: [f64::NAN, 1.0],
                ..SceneConfig::default()
            },
            SceneConfig {
                objects: [2, 9],
                ..SceneConfig::default()
            },
            SceneConfig {
                width: 0,
                ..SceneConfig::default()
            },
        ];
        for (config, name) in wrong
            .iter()
            .zip(["pitch_deg", "noise_sigma", "objects", "width"])
        {
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
