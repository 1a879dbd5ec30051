//! Why a camera's topic has no messages, and what to do about it.

use std::fmt;
use std::time::Duration;

use cooper_perception::config::{CameraConfig, Transport, interfaces};
use r2r::builtin_interfaces::msg::Time;

/// A publisher on one of a camera's topics, as the graph shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherInfo {
    /// The publishing node's full name.
    pub node: String,
    /// The message type.
    pub type_name: String,
    /// Its reliability.
    pub reliability: Reliability,
    /// Whether its durability is transient local.
    pub is_latched: bool,
}

/// The reliability of a publisher or a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reliability {
    /// Lost messages are not sent again.
    BestEffort,
    /// Lost messages are sent again.
    Reliable,
}

impl Reliability {
    /// What a camera's subscriptions request.
    fn requested(config: &CameraConfig) -> Self {
        match config.reliable {
            true => Self::Reliable,
            false => Self::BestEffort,
        }
    }
}

impl fmt::Display for Reliability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BestEffort => "best effort",
            Self::Reliable => "reliable",
        })
    }
}

/// The message type that a camera's image topic must have.
pub fn expected_type(transport: Transport) -> &'static str {
    match transport {
        Transport::Raw => interfaces::IMAGE.type_name,
        Transport::Compressed => interfaces::COMPRESSED.type_name,
    }
}

/// The age of the newest frame, which is above its limit.
#[derive(Clone, Copy, Debug)]
pub struct Stale {
    /// Time since the frame was received.
    pub age: Duration,
    /// `limits.image_age`.
    pub limit: Duration,
}

/// Why a camera's image topic has no usable frame; `stale` if it has an old one.
pub fn why_no_frames(
    config: &CameraConfig,
    topic: &str,
    publishers: &[PublisherInfo],
    stale: Option<Stale>,
) -> String {
    let age = stale.map_or(String::new(), |Stale { age, limit }| {
        let (age, limit) = (age.as_secs_f64(), limit.as_secs_f64());
        format!("the newest frame is {age:.1} s old, and limits.image_age is {limit:.1} s; ")
    });
    let expected = expected_type(config.transport);
    let cause = why_no_messages(config, topic, expected, publishers).unwrap_or_else(|| {
        let publishers = list(publishers);
        match stale {
            Some(_) => format!("{publishers} advertises {topic} but sends nothing"),
            None => {
                let requested = Reliability::requested(config);
                format!("no frame received yet on {topic} from {publishers}; this node requests {requested}")
            }
        }
    });
    format!("{age}{cause}")
}

/// Why no message can arrive on one of a camera's topics, as far as its publishers show.
pub fn why_no_messages(
    config: &CameraConfig,
    topic: &str,
    expected: &str,
    publishers: &[PublisherInfo],
) -> Option<String> {
    if publishers.is_empty() {
        return Some(format!("no publisher on {topic}"));
    }
    let is_wrong = |publisher: &&PublisherInfo| publisher.type_name != expected;
    if let Some(PublisherInfo {
        node, type_name, ..
    }) = publishers.iter().find(is_wrong)
    {
        return Some(format!(
            "{node} publishes {type_name} on {topic}; expected {expected}"
        ));
    }
    let reliable = Reliability::Reliable;
    let is_offered = publishers.iter().any(|info| info.reliability == reliable);
    (Reliability::requested(config) == reliable && !is_offered).then(|| {
        let (publishers, camera) = (list(publishers), &config.name);
        format!(
            "QoS mismatch on {topic}: this node requests reliable, {publishers} offers best effort; \
             set cameras.{camera}.reliability to best_effort"
        )
    })
}

/// What is wrong with the stamp of the newest frame: zero, or further from now than a frame may be old. Such frames are
/// used all the same.
pub fn stamp_problem(stamp: &Time, age_s: f64, limit: Option<Duration>) -> Option<String> {
    if (stamp.sec, stamp.nanosec) == (0, 0) {
        return Some("the newest stamp is zero".into());
    }
    let limit = limit?.as_secs_f64();
    let side = match age_s {
        age if age > limit => "behind",
        age if age < -limit => "ahead of",
        _ => return None,
    };
    Some(format!(
        "the newest stamp is {:.1} s {side} the node's clock, and limits.image_age is {limit:.1} s",
        age_s.abs()
    ))
}

fn list(publishers: &[PublisherInfo]) -> String {
    let each: Vec<_> = publishers
        .iter()
        .map(|publisher| format!("{} ({})", publisher.node, publisher.reliability))
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use cooper_perception::config::ScaleSource;

    use super::Reliability::{BestEffort, Reliable};
    use super::*;

    const IMAGE: &str = "sensor_msgs/msg/Image";

    fn camera(reliability: Reliability) -> CameraConfig {
        CameraConfig {
            name: "left".into(),
            transport: Transport::Raw,
            reliable: reliability == Reliability::Reliable,
            is_rectified: false,
            scale_source: ScaleSource::None,
        }
    }

    fn publisher(type_name: &str, reliability: Reliability) -> PublisherInfo {
        PublisherInfo {
            node: "/usb".into(),
            type_name: type_name.into(),
            reliability,
            is_latched: false,
        }
    }

    #[track_caller]
    fn check(
        camera: &CameraConfig,
        publishers: &[PublisherInfo],
        stale: Option<Stale>,
        expected: &str,
    ) {
        let message = why_no_frames(camera, "/left/image_raw", publishers, stale);
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn a_stamp_far_from_now_is_a_problem() {
        let message = |sec, age, limit| {
            let limit = Some(limit)
                .filter(|limit| *limit > 0)
                .map(Duration::from_secs);
            stamp_problem(&Time { sec, nanosec: 0 }, age, limit).unwrap_or_default()
        };
        assert!(message(0, 1e9, 0).ends_with("is zero"));
        let behind = message(7, 9.0, 5);
        assert!(behind.contains("9.0 s behind the node's clock, and limits.image_age is 5.0"));
        assert!(message(7, -9.0, 5).contains("9.0 s ahead of"));
        assert_eq!(
            (message(7, -4.0, 5), message(7, 9.0, 0)),
            Default::default()
        );
    }

    #[test]
    fn each_cause_has_its_message() {
        let [best_effort, reliable] = [BestEffort, Reliable].map(camera);
        check(&best_effort, &[], None, "no publisher on /left/image_raw");
        let text = publisher("std_msgs/msg/String", Reliable);
        check(
            &best_effort,
            &[text],
            None,
            "expected sensor_msgs/msg/Image",
        );
        check(
            &reliable,
            &[publisher(IMAGE, BestEffort)],
            None,
            "set cameras.left.reliability to best_effort",
        );
        check(
            &best_effort,
            &[publisher(IMAGE, Reliable)],
            None,
            "from /usb (reliable); this node requests best effort",
        );
        let [age, limit] = [9, 5].map(Duration::from_secs);
        check(
            &best_effort,
            &[],
            Some(Stale { age, limit }),
            "9.0 s old, and limits.image_age is 5.0 s; no publisher",
        );
    }
}
