//! The node from start to stop: endpoints, tasks, the spinning thread, the model's thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cooper_model::{Error, Result};
use cooper_perception::config;
use cooper_perception::config::interfaces::Interface;
use cooper_perception::config::{NodeConfig, interfaces};
use cooper_perception::pipeline::{State, Worker};
use cooper_perception::trace::Recorder;
use futures::{Stream, StreamExt};
use r2r::Node;
use r2r::cooper_perception::msg::Answer;
use r2r::diagnostic_msgs::msg::DiagnosticArray;
use r2r::rcl_interfaces::msg::Log;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::cameras::Camera;
use super::clock::Clock;
use super::continuous::Maps;
use super::loading::{log_ready, read_config, start_model};
use super::markers::Markers;
use super::metric_scale::MetricScale;
use super::params::{self, Parameters};
use super::remap::Names;
use super::requests::Core;
use super::rosout::RosoutEvents;
use super::spin::Spin;
use super::tasks::Tasks;
use super::{actions, diagnostics, services, subscriptions, topics};

/// The node's name, unless a remapping rule gives another.
const NAME: &str = "cooper";
/// How often the loading of the model is looked at.
const LOOK_AT_LOADING: Duration = Duration::from_millis(50);
/// Time for the last replies and log messages to leave before the node goes.
const LAST_WORDS: Duration = Duration::from_millis(150);
/// The longest wait for the model to stop: one token or one flow step, unless it is still loading.
const LAST_STEP: Duration = Duration::from_secs(10);

/// Run the node until SIGINT or SIGTERM.
///
/// # Errors
/// What keeps it from starting: bad parameters, a model that cannot be loaded, names that ROS refuses; or what has
/// ended while it ran: one of its tasks or the thread that spins.
pub async fn run(log: RosoutEvents) -> Result<()> {
    let mut signals = Signals::new()?;
    let mut node = create_node()?;
    let parameters = Parameters::at_start(&node)?;
    let config = read_config(&parameters)?;
    let mut tasks = Tasks::default();
    let worker = start_model(config.queue_limit, &parameters)?;
    let core = open(&mut node, &config, worker, parameters, log, &mut tasks)?;
    let inboxes = std::mem::take(&mut tasks.inboxes);
    let mut spin = Spin::start(node, core.cameras.clone(), inboxes)?;

    // In this order: where several are true at once, the first is the cause of the others.
    let ended = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        error = spin.ended() => Err(error),
        error = tasks.ended() => Err(error),
        error = never_loaded(&core) => Err(error),
    };
    stop(&core, spin, tasks).await;
    ended
}

fn create_node() -> Result<Node> {
    let refused = |error: r2r::Error| Error::Internal(format!("ROS does not start: {error}"));
    let context = r2r::Context::create().map_err(refused)?;
    Node::create(context, NAME, "").map_err(refused)
}

