//! Which topics of an input are cameras, and what they are called.

use std::collections::BTreeMap;

use cooper_imaging::{Error, FrameHeader, Result};
use image::RgbImage;

use super::input::{Topic, type_name};
use super::mcap_file::BagMessage;
use super::messages::{CompressedImage, Image};
use super::schemas;

/// The name of a camera whose topic says none.
pub const DEFAULT_NAME: &str = "camera";
/// The node's name, which its topics begin with; what comes from there is no camera.
pub const NODE: &str = "/cooper";

/// What the first bytes of a message are that rosbag2 has compressed (its compression mode `message`).
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Whether a topic's messages are images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Another type of message.
    Other,
    /// ImageFolder that can be read.
    Image(Transport),
    /// ImageFolder that cannot be used, and why.
    Unusable(String),
}

/// How a camera's images come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// `sensor_msgs/msg/Image`.
    Raw,
    /// `sensor_msgs/msg/CompressedImage`.
    Compressed,
}

/// A camera of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// Begins the names of its maps' topics.
    pub name: String,
    /// Where its images come from.
    pub topic: String,
    /// How they come.
    pub transport: Transport,
}

impl Camera {
    /// Read a message of its topic.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that says what is wrong with it.
    pub fn read(&self, message: &BagMessage) -> Result<(FrameHeader, RgbImage)> {
        Ok(match self.transport {
            Transport::Raw => {
                let image = Image::read(&message.data)?;
                let pixels = image.raw().to_rgb()?;
                (image.header, pixels)
            }
            Transport::Compressed => {
                let image = CompressedImage::read(&message.data)?;
                let pixels = image.to_rgb()?;
                (image.header, pixels)
            }
        })
    }
}

/// The cameras among `topics`, and remarks on those that are left out.
///
/// `wanted` names their topics; if it is empty, all that can be read are cameras. `names` are the cameras' names in the
/// same order; those that are not given are taken from the topics.
///
/// # Errors
/// [`Error::InvalidInput`] that tells the topics that there are, or the name that cannot be one.
pub fn choose(
    topics: &BTreeMap<String, Topic>,
    wanted: &[String],
    names: &[String],
) -> Result<(Vec<Camera>, Vec<String>)> {
    let (found, remarks) = if wanted.is_empty() {
        all(topics)?
    } else {
        (these(topics, wanted)?, Vec::new())
    };
    let cameras = named(found, names)?;
    Ok((cameras, remarks))
}

type Found = Vec<(String, Transport)>;

/// All topics with images; of two with the same images the uncompressed one.
fn all(topics: &BTreeMap<String, Topic>) -> Result<(Found, Vec<String>)> {
    let (mut found, mut remarks) = (Found::new(), Vec::new());
    for (name, topic) in topics {
        let compressed_of = name.strip_suffix("/compressed");
        let twin = compressed_of.filter(|raw| found.iter().any(|(other, _)| other == raw));
        match (&topic.look, twin) {
            (Look::Other, _) => {}
            (Look::Unusable(why), _) => remarks.push(format!("left out {name}: {why}")),
            (Look::Image(_), _) if is_own(name) => {
                remarks.push(format!("left out {name}: it is an output of the node"));
            }
            (Look::Image(_), Some(raw)) => {
                remarks.push(format!("left out {name}: the same as {raw}"));
            }
            (Look::Image(transport), None) => found.push((name.clone(), *transport)),
        }
    }
    if found.is_empty() {
        let why = format!(
            "expected a topic of type {} or {} with images, got {}",
            schemas::IMAGE.name,
            schemas::COMPRESSED_IMAGE,
            listed(topics, |topic| match &topic.look {
                Look::Unusable(why) => why.as_str(),
                _ => "",
            })
        );
        return Err(Error::invalid("camera topic", why));
    }
    Ok((found, remarks))
}

/// Whether a topic is an output of the node.
fn is_own(topic: &str) -> bool {
    let below = topic.strip_prefix(NODE);
    below.is_some_and(|rest| rest.starts_with('/'))
}

fn these(topics: &BTreeMap<String, Topic>, wanted: &[String]) -> Result<Found> {
    let mut found = Found::new();
    for name in wanted {
        let refuse = |why: String| Err(Error::invalid(format!("--topic {name}"), why));
        match topics.get(name).map(|topic| &topic.look) {
            Some(Look::Image(_)) if found.iter().any(|(other, _)| other == name) => {
                return refuse("it is named twice".into());
            }
            Some(Look::Image(transport)) => found.push((name.clone(), *transport)),
            Some(Look::Unusable(why)) => return refuse(why.clone()),
            Some(Look::Other) => {
                return refuse(format!(
                    "expected images; there are {}",
                    listed(topics, |_| "")
                ));
            }
            None => {
                return refuse(format!(
                    "there is no such topic; there are {}",
                    listed(topics, |_| "")
                ));
            }
        }
    }
    Ok(found)
}

/// All topics with their types, in words; each with a remark.
fn listed<'a>(
    topics: &'a BTreeMap<String, Topic>,
    remark: impl Fn(&'a Topic) -> &'a str,
) -> String {
    let of = |(name, topic): (&String, &'a Topic)| {
        let of_type = &topic.type_name;
        match remark(topic) {
            "" => format!("{name} ({of_type})"),
            remark => format!("{name} ({of_type}: {remark})"),
        }
    };
    let all: Vec<String> = topics.iter().map(of).collect();
    if all.is_empty() {
        "no messages at all".into()
    } else {
        all.join(", ")
    }
}

