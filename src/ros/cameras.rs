//! One camera as the node hears it: the newest message, unconverted, and all that explains a silence.
//!
//! A message costs a few words of bookkeeping; its pixels are read when a request begins to work on them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cooper_model::perception::{RegionTracker, Segmentation};
use cooper_model::{Error, Result};
use cooper_perception::config::CameraConfig;
use cooper_perception::pipeline::{Frame, LatestFrame};
use r2r::builtin_interfaces::msg::Time;
use r2r::sensor_msgs::msg::{CompressedImage, Image};
use tokio::sync::Notify;

use super::clock::Clock;
use super::convert;
use super::metric_scale::MetricScale;
use super::silence::{self, Offer};

/// Over how long the frame rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// How long compressed frames are trusted after one was decoded: nobody sees that they are corrupt before that.
const TRUST: Duration = Duration::from_secs(5);
/// Arrivals that are remembered for the rate.
const MAX_ARRIVALS: usize = 512;

/// An image as it came.
#[derive(Clone, Debug)]
pub enum Message {
    /// Plain pixels.
    Raw(Image),
    /// JPEG or PNG.
    Compressed(CompressedImage),
}

impl Message {
    /// When the image was taken, as its camera says.
    fn stamp(&self) -> &Time {
        match self {
            Self::Raw(image) => &image.header.stamp,
            Self::Compressed(image) => &image.header.stamp,
        }
    }
}

/// What is known of a camera at a moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Frames per second.
    pub rate_hz: f64,
    /// Time since the newest frame came.
    pub age: Option<Duration>,
    /// Encoding, or for compressed images their format.
    pub encoding: String,
    /// Width and height of the newest frame, as far as they are known.
    pub size: (u32, u32),
    /// Publishers on the image topic.
    pub n_publishers: usize,
    /// Frames that came, ever.
    pub n_frames: u64,
    /// Seconds from the newest frame's stamp to now, by the node's clock.
    pub stamp_age_s: Option<f64>,
    /// What is wrong with that stamp.
    pub stamp_remark: Option<String>,
    /// Empty when frames come and can be used.
    pub why_silent: String,
}

/// One camera.
#[derive(Debug)]
pub struct Camera {
    /// Its parameters.
    pub config: CameraConfig,
    /// The image topic, fully resolved.
    pub topic: String,
    /// Its way to metres.
    pub scaling: MetricScale,
    regions: Mutex<RegionTracker>,
    heard: Mutex<Heard>,
    arrived: Notify,
}

/// What came of a frame: its pixels, or why there are none.
type Converted = std::result::Result<Arc<Frame>, String>;

#[derive(Debug, Default)]
struct Heard {
    newest: Option<Arc<Message>>,
    n_frames: u64,
    arrivals: VecDeque<Instant>,
    /// The newest frame that was converted: its number and what came of it.
    converted: Option<(u64, Converted)>,
    converted_at: Option<Instant>,
    offers: Vec<Offer>,
    max_age: Option<Duration>,
}

