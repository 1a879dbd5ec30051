//! What furnished rooms look like: paths, plain numbers with ranges, shares.

use std::path::PathBuf;

use cooper_imaging::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::sampling::Span;

/// The image for which [`FurnishedConfig::min_visible_pixels`] is given.
const REFERENCE_PIXELS: f64 = 256.0 * 192.0;

/// Where the models are, and the ranges from which furnished rooms are drawn.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FurnishedConfig {
    /// A folder with furniture catalogues (`*.sh3f`, or unpacked); where the system's package puts them if not given.
    pub furniture: Option<PathBuf>,
    /// A folder with worlds, one a folder with a `world.json`; none if not given. Worlds are in the train split only.
    pub worlds: Option<PathBuf>,
    /// The share of training scenes that are seen in a world, if there are worlds.
    pub world_share: f64,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The angle between the left and the right edge of the image.
    pub horizontal_fov_deg: Span,
    /// The room's smaller horizontal extent.
    pub room_width_m: Span,
    /// The room's larger horizontal extent.
    pub room_depth_m: Span,
    /// From floor to ceiling.
    pub room_height_m: Span,
    /// The share of images that look at a table top from near by.
    pub table_view_share: f64,
    /// The share of images that are seen from a small robot.
    pub robot_view_share: f64,
    /// The height of a camera that a person or a tall robot carries.
    pub camera_height_m: Span,
    /// The height of a small robot's camera.
    pub robot_height_m: Span,
    /// From the camera to the table top that it looks at.
    pub table_distance_m: Span,
    /// How many small things there are: 0 none, 1 as in a lived-in room.
    pub clutter: f64,
    /// Strength of blur, noise, vignetting and compression: 0 none, 1 as of an indoor camera.
    pub sensor: f64,
    /// An object with fewer visible pixels of a 256 x 192 image is not listed.
    pub min_visible_pixels: usize,
}

impl Default for FurnishedConfig {
    fn default() -> Self {
        Self {
            furniture: None,
            worlds: None,
            world_share: 0.2,
            width: 256,
            height: 192,
            horizontal_fov_deg: [45.0, 90.0],
            room_width_m: [2.4, 5.0],
            room_depth_m: [3.0, 7.0],
            room_height_m: [2.3, 3.1],
            table_view_share: 0.2,
            robot_view_share: 0.2,
            camera_height_m: [1.0, 1.75],
            robot_height_m: [0.2, 0.5],
            table_distance_m: [0.4, 1.5],
            clutter: 1.0,
            sensor: 1.0,
            min_visible_pixels: 40,
        }
    }
}

impl FurnishedConfig {
    /// The fewest pixels of a listed object at this image size.
    pub(crate) fn visible_from(&self) -> usize {
        let pixels = f64::from(self.width) * f64::from(self.height);
        let scaled = self.min_visible_pixels as f64 * pixels / REFERENCE_PIXELS;
        (scaled.ceil() as usize).max(1)
    }

    /// Whether scenes come of these numbers. The paths are read by [`FurnishedRooms::open`](super::FurnishedRooms::open).
    ///
    /// # Errors
    /// [`Error::InvalidInput`] about the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        for (name, [low, high], least, most) in self.spans() {
            // Written so that NaN is refused.
            if !(least <= low && low <= high && high <= most) {
                let why = format!("expected {least} <= low <= high <= {most}, got [{low}, {high}]");
                return Err(Error::invalid(name, why));
            }
        }
        if self.table_view_share + self.robot_view_share > 1.0 {
            let sum = self.table_view_share + self.robot_view_share;
            let why = format!("expected a sum of at most 1, got {sum}");
            return Err(Error::invalid("table_view_share, robot_view_share", why));
        }
        if !(8..=4096).contains(&self.width) || !(8..=4096).contains(&self.height) {
            let why = format!("expected 8 to 4096, got {} x {}", self.width, self.height);
            return Err(Error::invalid("width and height", why));
        }
        Ok(())
    }

    fn spans(&self) -> [(&'static str, Span, f64, f64); 12] {
        let share = |share: f64| [share; 2];
        [
            ("world_share", share(self.world_share), 0.0, 1.0),
            ("horizontal_fov_deg", self.horizontal_fov_deg, 20.0, 120.0),
            ("room_width_m", self.room_width_m, 2.0, 12.0),
            ("room_depth_m", self.room_depth_m, 2.0, 12.0),
            ("room_height_m", self.room_height_m, 2.2, 6.0),
            ("table_view_share", share(self.table_view_share), 0.0, 1.0),
            ("robot_view_share", share(self.robot_view_share), 0.0, 1.0),
            ("camera_height_m", self.camera_height_m, 0.1, 2.0),
            ("robot_height_m", self.robot_height_m, 0.1, 2.0),
            ("table_distance_m", self.table_distance_m, 0.3, 3.0),
            ("clutter", share(self.clutter), 0.0, 3.0),
            ("sensor", share(self.sensor), 0.0, 3.0),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_and_wrong_numbers_are_named() {
        let read = serde_json::from_str::<FurnishedConfig>;
        let config = read(r#"{"width": 128, "height": 96, "worlds": "/w"}"#).unwrap();
        assert_eq!((config.width, config.visible_from()), (128, 10));
        assert!(config.check().is_ok());
        assert!(read(r#"{"wolds": "/w"}"#).is_err());
        for (json, name) in [
            (r#"{"clutter": -1}"#, "clutter"),
            (r#"{"room_width_m": [5, 3]}"#, "room_width_m"),
            (r#"{"width": 4}"#, "width"),
            (
                r#"{"table_view_share": 0.6, "robot_view_share": 0.6}"#,
                "table_view",
            ),
        ] {
            let error = read(json).unwrap().check().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
