//! Goals and service requests on their way from r2r to the tasks, so that none is lost in a burst.
//!
//! r2r keeps ten requests of an endpoint and silently drops the others: the thread that spins drains them after each
//! iteration, and where there were some it spins again at once.

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

/// The streams of requests that the spinning thread drains.
#[derive(Default)]
pub struct IncomingRequests(Vec<Box<dyn FnMut() -> bool + Send>>);

impl IncomingRequests {
    /// Add a stream: the receiver gets all its items, in order and without a limit.
    pub fn add<T: Send + 'static>(
        &mut self,
        mut stream: impl Stream<Item = T> + Unpin + Send + 'static,
    ) -> UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.push(Box::new(move || {
            let mut is_busy = false;
            while let Some(Some(request)) = stream.next().now_or_never() {
                // A task without a receiver has ended, which ends the node.
                is_busy |= sender.send(request).is_ok();
            }
            is_busy
        }));
        receiver
    }

    /// Pass on all that has arrived; whether there was anything.
    pub fn drain(&mut self) -> bool {
        let mut is_busy = false;
        for drain in &mut self.0 {
            is_busy |= drain();
        }
        is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_requests_are_passed_on_in_order() {
        let mut incoming = IncomingRequests::default();
        let (mut sender, stream) = futures::channel::mpsc::channel(10);
        let mut received = incoming.add(stream);
        assert!(!incoming.drain());
        for i in 0..30 {
            sender.try_send(i).unwrap();
            if i % 5 == 4 {
                assert!(incoming.drain() && !incoming.drain());
            }
        }
        assert!((0..30).all(|i| received.try_recv() == Ok(i)));
    }
}
