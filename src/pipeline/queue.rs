//! A bounded queue that is fair between clients: each client has a line of its own, and the clients take turns.
//!
//! When it is full, a client with fewer items than another may still push: the newest item of the longest line makes
//! room (buffer stealing). So a flood costs its own sender, and nobody else waits for more than one request of each
//! other client.

use std::collections::VecDeque;

/// Waiting items by client.
#[derive(Debug)]
pub(super) struct Queue<T> {
    limit: usize,
    /// The client of the first line is served next; no line is empty.
    lines: VecDeque<Line<T>>,
    /// The client that was served last.
    served: String,
}

#[derive(Debug)]
struct Line<T> {
    client: String,
    items: VecDeque<T>,
}

/// The result of a push.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pushed<T> {
    /// The item waits.
    Queued,
    /// The item waits in the place of this one of another client.
    Replaced(T),
    /// The queue has no room.
    Refused,
}

impl<T> Queue<T> {
    /// An empty queue for at most `limit` items.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            lines: VecDeque::new(),
            served: String::new(),
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(|line| line.items.len()).sum()
    }

    /// How many may wait.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Add an item, if there is room or another client has more items.
    pub(super) fn push(&mut self, client: &str, item: T) -> Pushed<T> {
        let mut made_room = None;
        if self.len() >= self.limit {
            let own = self.line(client).map_or(0, |line| line.items.len());
            let longest = self.lines.iter_mut().max_by_key(|line| line.items.len());
            // Afterwards the longest line is still no shorter than this one, so nothing swings back.
            made_room = longest
                .filter(|line| line.items.len() > own + 1)
                .and_then(|line| line.items.pop_back());
            if made_room.is_none() {
                return Pushed::Refused;
            }
        }
        self.append(client, item);
        made_room.map_or(Pushed::Queued, Pushed::Replaced)
    }

    fn line(&mut self, client: &str) -> Option<&mut Line<T>> {
        self.lines.iter_mut().find(|line| line.client == client)
    }

    fn append(&mut self, client: &str, item: T) {
        if let Some(line) = self.line(client) {
            line.items.push_back(item);
            return;
        }
        let line = Line {
            client: client.into(),
            items: VecDeque::from([item]),
        };
        // The client that was served last comes after all others, those that come now included.
        let is_served = |last: &Line<T>| last.client == self.served;
        let behind = usize::from(self.lines.back().is_some_and(is_served));
        self.lines.insert(self.lines.len() - behind, line);
    }

    /// Take out the next item; its client comes last after that.
    pub(super) fn next(&mut self) -> Option<T> {
        let mut line = self.lines.pop_front()?;
        let item = line.items.pop_front();
        self.served.clone_from(&line.client);
        if !line.items.is_empty() {
            self.lines.push_back(line);
        }
        item
    }

    /// All items in the order in which they are served if no other comes.
    pub(super) fn in_order(&self) -> impl Iterator<Item = &T> {
        let n_turns = self.lines.iter().map(|line| line.items.len()).max();
        let turns = 0..n_turns.unwrap_or(0);
        turns.flat_map(|turn| self.lines.iter().filter_map(move |l| l.items.get(turn)))
    }

    /// Remove the items that `keep` refuses.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for line in &mut self.lines {
            line.items.retain(&mut keep);
        }
        self.lines.retain(|line| !line.items.is_empty());
    }

    /// Remove and return all items.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::mem::take(&mut self.lines)
            .into_iter()
            .flat_map(|line| line.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(limit: usize, items: &[&'static str]) -> Queue<&'static str> {
        let mut queue = Queue::new(limit);
        for item in items {
            assert_eq!(queue.push(&item[..1], *item), Pushed::Queued, "{item}");
        }
        queue
    }

    fn order(queue: &Queue<&'static str>) -> Vec<&'static str> {
        queue.in_order().copied().collect()
    }

    #[test]
    fn clients_take_turns_and_each_keeps_its_order() {
        let mut queue = filled(9, &["a1", "a2", "a3", "a4", "b1", "c1", "b2"]);
        let shown = order(&queue);
        assert_eq!(shown, ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]);
        let served: Vec<_> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(
            served, shown,
            "items are served in the order that was shown"
        );
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn who_was_served_last_comes_after_who_comes_now() {
        let mut queue = filled(9, &["a1", "a2", "a3"]);
        assert_eq!(queue.next(), Some("a1"));
        queue.push("b", "b1");
        queue.push("c", "c1");
        assert_eq!(order(&queue), ["b1", "c1", "a2", "a3"]);
        assert_eq!(queue.next(), Some("b1"));
        queue.push("b", "b2");
        assert_eq!(order(&queue), ["c1", "a2", "b2", "a3"]);
    }

    #[test]
    fn a_flood_makes_room_for_others() {
        let mut queue = filled(4, &["a1", "a2", "a3", "a4"]);
        assert_eq!(queue.push("a", "a5"), Pushed::Refused);
        assert_eq!(queue.push("b", "b1"), Pushed::Replaced("a4"));
        assert_eq!(queue.push("b", "b2"), Pushed::Replaced("a3"));
        assert_eq!(queue.push("b", "b3"), Pushed::Refused, "both have as much");
        assert_eq!(queue.push("c", "c1"), Pushed::Replaced("b2"));
        assert_eq!(order(&queue), ["a1", "b1", "c1", "a2"]);
        assert_eq!(queue.push("d", "d1"), Pushed::Replaced("a2"));
        assert_eq!(queue.push("e", "e1"), Pushed::Refused, "each has one");
        assert_eq!(queue.len(), queue.limit());
    }

    #[test]
    fn what_is_taken_out_leaves_no_empty_line() {
        let mut queue = filled(9, &["a1", "a2", "b1"]);
        queue.retain(|item| *item != "a1");
        assert_eq!(order(&queue), ["a2", "b1"]);
        queue.retain(|item| *item != "a2");
        assert_eq!(queue.next(), Some("b1"));
        assert_eq!(filled(9, &["a1", "b1"]).drain().count(), 2);
    }
}
