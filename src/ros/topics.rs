//! The quality of service of each interface, and publishing.

use cooper_model::{Error, Result};
use cooper_perception::config::CameraConfig;
use cooper_perception::config::interfaces::{Interface, Quality};
use r2r::{Node, Publisher, QosProfile, WrappedTypesupport};

/// A quality of service as rcl's profile; `Sensor` is best effort.
pub fn qos(quality: Quality) -> QosProfile {
    match quality {
        Quality::Sensor => QosProfile::sensor_data().keep_last(1),
        Quality::Reliable(depth) => QosProfile::default().keep_last(depth).reliable(),
        Quality::Latched(depth) => QosProfile::default()
            .keep_last(depth)
            .reliable()
            .transient_local(),
        Quality::Default => QosProfile::services_default(),
    }
}

/// The profile of a camera's subscription: `Sensor` is reliable where the camera's parameters say so.
pub fn camera_qos(quality: Quality, camera: &CameraConfig) -> QosProfile {
    match quality {
        Quality::Sensor if camera.reliable => qos(quality).reliable(),
        quality => qos(quality),
    }
}

/// Create the publisher of `interface` for `camera`.
///
/// # Errors
/// [`Error::Internal`] with the middleware's reason.
pub fn publisher<T: WrappedTypesupport>(
    node: &mut Node,
    interface: &Interface,
    camera: &str,
) -> Result<Publisher<T>> {
    let name = interface.of(camera);
    node.create_publisher(&name, qos(interface.quality))
        .map_err(|error| rejected(&name, &error))
}

/// Whether a topic has subscribers.
pub fn has_subscribers<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> bool {
    publisher
        .get_inter_process_subscription_count()
        .is_ok_and(|count| count > 0)
}

/// Make and publish a message, if the topic has subscribers.
pub fn publish<T: WrappedTypesupport + 'static>(
    publisher: &Publisher<T>,
    message: impl FnOnce() -> Result<T>,
) {
    if !has_subscribers(publisher) {
        return;
    }
    let internal = |error: r2r::Error| Error::Internal(error.to_string());
    let published = message().and_then(|message| publisher.publish(&message).map_err(internal));
    if let Err(error) = published {
        tracing::warn!("cannot publish a map: {error}");
    }
}

/// The error for an endpoint that the middleware rejects.
pub fn rejected(name: &str, error: &r2r::Error) -> Error {
    Error::Internal(format!("ROS rejects `{name}`: {error}"))
}
