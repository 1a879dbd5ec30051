//! `~/load_model` and `~/unload_model`.

use std::sync::Arc;
use std::time::Instant;

use cooper_model::Result;
use cooper_perception::pipeline::State;
use r2r::std_srvs::srv::Trigger;
use tokio::sync::oneshot;

use super::failure;
use crate::convert::message_text;
use crate::loading::log_ready;
use crate::requests;
use crate::shared::Shared;

/// Load the model; the reply comes when it is ready, or has failed to load.
pub async fn load_model(shared: Arc<Shared>, _: Trigger::Request) -> Trigger::Response {
    let was_ready = shared.worker.status().state == State::Ready;
    let begin = Instant::now();
    respond("load_model", shared.worker.load(), || {
        let status = shared.worker.status();
        let (dir, seconds) = (&status.model.dir, begin.elapsed().as_secs_f64());
        if was_ready {
            return format!("{dir} is loaded already; unload it first to apply other parameters");
        }
        log_ready(&status);
        format!("{dir} is ready after {seconds:.1} s")
    })
    .await
}

/// Unload the model; the reply comes when its memory is free.
pub async fn unload_model(shared: Arc<Shared>, _: Trigger::Request) -> Trigger::Response {
    let n_bytes = shared.worker.status().model.memory_bytes;
    respond("unload_model", shared.worker.unload(), || match n_bytes {
        0 => "no model was loaded".into(),
        _ => {
            tracing::info!("unloaded");
            format!("freed {n_bytes} bytes of weights, and the cached images")
        }
    })
    .await
}

async fn respond(
    service: &str,
    end: oneshot::Receiver<Result<()>>,
    message: impl FnOnce() -> String,
) -> Trigger::Response {
    let end = end.await.unwrap_or_else(|_| Err(requests::lost()));
    let (success, message) = match end {
        Ok(()) => (true, message_text(&message())),
        Err(error) => (false, failure::report(service, &error).1),
    };
    Trigger::Response { success, message }
}
