//! Which topics of an input are cameras, and what they are called.

use std::collections::BTreeMap;

use cooper_imaging::{Error, FrameHeader, Result};
use image::RgbImage;

use super::mcap_file::BagMessage;
use super::messages::{CompressedImage, Image};
use super::schemas;
use super::topic::{Topic, TopicContent, Transport};

/// The name of a camera whose topic gives none.
pub const DEFAULT_NAME: &str = "camera";
/// The node's name. Topics below it are outputs, not cameras.
pub const NODE: &str = "/cooper";

/// A camera of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Camera {
    /// The name, with which the topics of its maps begin.
    pub name: String,
    /// The topic of its images.
    pub topic: String,
    /// The message type of its images.
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

/// Select the cameras among `topics`; returns them with a remark on each image topic that is left out.
///
/// `wanted` names the topics; if it is empty, all readable image topics are cameras. `names` are the cameras' names in the
/// same order; missing names follow from the topics.
///
/// # Errors
/// [`Error::InvalidInput`] that lists the topics of the input, if a wanted one cannot be read or there are too many names.
pub fn select_cameras(
    topics: &BTreeMap<String, Topic>,
    wanted: &[String],
    names: &[String],
) -> Result<(Vec<Camera>, Vec<String>)> {
    let (found, remarks) = if wanted.is_empty() {
        image_topics(topics)?
    } else {
        (wanted_topics(topics, wanted)?, Vec::new())
    };
    let cameras = name_cameras(found, names)?;
    Ok((cameras, remarks))
}

type ImageTopics = Vec<(String, Transport)>;

/// All topics with images; of two with the same images the uncompressed one.
fn image_topics(topics: &BTreeMap<String, Topic>) -> Result<(ImageTopics, Vec<String>)> {
    let (mut found, mut remarks) = (ImageTopics::new(), Vec::new());
    for (name, topic) in topics {
        let compressed_of = name.strip_suffix("/compressed");
        let twin = compressed_of.filter(|raw| found.iter().any(|(other, _)| other == raw));
        match (&topic.content, twin) {
            (TopicContent::Other, _) => {}
            (TopicContent::Unusable(why), _) => remarks.push(format!("left out {name}: {why}")),
            (TopicContent::Image(_), _) if is_node_output(name) => {
                remarks.push(format!("left out {name}: it is an output of the node"));
            }
            (TopicContent::Image(_), Some(raw)) => {
                remarks.push(format!("left out {name}: the same as {raw}"));
            }
            (TopicContent::Image(transport), None) => found.push((name.clone(), *transport)),
        }
    }
    if found.is_empty() {
        return Err(Error::invalid("camera topic", no_camera(topics)));
    }
    Ok((found, remarks))
}

/// Why no topic of an input is a camera's.
fn no_camera(topics: &BTreeMap<String, Topic>) -> String {
    let has_images = |topic: &Topic| !matches!(topic.content, TopicContent::Other);
    let mut with_images = topics
        .iter()
        .filter(|(_, topic)| has_images(topic))
        .peekable();
    if with_images.peek().is_some() && with_images.all(|(name, _)| is_node_output(name)) {
        return format!(
            "expected images of a camera, got only outputs of this node ({NODE}/…), which are left out; \
             was it written without --copy?"
        );
    }
    format!(
        "expected a topic of type {} or {} with images, got {}",
        schemas::IMAGE.name,
        schemas::COMPRESSED_IMAGE,
        list_topics(topics, |name, topic| match &topic.content {
            _ if is_node_output(name) => "an output of the node",
            TopicContent::Unusable(why) => why.as_str(),
            _ => "",
        })
    )
}

/// Whether a topic is an output of the node.
fn is_node_output(topic: &str) -> bool {
    let below = topic.strip_prefix(NODE);
    below.is_some_and(|rest| rest.starts_with('/'))
}

fn wanted_topics(topics: &BTreeMap<String, Topic>, wanted: &[String]) -> Result<ImageTopics> {
    let mut found = ImageTopics::new();
    for name in wanted {
        let refuse = |why: String| Err(Error::invalid(format!("--topic {name}"), why));
        match topics.get(name).map(|topic| &topic.content) {
            Some(TopicContent::Image(_)) if found.iter().any(|(other, _)| other == name) => {
                return refuse("it is named twice".into());
            }
            Some(TopicContent::Image(transport)) => found.push((name.clone(), *transport)),
            Some(TopicContent::Unusable(why)) => return refuse(why.clone()),
            Some(TopicContent::Other) => {
                return refuse(format!(
                    "expected images; there are {}",
                    list_topics(topics, |_, _| "")
                ));
            }
            None => {
                return refuse(format!(
                    "there is no such topic; there are {}",
                    list_topics(topics, |_, _| "")
                ));
            }
        }
    }
    Ok(found)
}

