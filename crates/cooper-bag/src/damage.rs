//! What could not be read of an input. It is no error: the user gets a list.

/// Losses that are listed one by one; the others are counted.
const MAX_LISTED: usize = 10;

/// What was lost, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    listed: Vec<String>,
    n_more: usize,
}

impl Damage {
    /// Note one loss: where, what was expected, what was found.
    pub fn add(&mut self, loss: String) {
        if self.listed.len() < MAX_LISTED {
            self.listed.push(loss);
        } else {
            self.n_more += 1;
        }
    }

    /// Note all losses of another part.
    pub fn extend(&mut self, other: &Self) {
        other.listed.iter().for_each(|loss| self.add(loss.clone()));
        self.n_more += other.n_more;
    }

    /// The losses as lines, the last of which counts those that are not listed.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.listed.clone();
        if self.n_more > 0 {
            lines.push(format!("and {} more losses", self.n_more));
        }
        lines
    }
}
