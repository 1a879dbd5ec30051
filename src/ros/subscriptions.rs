//! The node's subscriptions: one small task per topic that only keeps the newest message.

use std::sync::Arc;

use cooper_model::Result;
use cooper_perception::config::interfaces::{Interface, Quality};
use cooper_perception::config::{ScaleSource, Transport, interfaces};
use futures::{Stream, StreamExt};
use r2r::sensor_msgs::msg::CameraInfo;
use r2r::{Node, WrappedTypesupport};

use crate::camera::{Camera, Message};
use crate::tasks::Tasks;
use crate::topics;

/// Subscribe to a camera's topics.
///
/// # Errors
/// [`cooper_model::Error::Internal`] if the middleware rejects a topic.
pub fn subscribe(node: &mut Node, camera: &Arc<Camera>, tasks: &mut Tasks) -> Result<()> {
    match camera.config.transport {
        Transport::Raw => {
            let images = subscription(node, &interfaces::IMAGE, camera)?;
            spawn_receiver(images, camera, &camera.topic, tasks, |camera, image| {
                camera.receive(Message::Raw(image))
            });
        }
        Transport::Compressed => {
            let images = subscription(node, &interfaces::COMPRESSED, camera)?;
            spawn_receiver(images, camera, &camera.topic, tasks, |camera, image| {
                camera.receive(Message::Compressed(image))
            });
        }
    }
    let infos = subscription(node, &interfaces::CAMERA_INFO, camera)?;
    let info_topic = interfaces::CAMERA_INFO.of(&camera.config.name);
    spawn_receiver(infos, camera, &info_topic, tasks, |camera, info| {
        camera.scale.set_camera_info(info)
    });
    if camera.config.scale_source == ScaleSource::Depth {
        let references = subscription(node, &interfaces::DEPTH_REFERENCE, camera)?;
        let topic = interfaces::DEPTH_REFERENCE.of(&camera.config.name);
        spawn_receiver(references, camera, &topic, tasks, |camera, reference| {
            camera.scale.add_reference(reference)
        });
    }
    Ok(())
}

/// Subscribe to the latched CameraInfo of a camera's driver.
///
/// # Errors
/// [`cooper_model::Error::Internal`] if the middleware rejects the topic.
pub fn latched_infos(
    node: &mut Node,
    camera: &Camera,
) -> Result<impl Stream<Item = CameraInfo> + Unpin + use<>> {
    let name = interfaces::CAMERA_INFO.of(&camera.config.name);
    node.subscribe(&name, topics::qos(Quality::Latched(1)))
        .map_err(|error| topics::rejected(&name, &error))
}

/// The image topic's relative name.
pub fn image_topic(transport: Transport, camera: &str) -> String {
    match transport {
        Transport::Raw => interfaces::IMAGE.of(camera),
        Transport::Compressed => interfaces::COMPRESSED.of(camera),
    }
}

fn subscription<T: WrappedTypesupport + 'static>(
    node: &mut Node,
    interface: &Interface,
    camera: &Camera,
) -> Result<impl Stream<Item = T> + Unpin + use<T>> {
    let name = interface.of(&camera.config.name);
    let qos = topics::camera_qos(interface.quality, &camera.config);
    node.subscribe(&name, qos)
        .map_err(|error| topics::rejected(&name, &error))
}

fn spawn_receiver<T: Send + 'static>(
    mut messages: impl Stream<Item = T> + Unpin + Send + 'static,
    camera: &Arc<Camera>,
    topic: &str,
    tasks: &mut Tasks,
    receive: fn(&Camera, T),
) {
    let camera = camera.clone();
    tasks.spawn(topic, async move {
        while let Some(message) = messages.next().await {
            receive(&camera, message);
        }
    });
}
