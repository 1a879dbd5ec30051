//! The node's long-running tasks: each has a name, and none may end while the node runs.

use std::collections::HashMap;

use cooper_model::Error;
use tokio::task::{Id, JoinSet};

use crate::incoming::IncomingRequests;

/// The tasks that run as long as the node does.
#[derive(Default)]
pub struct Tasks {
    /// The requests that the spinning thread passes on to them.
    pub incoming: IncomingRequests,
    running: JoinSet<()>,
    names: HashMap<Id, String>,
}

impl Tasks {
    /// Run `task`; its name says what fails without it.
    pub fn spawn(
        &mut self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name.into());
    }

    /// Wait until one ends, which is an error that names it.
    pub async fn ended(&mut self) -> Error {
        let Some(ended) = self.running.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let (id, how) = match &ended {
            Ok((id, ())) => (*id, "has ended"),
            Err(error) => (error.id(), "has panicked"),
        };
        let name = self.names.get(&id).map_or("unknown", String::as_str);
        Error::Internal(format!("the task for {name} {how}"))
    }

    /// Abort all of them.
    pub async fn shutdown(mut self) {
        self.running.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("always", std::future::pending());
        tasks.spawn("panic", async { panic!("on purpose") });
        assert!(
            tasks
                .ended()
                .await
                .to_string()
                .ends_with("the task for panic has panicked")
        );
        tasks.spawn("end", async {});
        assert!(
            tasks
                .ended()
                .await
                .to_string()
                .ends_with("the task for end has ended")
        );
    }
}
