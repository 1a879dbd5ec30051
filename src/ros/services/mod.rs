//! The services: each request runs in a task of its own, so that a long one delays no other.

mod ask;
mod estimate_depth;
mod failure;
mod get_status;
mod load_model;
mod measure;
mod segment;

use std::future::Future;
use std::sync::Arc;

use cooper_model::Result;
use cooper_perception::config::interfaces::{self, Interface};
use r2r::cooper_perception::srv::{Ask, EstimateDepth, GetStatus, Measure, Segment};
use r2r::std_srvs::srv::Trigger;
use r2r::{Node, WrappedServiceTypeSupport};

use crate::shared::Shared;
use crate::tasks::Tasks;
use crate::topics;

/// Create all services.
///
/// # Errors
/// [`cooper_model::Error::Internal`] if the middleware rejects one.
pub fn serve(node: &mut Node, shared: &Arc<Shared>, tasks: &mut Tasks) -> Result<()> {
    let mut server = Server {
        node,
        shared,
        tasks,
    };
    server.add::<Ask::Service, _>(&interfaces::ASK, ask::ask)?;
    server.add::<Measure::Service, _>(&interfaces::MEASURE, measure::measure)?;
    let estimate_depth = estimate_depth::estimate_depth;
    server.add::<EstimateDepth::Service, _>(&interfaces::ESTIMATE_DEPTH, estimate_depth)?;
    server.add::<Segment::Service, _>(&interfaces::SEGMENT, segment::segment)?;
    server.add::<GetStatus::Service, _>(&interfaces::GET_STATUS, get_status::get_status)?;
    server.add::<Trigger::Service, _>(&interfaces::LOAD_MODEL, load_model::load_model)?;
    server.add::<Trigger::Service, _>(&interfaces::UNLOAD_MODEL, load_model::unload_model)
}

struct Server<'a> {
    node: &'a mut Node,
    shared: &'a Arc<Shared>,
    tasks: &'a mut Tasks,
}

impl Server<'_> {
    /// Create a service whose requests `reply` replies to.
    fn add<S, F>(
        &mut self,
        interface: &Interface,
        reply: fn(Arc<Shared>, S::Request) -> F,
    ) -> Result<()>
    where
        S: WrappedServiceTypeSupport + 'static,
        S::Request: Send,
        S::Response: Send,
        F: Future<Output = S::Response> + Send + 'static,
    {
        let (name, qos) = (interface.name, topics::qos(interface.quality));
        let requests = self.node.create_service::<S>(name, qos);
        let requests = requests.map_err(|error| topics::rejected(name, &error))?;
        let mut requests = self.tasks.incoming.add(requests);
        let shared = self.shared.clone();
        self.tasks.spawn(name, async move {
            while let Some(mut request) = requests.recv().await {
                let response = reply(shared.clone(), std::mem::take(&mut request.message));
                tokio::spawn(async move {
                    if let Err(error) = request.respond(response.await) {
                        tracing::warn!("cannot send a reply of {name}: {error}");
                    }
                });
            }
        });
        Ok(())
    }
}