impl Camera {
    /// A camera that has heard nothing yet.
    pub fn new(config: CameraConfig, topic: String, scaling: MetricScale) -> Self {
        Self {
            scaling,
            regions: Mutex::default(),
            config,
            topic,
            heard: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    /// A segmentation of one of its frames, with the ids and names of the one before where regions overlap.
    pub fn track(&self, segmentation: Segmentation) -> Segmentation {
        self.regions().track(segmentation)
    }

    /// Keep the names of a segmentation for those that follow.
    pub fn keep_names(&self, segmentation: &Segmentation) {
        self.regions().keep_names(segmentation);
    }

    fn regions(&self) -> MutexGuard<'_, RegionTracker> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keep a message as the newest one.
    pub fn put(&self, message: Message) {
        let now = Instant::now();
        let message = Arc::new(message);
        let mut heard = self.heard();
        heard.n_frames += 1;
        heard.arrivals.push_back(now);
        while heard.arrivals.len() > MAX_ARRIVALS
            || heard
                .arrivals
                .front()
                .is_some_and(|first| now - *first > RATE_WINDOW)
        {
            heard.arrivals.pop_front();
        }
        heard.newest = Some(message);
        drop(heard);
        self.arrived.notify_one();
    }

    /// Keep who publishes on the image topic.
    pub fn put_offers(&self, offers: Vec<Offer>) {
        self.heard().offers = offers;
    }

    /// Set how old a frame may be to be used; none: any age.
    pub fn set_max_age(&self, max_age: Option<Duration>) {
        self.heard().max_age = max_age;
    }

    /// Wait for a frame that came since the last call.
    pub async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Frames that came, ever: the number of the newest one.
    pub fn n_frames(&self) -> u64 {
        self.heard().n_frames
    }

    /// `Ok` if there is a frame that is not too old.
    ///
    /// # Errors
    /// [`Error::NoImage`] with the reason of the silence.
    pub fn check(&self) -> Result<()> {
        let why = self.why_silent(&self.heard());
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

    fn why_silent(&self, heard: &Heard) -> String {
        let age = heard.arrivals.back().map(Instant::elapsed);
        let stale = match (age, heard.max_age) {
            (Some(age), Some(limit)) if age > limit => Some((age, limit)),
            _ => None,
        };
        if heard.newest.is_none() || stale.is_some() {
            return silence::explain(&self.config, &self.topic, &heard.offers, stale);
        }
        match (&heard.converted, heard.newest.as_deref()) {
            (Some((number, Err(why))), _) if *number == heard.n_frames => why.clone(),
            (_, Some(Message::Raw(image))) => {
                unusable(convert::check_image(image).map_err(Into::into)).unwrap_or_default()
            }
            _ => String::new(),
        }
    }

    /// All that is known, for status and diagnostics.
    pub async fn snapshot(self: &Arc<Self>, clock: &Clock) -> Snapshot {
        if self.is_unproved() {
            // A compressed image shows only when it is decoded that it is corrupt; the tasks go on meanwhile.
            let camera = self.clone();
            let _ = tokio::task::spawn_blocking(move || camera.newest()).await;
        }
        let heard = self.heard();
        let stamp = heard.newest.as_deref().map(Message::stamp);
        let stamp_age_s = stamp.map(|stamp| clock.seconds_since(stamp));
        let stamp_remark = stamp
            .zip(stamp_age_s)
            .and_then(|(stamp, age)| silence::explain_stamp(stamp, age, heard.max_age));
        let (encoding, size) = match heard.newest.as_deref() {
            None => (String::new(), (0, 0)),
            Some(Message::Raw(image)) => (image.encoding.clone(), (image.width, image.height)),
            Some(Message::Compressed(image)) => (image.format.clone(), decoded_size(&heard)),
        };
        Snapshot {
            rate_hz: rate(&heard.arrivals),
            age: heard.arrivals.back().map(Instant::elapsed),
            encoding,
            size,
            n_publishers: heard.offers.len(),
            n_frames: heard.n_frames,
            stamp_age_s,
            stamp_remark,
            why_silent: self.why_silent(&heard),
        }
    }

    /// Whether the newest frame is compressed and no good one was decoded lately.
    fn is_unproved(&self) -> bool {
        let heard = self.heard();
        let compressed = matches!(heard.newest.as_deref(), Some(Message::Compressed(_)));
        let good = matches!(heard.converted, Some((_, Ok(_))));
        let lately = heard.converted_at.is_some_and(|at| at.elapsed() < TRUST);
        compressed && !(good && lately)
    }

    /// The newest frame.
    ///
    /// # Errors
    /// [`Error::NoImage`] with the reason of the silence, or of why the frame cannot be used.
    fn newest(&self) -> Result<Arc<Frame>> {
        let (number, message) = {
            let heard = self.heard();
            let why = self.why_silent(&heard);
            match (&heard.newest, &heard.converted) {
                (Some(_), Some((number, Ok(frame))))
                    if why.is_empty() && *number == heard.n_frames =>
                {
                    return Ok(frame.clone());
                }
                (Some(message), _) if why.is_empty() => (heard.n_frames, message.clone()),
                _ => return Err(self.no_image(why)),
            }
        };
        // Decoding may take a while: the camera goes on hearing meanwhile.
        let converted = frame_of(&self.config.name, number, &message).map(Arc::new);
        let converted = converted.map_err(|error| told(&error));
        let converted = self.heard().keep_converted(number, converted);
        converted.map_err(|why| self.no_image(why))
    }
}

impl Heard {
    /// Remember what came of a frame, unless a newer one was converted meanwhile; the same frame is kept once.
    fn keep_converted(&mut self, number: u64, converted: Converted) -> Converted {
        match &self.converted {
            Some((kept, converted)) if *kept == number => return converted.clone(),
            Some((newer, _)) if *newer > number => return converted,
            _ => {}
        }
        self.converted = Some((number, converted.clone()));
        self.converted_at = Some(Instant::now());
        converted
    }
}

impl LatestFrame for Camera {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn latest(&self) -> Result<Arc<Frame>> {
        let frame = self.newest()?;
        self.scaling.expect(&frame.header);
        Ok(frame)
    }
}

/// Read a message's pixels.
fn frame_of(camera: &str, number: u64, message: &Message) -> Result<Frame> {
    let (header, image) = match message {
        Message::Raw(image) => (&image.header, convert::rgb_from_image(image)?),
        Message::Compressed(image) => (&image.header, convert::rgb_from_compressed(image)?),
    };
    Ok(Frame {
        number,
        ..Frame::new(camera, convert::header_of(header), image)
    })
}

fn unusable<T>(checked: Result<T>) -> Option<String> {
    checked.err().map(|error| told(&error))
}

/// An error about a frame, without the camera that the reader knows already.
fn told(error: &Error) -> String {
    format!("its newest frame cannot be used: {error}")
}

fn decoded_size(heard: &Heard) -> (u32, u32) {
    match &heard.converted {
        Some((_, Ok(frame))) => frame.image.dimensions(),
        _ => (0, 0),
    }
}

fn rate(arrivals: &VecDeque<Instant>) -> f64 {
    match (arrivals.front(), arrivals.back()) {
        (Some(first), Some(last)) if last.elapsed() < RATE_WINDOW && last > first => {
            (arrivals.len() - 1) as f64 / (*last - *first).as_secs_f64()
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_overtaken_is_not_kept() {
        let mut heard = Heard::default();
        let old = || Err("old".to_string());
        assert!(heard.keep_converted(2, Err("new".into())).is_err());
        assert_eq!(heard.keep_converted(1, old()).unwrap_err(), "old");
        assert_eq!(heard.keep_converted(2, old()).unwrap_err(), "new");
        assert_eq!(heard.converted.map(|(number, _)| number), Some(2));
    }
}
