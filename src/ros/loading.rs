//! The model comes and goes: at start, with `~/unload_model` and with `~/load_model`.

use std::sync::Arc;
use std::time::Instant;

use cooper_model::Result;
use cooper_perception::config;
use cooper_perception::config::NodeConfig;
use cooper_perception::pipeline::{LoadedModel, State, Worker, WorkerStatus};
use r2r::std_srvs::srv::Trigger;
use tokio::sync::oneshot;

use super::convert::message_text;
use super::params::Parameters;
use super::requests::{self, Core};
use super::services::told;

/// Start the model's thread, which loads as the parameters of each moment say.
///
/// # Errors
/// See [`Worker::spawn`].
pub fn start_model(queue_limit: usize, parameters: &Parameters) -> Result<Worker> {
    let (at_load, at_warm_up) = (parameters.clone(), parameters.clone());
    Worker::spawn(
        queue_limit,
        move || load(&at_load),
        move |perceiver: &mut LoadedModel, cancel: &_| {
            tracing::info!("loaded, warming up");
            perceiver.warm_up(&at_warm_up.settings()?, cancel)
        },
    )
}

/// What the parameters of this moment say of the model, the cameras and the queue.
///
/// # Errors
/// See [`NodeConfig::read`].
pub fn read_config(parameters: &Parameters) -> Result<NodeConfig> {
    let prefixes = std::env::var("AMENT_PREFIX_PATH").unwrap_or_default();
    let shipped = config::shipped_model(&prefixes);
    NodeConfig::read(&parameters.now(), shipped.as_deref())
}

fn load(parameters: &Parameters) -> Result<LoadedModel> {
    parameters.follow_model()?;
    let config = read_config(parameters)?;
    tracing::info!(model = %config.model.dir.display(), "loading");
    LoadedModel::load(&config.model, config.prompts_file.as_deref())
}

/// Tell the log that requests are taken from now on.
pub fn log_ready(status: &WorkerStatus) {
    let model = &status.model;
    let (dir, device, dtype) = (&model.dir, &model.device, &model.dtype);
    tracing::info!(model = dir, device, dtype, "ready");
}

/// Serve `~/load_model`: the reply comes when the model is ready, or cannot be.
pub async fn load_model(core: Arc<Core>, _: Trigger::Request) -> Trigger::Response {
    let was_ready = core.worker.status().state == State::Ready;
    let begun = Instant::now();
    replied("load_model", core.worker.load(), || {
        let status = core.worker.status();
        let (dir, seconds) = (&status.model.dir, begun.elapsed().as_secs_f64());
        if was_ready {
            return format!("{dir} was loaded already; unload it first for other parameters");
        }
        log_ready(&status);
        format!("{dir} is ready after {seconds:.1} s")
    })
    .await
}

/// Serve `~/unload_model`: the reply comes when the memory is free.
pub async fn unload_model(core: Arc<Core>, _: Trigger::Request) -> Trigger::Response {
    let n_bytes = core.worker.status().model.memory_bytes;
    replied("unload_model", core.worker.unload(), || match n_bytes {
        0 => "no model was loaded".into(),
        _ => {
            tracing::info!("unloaded");
            format!("unloaded {n_bytes} bytes of weights and what was kept of images")
        }
    })
    .await
}

async fn replied(
    service: &str,
    end: oneshot::Receiver<Result<()>>,
    remark: impl FnOnce() -> String,
) -> Trigger::Response {
    let end = end.await.unwrap_or_else(|_| Err(requests::lost()));
    let (success, message) = match end {
        Ok(()) => (true, message_text(&remark())),
        Err(error) => (false, told(service, &error).1),
    };
    Trigger::Response { success, message }
}
