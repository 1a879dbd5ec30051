//! How many samples came from each source, for the log.

use super::stage::Metrics;

/// How many samples came from each source, by the sources' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCounts(Vec<(String, usize)>);

impl SourceCounts {
    /// None of these sources yet.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| (name, 0)).collect())
    }

    /// One more of the source at this place.
    pub fn count(&mut self, place: usize) {
        self.0[place].1 += 1;
    }

    /// `share_NAME` of each source; nothing where there is only one.
    pub fn add_to(&self, metrics: &mut Metrics) {
        if self.0.len() < 2 {
            return;
        }
        let all: usize = self.0.iter().map(|(_, n)| n).sum();
        for (name, n) in &self.0 {
            metrics.insert(format!("share_{name}"), (*n as f64, all as f64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_all_sources_are_logged_and_those_of_one_are_not() {
        let mut counts = SourceCounts::new(["a", "b"].map(String::from));
        [1, 1, 0, 1]
            .into_iter()
            .for_each(|place| counts.count(place));
        let mut metrics = Metrics::new();
        counts.add_to(&mut metrics);
        assert_eq!(
            (metrics["share_a"], metrics["share_b"]),
            ((1.0, 4.0), (3.0, 4.0))
        );
        metrics.clear();
        SourceCounts::new(["a".to_owned()]).add_to(&mut metrics);
        assert!(metrics.is_empty());
    }
}
