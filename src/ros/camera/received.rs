//! What a camera's topic has received: the newest message, the times of arrival, and the newest decoded frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cooper_model::Result;
use cooper_perception::pipeline::Frame;
use r2r::builtin_interfaces::msg::Time;
use r2r::sensor_msgs::msg::{CompressedImage, Image};

use crate::availability::{PublisherInfo, Stale};
use crate::convert;

/// The time over which the frame rate is measured.
const RATE_WINDOW: Duration = Duration::from_secs(4);
/// How long one decoded frame vouches for the next ones: a corrupt image shows only when it is decoded.
const DECODED_FOR: Duration = Duration::from_secs(5);
/// The most arrivals that are kept for the rate.
const MAX_ARRIVALS: usize = 512;

/// An image message.
#[derive(Clone, Debug)]
pub enum Message {
    /// Plain pixels.
    Raw(Image),
    /// JPEG or PNG.
    Compressed(CompressedImage),
}

impl Message {
    /// When the image was taken, by its camera.
    pub fn stamp(&self) -> &Time {
        match self {
            Self::Raw(image) => &image.header.stamp,
            Self::Compressed(image) => &image.header.stamp,
        }
    }

    /// Decode the pixels, as the frame `number` of `camera`.
    ///
    /// # Errors
    /// What is wrong with the message.
    pub fn decode(&self, camera: &str, number: u64) -> Result<Frame> {
        let (header, image) = match self {
            Self::Raw(image) => (&image.header, convert::rgb_from_image(image)?),
            Self::Compressed(image) => (&image.header, convert::rgb_from_compressed(image)?),
        };
        Ok(Frame {
            number,
            ..Frame::new(camera, convert::frame_header(header), image)
        })
    }
}

/// A frame, or why its message cannot be used.
pub type Decoded = std::result::Result<Arc<Frame>, String>;

/// What a camera has received.
#[derive(Debug, Default)]
pub struct Received {
    /// The newest message.
    pub newest: Option<Arc<Message>>,
    /// Messages since the start: the number of the newest one.
    pub n_frames: u64,
    /// Who publishes on the topic.
    pub publishers: Vec<PublisherInfo>,
    /// How old a frame may be; none: any age.
    pub max_age: Option<Duration>,
    arrivals: VecDeque<Instant>,
    /// The newest frame that was decoded, and its number.
    decoded: Option<(u64, Decoded)>,
    decoded_at: Option<Instant>,
}

impl Received {
    /// Keep a message as the newest one.
    pub fn push(&mut self, message: Arc<Message>) {
        let now = Instant::now();
        self.n_frames += 1;
        self.newest = Some(message);
        self.arrivals.push_back(now);
        let is_old = |arrival: &Instant| now - *arrival > RATE_WINDOW;
        while self.arrivals.len() > MAX_ARRIVALS || self.arrivals.front().is_some_and(is_old) {
            self.arrivals.pop_front();
        }
    }

    /// Time since the newest message.
    pub fn age(&self) -> Option<Duration> {
        self.arrivals.back().map(Instant::elapsed)
    }

    /// The newest message's age, if it is above the limit.
    pub fn stale(&self) -> Option<Stale> {
        let (age, limit) = (self.age()?, self.max_age?);
        (age > limit).then_some(Stale { age, limit })
    }

    /// Messages per second.
    pub fn rate_hz(&self) -> f64 {
        match (self.arrivals.front(), self.arrivals.back()) {
            (Some(first), Some(last)) if last.elapsed() < RATE_WINDOW && last > first => {
                (self.arrivals.len() - 1) as f64 / (*last - *first).as_secs_f64()
            }
            _ => 0.0,
        }
    }

    /// The newest message decoded, if it was.
    pub fn decoded_newest(&self) -> Option<&Decoded> {
        let (number, decoded) = self.decoded.as_ref()?;
        (*number == self.n_frames).then_some(decoded)
    }

    /// Encoding (of a compressed image its format) and size (width, height) of the newest message, as far as known.
    pub fn format(&self) -> (String, (u32, u32)) {
        match self.newest.as_deref() {
            None => Default::default(),
            Some(Message::Raw(image)) => (image.encoding.clone(), (image.width, image.height)),
            Some(Message::Compressed(image)) => {
                let size = match &self.decoded {
                    Some((_, Ok(frame))) => frame.image.dimensions(),
                    _ => (0, 0),
                };
                (image.format.clone(), size)
            }
        }
    }

    /// Whether the newest message is compressed and no good one was decoded lately.
    pub fn needs_decoding(&self) -> bool {
        let is_compressed = matches!(self.newest.as_deref(), Some(Message::Compressed(_)));
        let is_good = matches!(self.decoded, Some((_, Ok(_))));
        let is_recent = self.decoded_at.is_some_and(|at| at.elapsed() < DECODED_FOR);
        is_compressed && !(is_good && is_recent)
    }

    /// Keep a decoded frame, unless a newer one was decoded meanwhile; of the same frame, the first result is kept and
    /// returned.
    pub fn keep_decoded(&mut self, number: u64, decoded: Decoded) -> Decoded {
        match &self.decoded {
            Some((kept, first)) if *kept == number => return first.clone(),
            Some((newer, _)) if *newer > number => return decoded,
            _ => {}
        }
        self.decoded = Some((number, decoded.clone()));
        self.decoded_at = Some(Instant::now());
        decoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overtaken_frame_is_not_kept() {
        let mut received = Received::default();
        let old = || Err("old".to_string());
        assert!(received.keep_decoded(2, Err("new".into())).is_err());
        assert_eq!(received.keep_decoded(1, old()).unwrap_err(), "old");
        assert_eq!(received.keep_decoded(2, old()).unwrap_err(), "new");
        assert_eq!(received.decoded.map(|(number, _)| number), Some(2));
    }
}
