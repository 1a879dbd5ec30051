//! The node's endpoints and tasks, created once at the start.

use std::sync::{Arc, Mutex};

use cooper_model::{Error, Result};
use cooper_perception::config::interfaces::{self, Interface};
use cooper_perception::config::{self, CameraConfig};
use cooper_perception::pipeline::Worker;
use cooper_perception::trace::Recorder;
use futures::{Stream, StreamExt};
use r2r::Node;
use r2r::cooper_perception::msg::Answer;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::rcl_interfaces::msg::Log;

use crate::camera::Camera;
use crate::clock::Clock;
use crate::continuous::Maps;
use crate::markers::Markers;
use crate::metric::MetricScale;
use crate::params::{self, Parameters};
use crate::remap::Names;
use crate::rosout::RosoutQueue;
use crate::shared::Shared;
use crate::tasks::Tasks;
use crate::{diagnostics, reason, services, subscriptions, topics};

/// A node while it is set up.
pub struct Setup {
    /// The ROS node, which nothing spins yet.
    pub node: Node,
    /// The tasks behind its endpoints.
    pub tasks: Tasks,
}

impl Setup {
    /// A setup of `node`, without endpoints.
    pub fn new(node: Node) -> Self {
        let tasks = Tasks::default();
        Self { node, tasks }
    }

    /// Publish the log on /rosout.
    ///
    /// # Errors
    /// [`Error::Internal`] if the middleware rejects the topic, as for all functions here.
    pub fn publish_log(&mut self, log: RosoutQueue) -> Result<()> {
        let rosout = topics::publisher::<Log>(&mut self.node, &interfaces::ROSOUT, "")?;
        let (logger, clock) = (self.node.logger().into(), Clock::new(&self.node));
        let task = log.publish(rosout, logger, clock);
        self.tasks.spawn(interfaces::ROSOUT.name, task);
        Ok(())
    }

    /// Make what all tasks share.
    ///
    /// # Errors
    /// [`Error::Internal`], also if no thread for traces can be started.
    pub fn shared(
        &mut self,
        cameras: &[CameraConfig],
        worker: Worker,
        parameters: Parameters,
    ) -> Result<Arc<Shared>> {
        let (name, namespace) = (self.node.name(), self.node.namespace());
        let (name, namespace) = (name.map_err(rejected)?, namespace.map_err(rejected)?);
        let names = Names::new(&name, &namespace, std::env::args());
        let answers = topics::publisher::<Answer>(&mut self.node, &interfaces::ANSWER, "")?;
        Ok(Arc::new(Shared {
            worker,
            parameters,
            cameras: cameras
                .iter()
                .map(|config| camera(config, &names))
                .collect(),
            clock: Clock::new(&self.node),
            answers: Mutex::new(answers),
            markers: Markers::advertise(&mut self.node)?,
            recorder: Recorder::start()?,
        }))
    }

    /// Create the endpoints of cameras, requests and diagnostics.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn serve(&mut self, shared: &Arc<Shared>) -> Result<()> {
        let Self { node, tasks } = self;
        for camera in &shared.cameras {
            subscriptions::subscribe(node, camera, tasks)?;
            let maps = Maps::advertise(node, shared, camera)?;
            tasks.spawn(format!("the maps of {}", camera.config.name), maps.run());
        }
        services::serve(node, shared, tasks)?;
        reason::serve(node, shared, tasks)?;
        let publisher = topics::publisher::<DiagnosticArray>(node, &interfaces::DIAGNOSTICS, "")?;
        let name = node.fully_qualified_name().map_err(rejected)?;
        let task = diagnostics::publish(shared.clone(), publisher, name);
        tasks.spawn(interfaces::DIAGNOSTICS.name, task);
        Ok(())
    }

    /// Create the parameter services, and apply the parameters now and after each change.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn serve_parameters(&mut self, shared: &Arc<Shared>) -> Result<()> {
        let parameters = shared.parameters.for_services();
        let handler = self.node.make_derived_parameter_handler(parameters);
        let (serve, changes) = handler.map_err(rejected)?;
        self.tasks.spawn("the parameter services", serve);
        apply_parameters(shared);
        let task = follow_parameters(shared.clone(), changes);
        self.tasks.spawn("changed parameters", task);
        Ok(())
    }
}

fn rejected(error: r2r::Error) -> Error {
    Error::Internal(format!("ROS rejects the node: {error}"))
}

fn camera(config: &CameraConfig, names: &Names) -> Arc<Camera> {
    let topic = names.resolve(&subscriptions::image_topic(config.transport, &config.name));
    let resolve = |interface: &Interface| names.resolve(&interface.of(&config.name));
    let info_topic = resolve(&interfaces::CAMERA_INFO);
    let reference_topic = resolve(&interfaces::DEPTH_REFERENCE);
    let scale = MetricScale::new(config.clone(), info_topic, reference_topic);
    Arc::new(Camera::new(config.clone(), topic, scale))
}

/// Apply the parameters that requests do not read by themselves.
fn apply_parameters(shared: &Shared) {
    let max_age = shared.parameters.float("limits.image_age").ok();
    for camera in &shared.cameras {
        camera.set_max_age(max_age.and_then(params::limit));
    }
    if let Ok(limits) = config::trace_limits(&shared.parameters.now()) {
        shared.recorder.limit(limits);
    }
}

async fn follow_parameters<T>(shared: Arc<Shared>, changes: impl Stream<Item = (String, T)>) {
    let mut changes = std::pin::pin!(changes);
    while let Some((name, _)) = changes.next().await {
        tracing::info!("parameter {name} changed");
        apply_parameters(&shared);
    }
}
