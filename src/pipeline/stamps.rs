//! Messages by their stamps: the few newest, and the nearest to each frame that is worked on.

use std::collections::VecDeque;
use std::sync::Arc;

/// Messages that are kept.
const MOST_KEPT: usize = 8;
/// Stamps whose nearest message is kept; the model works on one frame at a time.
const MOST_PINNED: usize = 4;

/// The newest messages of a topic. A map may take minutes, in which the message that belongs to its frame would long
/// be gone: so the frame's stamp is pinned when the work begins.
#[derive(Clone, Debug)]
pub struct StampBuffer<T> {
    newest: VecDeque<Stamped<T>>,
    pinned: VecDeque<(i64, Option<Stamped<T>>)>,
}

/// A message and its stamp in nanoseconds.
type Stamped<T> = (i64, Arc<T>);

impl<T> Default for StampBuffer<T> {
    fn default() -> Self {
        Self {
            newest: VecDeque::new(),
            pinned: VecDeque::new(),
        }
    }
}

impl<T> StampBuffer<T> {
    /// Keep a message.
    pub fn put(&mut self, stamp_ns: i64, message: T) {
        let message = Arc::new(message);
        for (pin, nearest) in &mut self.pinned {
            let distance = |at: i64| at.abs_diff(*pin);
            let is_nearer = |(at, _): &Stamped<T>| distance(stamp_ns) < distance(*at);
            if nearest.as_ref().is_none_or(is_nearer) {
                *nearest = Some((stamp_ns, message.clone()));
            }
        }
        self.newest.push_back((stamp_ns, message));
        if self.newest.len() > MOST_KEPT {
            self.newest.pop_front();
        }
    }

    /// Keep the message that is nearest to this stamp, whether it has come or is still to come.
    pub fn pin(&mut self, stamp_ns: i64) {
        if self.pinned.iter().any(|(pin, _)| *pin == stamp_ns) {
            return;
        }
        let nearest = nearest(&self.newest, stamp_ns).cloned();
        self.pinned.push_back((stamp_ns, nearest));
        if self.pinned.len() > MOST_PINNED {
            self.pinned.pop_front();
        }
    }

    /// The message nearest to a stamp, and how many nanoseconds it is off; none if none has come.
    pub fn nearest(&self, stamp_ns: i64) -> Option<(u64, Arc<T>)> {
        let pinned = self.pinned.iter().find(|(pin, _)| *pin == stamp_ns);
        let pinned = pinned.and_then(|(_, nearest)| nearest.as_ref());
        let (at, message) = pinned.or_else(|| nearest(&self.newest, stamp_ns))?;
        Some((at.abs_diff(stamp_ns), message.clone()))
    }
}

fn nearest<T>(messages: &VecDeque<Stamped<T>>, stamp_ns: i64) -> Option<&Stamped<T>> {
    messages.iter().min_by_key(|(at, _)| at.abs_diff(stamp_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(buffer: &StampBuffer<i64>, stamp_ns: i64) -> Option<(u64, i64)> {
        let nearest = buffer.nearest(stamp_ns);
        nearest.map(|(distance, message)| (distance, *message))
    }

    #[test]
    fn the_nearest_is_found_among_few() {
        let mut buffer = StampBuffer::default();
        assert_eq!(found(&buffer, 0), None);
        for stamp in 0..100 {
            buffer.put(10 * stamp, stamp);
        }
        assert_eq!(found(&buffer, 973), Some((3, 97)));
        assert_eq!(found(&buffer, 0), Some((920, 92)), "what is older is gone");
    }

    #[test]
    fn what_is_pinned_outlives_the_buffer_and_may_come_late() {
        let mut buffer = StampBuffer::default();
        buffer.put(90, 9);
        buffer.pin(101);
        for stamp in 10..100 {
            buffer.put(10 * stamp, stamp);
        }
        assert_eq!(found(&buffer, 101), Some((1, 10)));
        assert_eq!(found(&buffer, 131), Some((789, 92)), "was not pinned");
        // The oldest pins make room.
        for stamp in 0..5 {
            buffer.pin(stamp);
        }
        assert_eq!(found(&buffer, 101), Some((819, 92)));
    }
}