/// Create all endpoints and the tasks behind them.
fn open(
    node: &mut Node,
    config: &NodeConfig,
    worker: Worker,
    parameters: Parameters,
    log: RosoutEvents,
    tasks: &mut Tasks,
) -> Result<Arc<Core>> {
    let refused = |error: r2r::Error| Error::Internal(format!("ROS refuses the node: {error}"));
    let clock = Clock::of(node);
    let rosout = topics::publisher::<Log>(node, &interfaces::ROSOUT, "")?;
    tasks.spawn(
        interfaces::ROSOUT.name,
        log.publish(rosout, node.logger().into(), clock.clone()),
    );

    let names = Names::new(
        &node.name().map_err(refused)?,
        &node.namespace().map_err(refused)?,
        std::env::args(),
    );
    let camera = |config: &config::CameraConfig| {
        let topic = names.resolve(&subscriptions::image_topic(config.transport, &config.name));
        let of = |interface: &Interface| names.resolve(&interface.of(&config.name));
        let (info, reference) = (
            of(&interfaces::CAMERA_INFO),
            of(&interfaces::DEPTH_REFERENCE),
        );
        let scaling = MetricScale::new(config.clone(), info, reference);
        Arc::new(Camera::new(config.clone(), topic, scaling))
    };
    let core = Arc::new(Core {
        worker,
        parameters,
        cameras: config.cameras.iter().map(camera).collect(),
        clock,
        answers: Mutex::new(topics::publisher::<Answer>(node, &interfaces::ANSWER, "")?),
        markers: Markers::advertise(node)?,
        recorder: Recorder::start()?,
    });
    for camera in &core.cameras {
        subscriptions::listen(node, camera, tasks)?;
        let maps = Maps::advertise(node, &core, camera)?;
        tasks.spawn(
            format!("the maps of {}", camera.config.name),
            maps.keep_up(),
        );
    }
    services::offer(node, &core, tasks)?;
    actions::offer(node, &core, tasks)?;
    let publisher = topics::publisher::<DiagnosticArray>(node, &interfaces::DIAGNOSTICS, "")?;
    let name = node.fully_qualified_name().map_err(refused)?;
    tasks.spawn(
        interfaces::DIAGNOSTICS.name,
        diagnostics::publish(core.clone(), publisher, name),
    );
    let (serve, changes) = node
        .make_derived_parameter_handler(core.parameters.for_services())
        .map_err(refused)?;
    tasks.spawn("the parameter services", serve);
    apply_parameters(&core);
    tasks.spawn(
        "changed parameters",
        follow_parameters(core.clone(), changes),
    );
    Ok(core)
}

/// Apply what is not read anew for each request.
fn apply_parameters(core: &Core) {
    let max_age = core
        .parameters
        .float("limits.image_age")
        .ok()
        .and_then(params::limit);
    for camera in &core.cameras {
        camera.set_max_age(max_age);
    }
    if let Ok(limits) = config::trace_limits(&core.parameters.now()) {
        core.recorder.limit(limits);
    }
}

async fn follow_parameters<T>(core: Arc<Core>, changes: impl Stream<Item = (String, T)>) {
    let mut changes = std::pin::pin!(changes);
    while let Some((name, _)) = changes.next().await {
        tracing::info!("the parameter {name} was changed");
        apply_parameters(&core);
    }
}

/// Wait for the model to answer its first warm-up, and from then on for ever; the error says why it cannot. A model
/// that cannot be loaded later leaves the node as it is.
async fn never_loaded(core: &Core) -> Error {
    loop {
        let status = core.worker.status();
        match status.state {
            State::Loading | State::WarmingUp => tokio::time::sleep(LOOK_AT_LOADING).await,
            State::Ready => {
                log_ready(&status);
                return std::future::pending().await;
            }
            // Somebody did not wait for it, and may load it later.
            State::Unloaded => return std::future::pending().await,
            State::Failed(why) => return Error::NotReady(why),
            State::Stopped => return Error::NotReady("its thread has ended".into()),
        }
    }
}

/// End in order: the model, the last replies, spinning, the node, the tasks.
async fn stop(core: &Arc<Core>, spin: Spin, tasks: Tasks) {
    tracing::info!("stopping");
    let state = core.worker.status().state;
    let is_loading = matches!(state, State::Loading | State::WarmingUp);
    let worker = core.worker.clone();
    let stopped = tokio::task::spawn_blocking(move || worker.stop());
    if !is_loading && tokio::time::timeout(LAST_STEP, stopped).await.is_err() {
        tracing::warn!("the model did not stop in time; it ends with the process");
    }
    let of_traces = core.clone();
    let written = tokio::task::spawn_blocking(move || of_traces.recorder.finish());
    if tokio::time::timeout(LAST_STEP, written).await.is_err() {
        tracing::warn!("the last traces were not written in time");
    }
    tokio::time::sleep(LAST_WORDS).await;
    let _ = tokio::task::spawn_blocking(move || spin.stop()).await;
    tasks.shutdown().await;
}

/// The signals that end the node.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::Internal(format!("no signal handler: {error}")))
        };
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
