//! Loading the model, as the parameters of the moment say.

use cooper_model::Result;
use cooper_perception::config::{self, NodeConfig};
use cooper_perception::pipeline::{LoadedModel, Worker, WorkerStatus};

use crate::params::Parameters;

/// Start the model's thread, which loads the model that the parameters name at the time.
///
/// # Errors
/// See [`Worker::spawn`].
pub fn start_model(queue_limit: usize, parameters: &Parameters) -> Result<Worker> {
    let (at_load, at_warm_up) = (parameters.clone(), parameters.clone());
    Worker::spawn(
        queue_limit,
        move || load(&at_load),
        move |model: &mut LoadedModel, cancel: &_| {
            tracing::info!("loaded, warming up");
            model.warm_up(&at_warm_up.settings()?, cancel)
        },
    )
}

/// The configuration of the model, the cameras and the queue at this moment.
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

/// Log that the node accepts requests from now on.
pub fn log_ready(status: &WorkerStatus) {
    let model = &status.model;
    let (dir, device, dtype) = (&model.dir, &model.device, &model.dtype);
    tracing::info!(model = dir, device, dtype, "ready");
}
