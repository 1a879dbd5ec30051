//! The node from start to stop: its endpoints, its tasks, the spinning thread, the model's thread.

use std::sync::Arc;
use std::time::Duration;

use cooper_model::{Error, Result};
use cooper_perception::pipeline::State;
use r2r::Node;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::loading::{log_ready, read_config, start_model};
use crate::params::Parameters;
use crate::rosout::RosoutQueue;
use crate::setup::Setup;
use crate::shared::Shared;
use crate::spin::Spin;
use crate::tasks::Tasks;

/// The node's name, unless a remapping rule gives another.
const NAME: &str = "cooper";
/// How often to check whether the model is loaded.
const LOADING_PERIOD: Duration = Duration::from_millis(50);
/// The time for the last replies and log messages to leave before the node is dropped.
const LAST_MESSAGES: Duration = Duration::from_millis(150);
/// The longest wait for the model to stop: one token or one flow step, unless it is still loading.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// Run the node until SIGINT or SIGTERM.
///
/// # Errors
/// Why it cannot start: invalid parameters, a model that cannot be loaded, names that ROS rejects; or what ended while
/// it ran: one of its tasks or the spinning thread.
pub async fn run(log: RosoutQueue) -> Result<()> {
    let mut signals = Signals::new()?;
    let node = create_node()?;
    let parameters = Parameters::at_start(&node)?;
    let config = read_config(&parameters)?;
    let worker = start_model(config.queue_limit, &parameters)?;

    let mut setup = Setup::new(node);
    setup.publish_log(log)?;
    let shared = setup.shared(&config.cameras, worker, parameters)?;
    setup.serve(&shared)?;
    setup.serve_parameters(&shared)?;
    let Setup { node, mut tasks } = setup;
    let incoming = std::mem::take(&mut tasks.incoming);
    let mut spin = Spin::start(node, shared.cameras.clone(), incoming)?;

    // In this order: where several have ended, the first is the cause of the others.
    let ended = tokio::select! {
        biased;
        () = signals.next() => Ok(()),
        error = spin.ended() => Err(error),
        error = tasks.ended() => Err(error),
        error = load_failure(&shared) => Err(error),
    };
    stop(&shared, spin, tasks).await;
    ended
}

fn create_node() -> Result<Node> {
    let failed = |error: r2r::Error| Error::Internal(format!("ROS does not start: {error}"));
    let context = r2r::Context::create().map_err(failed)?;
    Node::create(context, NAME, "").map_err(failed)
}

/// Wait until the first model has failed to load; for ever once it is ready. A model that fails to load later does not
/// end the node.
async fn load_failure(shared: &Shared) -> Error {
    loop {
        let status = shared.worker.status();
        match status.state {
            State::Loading | State::WarmingUp => tokio::time::sleep(LOADING_PERIOD).await,
            State::Ready => {
                log_ready(&status);
                return std::future::pending().await;
            }
            // A client has unloaded it, and may load it later.
            State::Unloaded => return std::future::pending().await,
            State::Failed(why) => return Error::NotReady(why),
            State::Stopped => return Error::NotReady("its thread has ended".into()),
        }
    }
}

/// Stop in order: the model, the traces, the last replies, spinning and the node, the tasks.
async fn stop(shared: &Arc<Shared>, spin: Spin, tasks: Tasks) {
    tracing::info!("stopping");
    let state = shared.worker.status().state;
    let is_loading = matches!(state, State::Loading | State::WarmingUp);
    let worker = shared.worker.clone();
    let stopped = tokio::task::spawn_blocking(move || worker.stop());
    if !is_loading && tokio::time::timeout(STOP_TIMEOUT, stopped).await.is_err() {
        tracing::warn!("the model did not stop in time; it ends with the process");
    }
    let shared = shared.clone();
    let written = tokio::task::spawn_blocking(move || shared.recorder.finish());
    if tokio::time::timeout(STOP_TIMEOUT, written).await.is_err() {
        tracing::warn!("the last traces were not written in time");
    }
    tokio::time::sleep(LAST_MESSAGES).await;
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
