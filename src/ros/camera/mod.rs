//! A camera: its newest frame, or why there is none.
//!
//! Receiving a message costs next to nothing; its pixels are decoded when a request begins to work on them.

mod received;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cooper_model::perception::{RegionTracker, Segmentation};
use cooper_model::{Error, Result};
use cooper_perception::config::CameraConfig;
use cooper_perception::pipeline::{Frame, LatestFrame};
use tokio::sync::Notify;

use self::received::Received;
use crate::availability::{PublisherInfo, stamp_problem, why_no_frames};
use crate::clock::Clock;
use crate::convert;
use crate::metric::MetricScale;

pub use self::received::Message;

/// A camera at a moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Frames per second.
    pub rate_hz: f64,
    /// Time since the newest frame was received.
    pub age: Option<Duration>,
    /// Encoding, or for compressed images their format.
    pub encoding: String,
    /// Width and height of the newest frame, as far as they are known.
    pub size: (u32, u32),
    /// Publishers on the image topic.
    pub n_publishers: usize,
    /// Frames received since the start.
    pub n_frames: u64,
    /// Seconds from the newest frame's stamp to now, by the node's clock.
    pub stamp_age_s: Option<f64>,
    /// What is wrong with that stamp.
    pub stamp_problem: Option<String>,
    /// Empty when frames arrive and can be used.
    pub why_silent: String,
}

/// One camera.
#[derive(Debug)]
pub struct Camera {
    /// Its parameters.
    pub config: CameraConfig,
    /// The image topic, fully resolved.
    pub topic: String,
    /// Its metric scale.
    pub scale: Arc<MetricScale>,
    regions: Mutex<RegionTracker>,
    received: Mutex<Received>,
    arrived: Notify,
}

impl Camera {
    /// A camera that has received nothing yet.
    pub fn new(config: CameraConfig, topic: String, scale: MetricScale) -> Self {
        Self {
            config,
            topic,
            scale: Arc::new(scale),
            regions: Mutex::default(),
            received: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// A segmentation of one of its frames, with the ids and names of the previous one where regions overlap.
    pub fn track(&self, segmentation: Segmentation) -> Segmentation {
        self.regions().track(segmentation)
    }

    /// Keep the names of a segmentation for the next ones.
    pub fn keep_names(&self, segmentation: &Segmentation) {
        self.regions().keep_names(segmentation);
    }

    fn regions(&self) -> MutexGuard<'_, RegionTracker> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> MutexGuard<'_, Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep a message as the newest one.
    pub fn receive(&self, message: Message) {
        let message = Arc::new(message);
        self.received().push(message);
        self.arrived.notify_one();
    }

    /// Keep who publishes on the image topic.
    pub fn set_publishers(&self, publishers: Vec<PublisherInfo>) {
        self.received().publishers = publishers;
    }

    /// Set how old a frame may be to be used; none: any age.
    pub fn set_max_age(&self, max_age: Option<Duration>) {
        self.received().max_age = max_age;
    }

    /// Wait for a frame received since the last call.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Frames received since the start: the number of the newest one.
    pub fn n_frames(&self) -> u64 {
        self.received().n_frames
    }

    /// `Ok` if there is a frame that is not too old.
    ///
    /// # Errors
    /// [`Error::NoImage`] with the reason.
    pub fn check(&self) -> Result<()> {
        let why = self.why_silent(&self.received());
        if why.is_empty() {
            Ok(())
        } else {
            Err(self.no_image(why))
        }
    }

    fn no_image(&self, why: String) -> Error {
        Error::NoImage {
            camera: self.config.name.clone(),
            why,
        }
    }

    fn why_silent(&self, received: &Received) -> String {
        let stale = received.stale();
        let newest = match received.newest.as_deref() {
            Some(newest) if stale.is_none() => newest,
            _ => return why_no_frames(&self.config, &self.topic, &received.publishers, stale),
        };
        match (received.decoded_newest(), newest) {
            (Some(Err(why)), _) => why.clone(),
            (_, Message::Raw(image)) => convert::check_image(image)
                .err()
                .map_or(String::new(), |error| unusable(&error.into())),
            _ => String::new(),
        }
    }

    /// The state at this moment, for status and diagnostics.
    pub async fn snapshot(self: &Arc<Self>, clock: &Clock) -> Snapshot {
        if self.received().needs_decoding() {
            let camera = self.clone();
            let _ = tokio::task::spawn_blocking(move || camera.newest()).await;
        }
        let received = self.received();
        let stamp = received.newest.as_deref().map(Message::stamp);
        let stamp_age_s = stamp.map(|stamp| clock.seconds_since(stamp));
        let stamp_problem = stamp
            .zip(stamp_age_s)
            .and_then(|(stamp, age)| stamp_problem(stamp, age, received.max_age));
        let (encoding, size) = received.format();
        Snapshot {
            rate_hz: received.rate_hz(),
            age: received.age(),
            encoding,
            size,
            n_publishers: received.publishers.len(),
            n_frames: received.n_frames,
            stamp_age_s,
            stamp_problem,
            why_silent: self.why_silent(&received),
        }
    }

    /// The newest frame.
    ///
    /// # Errors
    /// [`Error::NoImage`] with the reason why there is none, or why it cannot be used.
    fn newest(&self) -> Result<Arc<Frame>> {
        let (number, message) = {
            let received = self.received();
            let why = self.why_silent(&received);
            match (&received.newest, received.decoded_newest()) {
                (Some(_), Some(Ok(frame))) if why.is_empty() => return Ok(frame.clone()),
                (Some(message), _) if why.is_empty() => (received.n_frames, message.clone()),
                _ => return Err(self.no_image(why)),
            }
        };
        // Unlocked: decoding takes a while, and messages arrive meanwhile.
        let decoded = message.decode(&self.config.name, number).map(Arc::new);
        let decoded = decoded.map_err(|error| unusable(&error));
        let decoded = self.received().keep_decoded(number, decoded);
        decoded.map_err(|why| self.no_image(why))
    }
}

impl LatestFrame for Camera {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn latest(&self) -> Result<Arc<Frame>> {
        let frame = self.newest()?;
        self.scale.pin_reference(&frame.header);
        Ok(frame)
    }
}

/// Why a frame cannot be used. The reader knows the camera already.
fn unusable(error: &Error) -> String {
    format!("its newest frame cannot be used: {error}")
}
