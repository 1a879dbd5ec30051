//! The log on /rosout: r2r does not write it, so a tracing layer passes each event to a task that publishes it.

use std::fmt::Write;

use r2r::Publisher;
use r2r::rcl_interfaces::msg::Log;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock::Clock;
use crate::convert::message_text;

/// The most events in the queue; others are dropped and are on stderr only.
const MAX_QUEUED: usize = 256;

/// The layer of the tracing subscriber.
#[derive(Debug)]
pub struct RosoutLayer(Sender<Log>);

/// The queue of log messages for /rosout.
#[derive(Debug)]
pub struct RosoutQueue(Receiver<Log>);

/// A layer and the queue that it fills.
pub fn rosout() -> (RosoutLayer, RosoutQueue) {
    let (sender, receiver) = channel(MAX_QUEUED);
    (RosoutLayer(sender), RosoutQueue(receiver))
}

impl<S: Subscriber> Layer<S> for RosoutLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let metadata = event.metadata();
        // r2r's log of a failed publish would fail to publish again.
        if metadata.target().starts_with("r2r") || metadata.target() == "log" {
            return;
        }
        let mut text = LogText::default();
        event.record(&mut text);
        let log = Log {
            level: severity(*metadata.level()),
            msg: message_text(&text.0),
            file: metadata.file().unwrap_or_default().into(),
            line: metadata.line().unwrap_or_default(),
            ..Log::default()
        };
        let _ = self.0.try_send(log);
    }
}

impl RosoutQueue {
    /// Publish every event, until the layer is dropped.
    pub async fn publish(mut self, publisher: Publisher<Log>, logger: String, clock: Clock) {
        while let Some(mut log) = self.0.recv().await {
            log.name.clone_from(&logger);
            log.stamp = clock.now();
            let _ = publisher.publish(&log);
        }
    }
}

/// The level as rcl's number.
fn severity(level: Level) -> u8 {
    match level {
        Level::TRACE | Level::DEBUG => 10,
        Level::INFO => 20,
        Level::WARN => 30,
        Level::ERROR => 40,
    }
}

/// An event's message, followed by its other fields as `name=value`.
#[derive(Default)]
struct LogText(String);

impl Visit for LogText {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = if field.name() == "message" {
            let fields = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{fields}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
    }
}
