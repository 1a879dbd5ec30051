//! What the node is asked, on its way from r2r to the tasks, so that no goal and no request is lost in a flood.
//!
//! r2r keeps ten requests of an endpoint and drops what comes then without a word: the thread that spins takes them
//! over after each of its turns, and where there were some it has its next turn at once.

use futures::{FutureExt, Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::UnboundedReceiver;

/// The streams that the spinning thread empties.
#[derive(Default)]
pub struct Inboxes(Vec<Box<dyn FnMut() -> bool + Send>>);

impl Inboxes {
    /// Take over a stream; all that comes on it can be received, in its order.
    pub fn of<T: Send + 'static>(
        &mut self,
        mut stream: impl Stream<Item = T> + Unpin + Send + 'static,
    ) -> UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.push(Box::new(move || {
            let mut has_news = false;
            while let Some(Some(news)) = stream.next().now_or_never() {
                // A task that is gone has been told of by its end.
                has_news |= sender.send(news).is_ok();
            }
            has_news
        }));
        receiver
    }

    /// Pass on what has come; whether there was anything.
    pub fn empty(&mut self) -> bool {
        let mut has_news = false;
        for take in &mut self.0 {
            has_news |= take();
        }
        has_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_has_come_is_passed_on_in_order() {
        let mut inboxes = Inboxes::default();
        let (mut sender, stream) = futures::channel::mpsc::channel(10);
        let mut received = inboxes.of(stream);
        assert!(!inboxes.empty());
        for i in 0..30 {
            sender.try_send(i).unwrap();
            if i % 5 == 4 {
                assert!(inboxes.empty() && !inboxes.empty());
            }
        }
        assert!((0..30).all(|i| received.try_recv() == Ok(i)));
    }
}
