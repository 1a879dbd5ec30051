//! The quality of service of each interface, and its endpoints in the graph.

use r2r::Node;
use r2r::Publisher;
use r2r::QosProfile;
use r2r::WrappedTypesupport;

use crate::config::interfaces::Interface;
use crate::config::interfaces::Quality;
use crate::error::{Error, Result};

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

/// An endpoint that the middleware refuses.
pub fn failed(name: &str, error: &r2r::Error) -> Error {
    Error::Internal(format!("ROS refuses `{name}`: {error}"))
}