/// All topics with their types and remarks, as text.
fn list_topics<'a>(
    topics: &'a BTreeMap<String, Topic>,
    remark: impl Fn(&str, &'a Topic) -> &'a str,
) -> String {
    let describe = |(name, topic): (&String, &'a Topic)| {
        let type_name = &topic.type_name;
        match remark(name, topic) {
            "" => format!("{name} ({type_name})"),
            remark => format!("{name} ({type_name}: {remark})"),
        }
    };
    let all: Vec<String> = topics.iter().map(describe).collect();
    if all.is_empty() {
        "no messages at all".into()
    } else {
        all.join(", ")
    }
}

fn name_cameras(found: ImageTopics, names: &[String]) -> Result<Vec<Camera>> {
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
        name: name.unwrap_or_else(|| default_name(&topic)),
        topic,
        transport,
    };
    Ok(found.into_iter().zip(given).map(camera).collect())
}

/// The part of a topic before `image_raw`, `image_rect` and the like.
fn default_name(topic: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(contents: &[(&str, TopicContent)]) -> BTreeMap<String, Topic> {
        let topic = |(name, content): &(&str, TopicContent)| {
            let topic = Topic {
                type_name: "sensor_msgs/msg/Image".into(),
                message_encoding: "cdr".into(),
                log_times: vec![0],
                content: content.clone(),
            };
            ((*name).to_owned(), topic)
        };
        contents.iter().map(topic).collect()
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
            assert_eq!(default_name(topic), name);
        }
    }

    #[test]
    fn every_camera_once() {
        let image = TopicContent::Image(Transport::Raw);
        let found = topics(&[
            ("/camera/image_raw", image.clone()),
            (
                "/camera/image_raw/compressed",
                TopicContent::Image(Transport::Compressed),
            ),
            ("/cooper/camera/overlay", image.clone()),
            ("/depth/image", TopicContent::Unusable("it is depth".into())),
            ("/tf", TopicContent::Other),
            ("/z/image", image),
        ]);
        let (cameras, remarks) = select_cameras(&found, &[], &[]).unwrap();
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
        let (cameras, _) = select_cameras(&found, &[], &["front".into()]).unwrap();
        assert_eq!(
            (cameras[0].name.as_str(), cameras[1].name.as_str()),
            ("front", "z")
        );
        let wanted = ["/camera/image_raw/compressed".to_owned()];
        let (cameras, _) = select_cameras(&found, &wanted, &[]).unwrap();
        assert_eq!(cameras[0].transport, Transport::Compressed);
    }

    #[test]
    fn unusable_choices_are_errors() {
        let image = TopicContent::Image(Transport::Raw);
        let found = topics(&[
            ("/a/image", image.clone()),
            ("/b/image", image),
            ("/depth", TopicContent::Unusable("it is depth".into())),
            ("/tf", TopicContent::Other),
        ]);
        let error = |wanted: &[&str], names: &[&str]| {
            let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
            select_cameras(&found, &own(wanted), &own(names))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(error(&["/depth"], &[]), "--topic /depth: it is depth");
        assert!(error(&["/tf"], &[]).contains("expected images; there are /a/image"));
        assert!(
            error(&["/none"], &[]).contains("there is no such topic; there are /a/image (sens")
        );
        assert!(error(&["/a/image", "/a/image"], &[]).ends_with("it is named twice"));
        assert!(error(&["/a/image"], &["x", "y"]).contains("expected at most 1 names"));
        let outputs = topics(&[
            (
                "/cooper/camera/overlay",
                TopicContent::Image(Transport::Raw),
            ),
            (
                "/cooper/camera/depth_relative/image",
                TopicContent::Unusable("it is depth".into()),
            ),
        ]);
        let own = select_cameras(&outputs, &[], &[]).unwrap_err().to_string();
        assert!(own.contains("got only outputs of this node"), "{own}");
        assert!(own.contains("without --copy?"), "{own}");
        let empty = select_cameras(&BTreeMap::new(), &[], &[])
            .unwrap_err()
            .to_string();
        assert!(empty.ends_with("got no messages at all"), "{empty}");
    }
}
