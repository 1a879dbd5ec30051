//! What the node hears: one small task per topic that only keeps the newest message.

use std::sync::Arc;

use cooper_model::Result;
use cooper_perception::config::interfaces::{Interface, Quality};
use cooper_perception::config::{ScaleSource, Transport, interfaces};
use futures::{Stream, StreamExt};
use r2r::sensor_msgs::msg::CameraInfo;
use r2r::{Node, WrappedTypesupport};

use super::cameras::{Camera, Message};
use super::tasks::Tasks;
use super::topics;

/// Subscribe to a camera's topics and keep what comes; the tasks end with the node.
///
/// # Errors
/// [`cooper_model::Error::Internal`] if the middleware refuses a topic.
pub fn listen(node: &mut Node, camera: &Arc<Camera>, tasks: &mut Tasks) -> Result<()> {
    match camera.config.transport {
        Transport::Raw => {
            let images = subscribe(node, &interfaces::IMAGE, camera)?;
            keep(images, camera, &camera.topic, tasks, |camera, image| {
                camera.put(Message::Raw(image))
            });
        }
        Transport::Compressed => {
            let images = subscribe(node, &interfaces::COMPRESSED, camera)?;
            keep(images, camera, &camera.topic, tasks, |camera, image| {
                camera.put(Message::Compressed(image))
            });
        }
    }
    let infos = subscribe(node, &interfaces::CAMERA_INFO, camera)?;
    let info_topic = interfaces::CAMERA_INFO.of(&camera.config.name);
    keep(infos, camera, &info_topic, tasks, |camera, info| {
        camera.scaling.put_info(info)
    });
    if camera.config.scale_source == ScaleSource::Depth {
        let references = subscribe(node, &interfaces::DEPTH_REFERENCE, camera)?;
        let topic = interfaces::DEPTH_REFERENCE.of(&camera.config.name);
        keep(references, camera, &topic, tasks, |camera, reference| {
            camera.scaling.put_reference(reference)
        });
    }
    Ok(())
}

/// Subscribe to the calibrations that a camera's driver keeps for those who come later.
///
/// # Errors
/// [`cooper_model::Error::Internal`] if the middleware refuses the topic.
pub fn latched_infos(
    node: &mut Node,
    camera: &Camera,
) -> Result<impl Stream<Item = CameraInfo> + Unpin + use<>> {
    let name = interfaces::CAMERA_INFO.of(&camera.config.name);
    node.subscribe(&name, topics::qos(Quality::Latched(1), false))
        .map_err(|error| topics::failed(&name, &error))
}

/// The image topic's relative name.
pub fn image_topic(transport: Transport, camera: &str) -> String {
    match transport {
        Transport::Raw => interfaces::IMAGE.of(camera),
        Transport::Compressed => interfaces::COMPRESSED.of(camera),
    }
}

fn subscribe<T: WrappedTypesupport + 'static>(
    node: &mut Node,
    interface: &Interface,
    camera: &Camera,
) -> Result<impl Stream<Item = T> + Unpin + use<T>> {
    let name = interface.of(&camera.config.name);
    let qos = topics::qos(interface.quality, camera.config.reliable);
    node.subscribe(&name, qos)
        .map_err(|error| topics::failed(&name, &error))
}

fn keep<T: Send + 'static>(
    mut messages: impl Stream<Item = T> + Unpin + Send + 'static,
    camera: &Arc<Camera>,
    topic: &str,
    tasks: &mut Tasks,
    put: fn(&Camera, T),
) {
    let camera = camera.clone();
    tasks.spawn(topic, async move {
        while let Some(message) = messages.next().await {
            put(&camera, message);
        }
    });
}
