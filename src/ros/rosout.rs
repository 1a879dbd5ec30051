//! The log on /rosout: r2r writes nothing there, so a tracing layer hands each event to a task that publishes it.

use std::fmt::Write;

use r2r::Publisher;
use r2r::rcl_interfaces::msg::Log;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::clock::Clock;
use super::convert::message_text;

/// Events that may wait to be published; more are dropped, they are on stderr anyway.
const MAX_WAITING: usize = 256;

/// The layer to put into the tracing subscriber.
#[derive(Debug)]
pub struct RosoutLayer(Sender<Log>);

/// The events on their way to /rosout.
#[derive(Debug)]
pub struct RosoutEvents(Receiver<Log>);

/// Make the layer and the other end of it.
pub fn rosout() -> (RosoutLayer, RosoutEvents) {
    let (sender, receiver) = channel(MAX_WAITING);
    (RosoutLayer(sender), RosoutEvents(receiver))
}

impl<S: Subscriber> Layer<S> for RosoutLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        // What r2r says of a failing publisher must not be published.
        if metadata.target().starts_with("r2r") || metadata.target() == "log" {
            return;
        }
        let mut words = Words::default();
        event.record(&mut words);
        let log = Log {
            level: severity(*metadata.level()),
            msg: message_text(&words.0),
            file: metadata.file().unwrap_or_default().into(),
            line: metadata.line().unwrap_or_default(),
            ..Log::default()
        };
        let _ = self.0.try_send(log);
    }
}

impl RosoutEvents {
    /// Publish every event, until the layer is gone.
    pub async fn publish(mut self, publisher: Publisher<Log>, logger: String, clock: Clock) {
        while let Some(mut log) = self.0.recv().await {
            log.name.clone_from(&logger);
            log.stamp = clock.now();
            let _ = publisher.publish(&log);
        }
    }
}

/// rcl's numbers of the levels.
fn severity(level: Level) -> u8 {
    match level {
        Level::TRACE | Level::DEBUG => 10,
        Level::INFO => 20,
        Level::WARN => 30,
        Level::ERROR => 40,
    }
}

/// An event's message, then its other fields as `name=value`.
#[derive(Default)]
struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