fn named(found: Found, names: &[String]) -> Result<Vec<Camera>> {
    if names.len() > found.len() {
        let topics: Vec<&str> = found.iter().map(|(topic, _)| topic.as_str()).collect();
        let why = format!(
            "expected at most {} names, one for each of {}; got {}",
            found.len(),
            topics.join(", "),
            names.len()
        );
        return Err(Error::invalid("--camera", why));
    }
    let given = names
        .iter()
        .cloned()
        .map(Some)
        .chain(std::iter::repeat(None));
    let camera = |((topic, transport), name): ((String, Transport), Option<String>)| Camera {
        name: name.unwrap_or_else(|| name_of(&topic)),
        topic,
        transport,
    };
    Ok(found.into_iter().zip(given).map(camera).collect())
}

/// The name that a camera's topic says: what is before `image_raw`, `image_rect` and the like.
fn name_of(topic: &str) -> String {
    let path = topic.strip_suffix("/compressed").unwrap_or(topic);
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.last().is_some_and(|last| last.starts_with("image")) {
        parts.pop();
    }
    if parts.is_empty() {
        DEFAULT_NAME.into()
    } else {
        parts.join("/")
    }
}

/// Whether a message is an image; of a compressed one, the pixels are read.
pub(super) fn look(message: &BagMessage) -> Look {
    let name = type_name(&message.channel);
    let encoding = &message.channel.message_encoding;
    let read = match name.as_str() {
        // As ROS 1 writes it, too, so that it can be told why it is not read.
        "sensor_msgs/msg/Image" | "sensor_msgs/Image" => Transport::Raw,
        schemas::COMPRESSED_IMAGE | "sensor_msgs/CompressedImage" => Transport::Compressed,
        _ => return Look::Other,
    };
    if encoding != schemas::MESSAGE_ENCODING {
        return Look::Unusable(format!(
            "expected messages in the encoding cdr (ROS 2), got {encoding}"
        ));
    }
    if message.data.starts_with(ZSTD) {
        return Look::Unusable(
            "its messages are compressed one by one; convert the bag with `ros2 bag convert`"
                .into(),
        );
    }
    let checked = match read {
        Transport::Raw => {
            Image::read(&message.data).and_then(|image| image.raw().check().map(|_| ()))
        }
        Transport::Compressed => CompressedImage::read(&message.data).and_then(|image| {
            if image.format.contains("compressedDepth") {
                let why = format!(
                    "expected an image, got depth: its format is `{}`",
                    image.format
                );
                return Err(Error::invalid("compressed image", why));
            }
            image.to_rgb().map(|_| ())
        }),
    };
    match checked {
        Ok(()) => Look::Image(read),
        Err(error) => Look::Unusable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(looks: &[(&str, Look)]) -> BTreeMap<String, Topic> {
        let topic = |(name, look): &(&str, Look)| {
            let topic = Topic {
                type_name: "sensor_msgs/msg/Image".into(),
                message_encoding: "cdr".into(),
                log_times: vec![0],
                look: look.clone(),
            };
            ((*name).to_owned(), topic)
        };
        looks.iter().map(topic).collect()
    }

    #[test]
    fn names_come_from_topics() {
        for (topic, name) in [
            ("/camera/image_raw", "camera"),
            ("/image", "camera"),
            ("/camera/color/image_rect_color", "camera/color"),
            ("/front/image_raw/compressed", "front"),
            ("/zed/left", "zed/left"),
        ] {
            assert_eq!(name_of(topic), name);
        }
    }

    #[test]
    fn every_camera_once() {
        let image = Look::Image(Transport::Raw);
        let found = topics(&[
            ("/camera/image_raw", image.clone()),
            (
                "/camera/image_raw/compressed",
                Look::Image(Transport::Compressed),
            ),
            ("/cooper/camera/overlay", image.clone()),
            ("/depth/image", Look::Unusable("it is depth".into())),
            ("/tf", Look::Other),
            ("/z/image", image),
        ]);
        let (cameras, remarks) = choose(&found, &[], &[]).unwrap();
        let names: Vec<_> = cameras
            .iter()
            .map(|c| (c.name.as_str(), c.topic.as_str()))
            .collect();
        assert_eq!(names, [("camera", "/camera/image_raw"), ("z", "/z/image")]);
        assert_eq!(
            remarks,
            [
                "left out /camera/image_raw/compressed: the same as /camera/image_raw",
                "left out /cooper/camera/overlay: it is an output of the node",
                "left out /depth/image: it is depth",
            ]
        );
        let (cameras, _) = choose(&found, &[], &["front".into()]).unwrap();
        assert_eq!(
            (cameras[0].name.as_str(), cameras[1].name.as_str()),
            ("front", "z")
        );
        let wanted = ["/camera/image_raw/compressed".to_owned()];
        let (cameras, _) = choose(&found, &wanted, &[]).unwrap();
        assert_eq!(cameras[0].transport, Transport::Compressed);
    }

    #[test]
    fn what_cannot_be_chosen_is_told() {
        let image = Look::Image(Transport::Raw);
        let found = topics(&[
            ("/a/image", image.clone()),
            ("/b/image", image),
            ("/depth", Look::Unusable("it is depth".into())),
            ("/tf", Look::Other),
        ]);
        let told = |wanted: &[&str], names: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
            choose(&found, &own(wanted), &own(names))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(told(&["/depth"], &[]), "--topic /depth: it is depth");
        assert!(told(&["/tf"], &[]).contains("expected images; there are /a/image"));
        assert!(told(&["/none"], &[]).contains("there is no such topic; there are /a/image (sens"));
        assert!(told(&["/a/image", "/a/image"], &[]).ends_with("it is named twice"));
        assert!(told(&["/a/image"], &["x", "y"]).contains("expected at most 1 names"));
        let empty = choose(&BTreeMap::new(), &[], &[]).unwrap_err().to_string();
        assert!(empty.ends_with("got no messages at all"), "{empty}");
    }
}
