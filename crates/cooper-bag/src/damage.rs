//! What could not be read of an input: never an error, always told.

/// So many are told one by one.
const MAX_TOLD: usize = 10;

/// What was lost, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    told: Vec<String>,
    n_more: usize,
}

impl Damage {
    /// Note one loss: where, what was expected, what was found.
    pub fn add(&mut self, loss: String) {
        if self.told.len() < MAX_TOLD {
            self.told.push(loss);
        } else {
            self.n_more += 1;
        }
    }

    /// Note all losses of another part.
    pub fn extend(&mut self, other: &Self) {
        other.told.iter().for_each(|loss| self.add(loss.clone()));
        self.n_more += other.n_more;
    }

    /// The losses as lines, the last of which counts those that are not told.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = self.told.clone();
        if self.n_more > 0 {
            lines.push(format!("and {} more losses", self.n_more));
        }
        lines
    }
}
