//! Why a camera is silent, in words that say what to do.

use std::time::Duration;

use cooper_perception::config::{CameraConfig, Transport, interfaces};
use r2r::builtin_interfaces::msg::Time;

/// A publisher on a camera's image topic, as the graph shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The publishing node's full name.
    pub node: String,
    /// The message type.
    pub type_name: String,
    /// Whether it sends lost messages again.
    pub reliable: bool,
    /// Whether it keeps messages for those who come later.
    pub latched: bool,
}

impl Offer {
    fn reliability(&self) -> &'static str {
        if self.reliable {
            "reliable"
        } else {
            "best effort"
        }
    }
}

/// The message type that a camera's image topic must have.
pub fn expected_type(transport: Transport) -> &'static str {
    match transport {
        Transport::Raw => interfaces::IMAGE.type_name,
        Transport::Compressed => interfaces::COMPRESSED.type_name,
    }
}

/// Explain why `topic` brings no frame; `stale`: one came, so long ago, and the limit.
pub fn explain(
    config: &CameraConfig,
    topic: &str,
    offers: &[Offer],
    stale: Option<(Duration, Duration)>,
) -> String {
    let before = match stale {
        Some((age, limit)) => format!(
            "the newest frame is {:.1} s old, and limits.image_age is {:.1} s; ",
            age.as_secs_f64(),
            limit.as_secs_f64()
        ),
        None => String::new(),
    };
    let wanted = if config.reliable {
        "reliable"
    } else {
        "best effort"
    };
    let now = if let Some(why) = in_graph(config, topic, expected_type(config.transport), offers) {
        why
    } else if stale.is_some() {
        format!(
            "{} is still there on {topic} but sends nothing",
            list(offers)
        )
    } else {
        format!(
            "no frame has come yet on {topic} from {}; this node asks for {wanted}",
            list(offers)
        )
    };
    format!("{before}{now}")
}

/// Explain why nothing can come on one of a camera's topics, if its publishers show why.
pub fn in_graph(
    config: &CameraConfig,
    topic: &str,
    expected: &str,
    offers: &[Offer],
) -> Option<String> {
    if offers.is_empty() {
        return Some(format!("nobody publishes on {topic}"));
    }
    if let Some(wrong) = offers.iter().find(|offer| offer.type_name != expected) {
        let (node, found) = (&wrong.node, &wrong.type_name);
        return Some(format!(
            "{node} publishes {found} on {topic}; expected {expected}"
        ));
    }
    (config.reliable && offers.iter().all(|offer| !offer.reliable)).then(|| {
        format!(
            "quality of service mismatch on {topic}: this node asks for reliable, {} offers best effort; set cameras.{}.reliability to best_effort",
            list(offers),
            config.name
        )
    })
}

/// Say what is wrong with a stamp that is zero, or further from now than a frame may be old; such frames are used.
pub fn explain_stamp(stamp: &Time, age_s: f64, limit: Option<Duration>) -> Option<String> {
    if (stamp.sec, stamp.nanosec) == (0, 0) {
        return Some("the newest one's stamp is zero".into());
    }
    let limit = limit?.as_secs_f64();
    let side = match age_s {
        age if age > limit => "behind",
        age if age < -limit => "ahead of",
        _ => return None,
    };
    Some(format!(
        "the newest one's stamp is {:.1} s {side} the node's clock, and limits.image_age is {limit:.1} s",
        age_s.abs()
    ))
}

fn list(offers: &[Offer]) -> String {
    let each: Vec<_> = offers
        .iter()
        .map(|offer| format!("{} ({})", offer.node, offer.reliability()))
        .collect();
    each.join(", ")
}

#[cfg(test)]
mod tests {
    use cooper_perception::config::ScaleSource;

    use super::*;

    fn camera(reliable: bool) -> CameraConfig {
        CameraConfig {
            name: "left".into(),
            transport: Transport::Raw,
            reliable,
            is_rectified: false,
            scale_source: ScaleSource::None,
        }
    }

    fn offer(type_name: &str, reliable: bool) -> Offer {
        Offer {
            node: "/usb".into(),
            type_name: type_name.into(),
            reliable,
            latched: false,
        }
    }

    #[track_caller]
    fn check(reliable: bool, offers: &[Offer], stale: Option<(Duration, Duration)>, words: &str) {
        let told = explain(&camera(reliable), "/left/image_raw", offers, stale);
        assert!(told.contains(words), "{told}");
    }

    #[test]
    fn a_stamp_that_is_far_off_has_its_words() {
        let told = |sec, age, limit| {
            let limit = Some(limit)
                .filter(|limit| *limit > 0)
                .map(Duration::from_secs);
            explain_stamp(&Time { sec, nanosec: 0 }, age, limit).unwrap_or_default()
        };
        assert!(told(0, 1e9, 0).ends_with("is zero"));
        assert!(
            told(7, 9.0, 5).contains("9.0 s behind the node's clock, and limits.image_age is 5.0")
        );
        assert!(told(7, -9.0, 5).contains("9.0 s ahead of"));
        assert_eq!((told(7, -4.0, 5), told(7, 9.0, 0)), Default::default());
    }

    #[test]
    fn each_silence_has_its_words() {
        let image = "sensor_msgs/msg/Image";
        check(false, &[], None, "nobody publishes on /left/image_raw");
        check(
            false,
            &[offer("std_msgs/msg/String", true)],
            None,
            "expected sensor_msgs/msg/Image",
        );
        check(
            true,
            &[offer(image, false)],
            None,
            "set cameras.left.reliability to best_effort",
        );
        check(
            false,
            &[offer(image, true)],
            None,
            "from /usb (reliable); this node asks for best effort",
        );
        let seconds = Duration::from_secs;
        check(
            false,
            &[],
            Some((seconds(9), seconds(5))),
            "9.0 s old, and limits.image_age is 5.0 s; nobody",
        );
    }
}
