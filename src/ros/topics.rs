//! The quality of service of each interface, and its endpoints in the graph.

use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::{Interface, Quality};
use r2r::{Node, Publisher, QosProfile, WrappedTypesupport};

/// What rcl must be told; a `Sensor` topic is reliable only where the camera's parameter says so.
pub fn qos(quality: Quality, reliable_sensor: bool) -> QosProfile {
    match quality {
        Quality::Sensor if reliable_sensor => QosProfile::sensor_data().keep_last(1).reliable(),
        Quality::Sensor => QosProfile::sensor_data().keep_last(1),
        Quality::Reliable(depth) => QosProfile::default().keep_last(depth).reliable(),
        Quality::Latched(depth) => QosProfile::default()
            .keep_last(depth)
            .reliable()
            .transient_local(),
        Quality::Default => QosProfile::services_default(),
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
    node.create_publisher(&name, qos(interface.quality, false))
        .map_err(|error| failed(&name, &error))
}

/// Whether somebody listens.
pub fn is_wanted<T: WrappedTypesupport + 'static>(publisher: &Publisher<T>) -> bool {
    publisher
        .get_inter_process_subscription_count()
        .is_ok_and(|count| count > 0)
}

/// Make and publish a message, if somebody listens.
pub fn publish<T: WrappedTypesupport + 'static>(
    publisher: &Publisher<T>,
    message: impl FnOnce() -> Result<T>,
) {
    if !is_wanted(publisher) {
        return;
    }
    let refused = |error: r2r::Error| Error::Internal(error.to_string());
    let published = message().and_then(|message| publisher.publish(&message).map_err(refused));
    if let Err(error) = published {
        tracing::warn!("a map could not be published: {error}");
    }
}

/// An endpoint that the middleware refuses.
pub fn failed(name: &str, error: &r2r::Error) -> Error {
    Error::Internal(format!("ROS refuses `{name}`: {error}"))
}
