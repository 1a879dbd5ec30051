//! A map's share of a time budget.

use std::time::Duration;

use crate::engine::{Part, Speed};

/// Tokens that are set aside for a text where none was longer.
const SHORTEST_TEXT: usize = 64;

/// What a conversation may still do, from a map on that it is about to draw.
#[derive(Clone, Copy, Debug)]
pub(super) struct BudgetPlan {
    /// Maps, this one included; from 1.
    pub(super) maps: usize,
    /// Texts.
    pub(super) texts: usize,
}

impl BudgetPlan {
    /// The time for drawing this map where so much is `left`: what looking at all maps (in so many contexts) and writing
    /// all texts do not need, in equal shares.
    pub(super) fn share(self, left: Duration, speed: &Speed, n_contexts: usize) -> Duration {
        let look = n_contexts as f64 * speed.seconds(Part::Prefill).unwrap_or(0.0);
        let n_tokens = speed.longest_text().unwrap_or(0).max(SHORTEST_TEXT);
        let text = n_tokens as f64 * speed.seconds_per_unit(Part::Token).unwrap_or(0.0);
        let (maps, texts) = (self.maps.max(1) as f64, self.texts as f64);
        let share = (left.as_secs_f64() - texts * text) / maps - look;
        Duration::try_from_secs_f64(share).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_shared_by_the_maps_ahead() {
        let mut speed = Speed::default();
        let ahead = BudgetPlan { maps: 2, texts: 1 };
        let share = |left: u64, speed: &Speed| {
            let share = ahead.share(Duration::from_secs(left), speed, 2);
            (share.as_secs_f64() * 1e3).round() as u64
        };
        assert_eq!(share(10, &speed), 5000, "nothing was measured");
        speed.note(Part::Token, 0.0625, 1);
        speed.note(Part::Prefill, 0.5, 100);
        assert_eq!(
            share(10, &speed),
            2000,
            "4 s for a text, 1 s to look at each map"
        );
        speed.note_text(96);
        assert_eq!(share(10, &speed), 1000);
        assert_eq!(share(1, &speed), 0);
    }
}
