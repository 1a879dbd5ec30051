//! Which drawn region is which true object.

use std::collections::BTreeMap;

use cooper_model::perception::UNLABELED;

/// How many pixels labels share.
#[derive(Clone, Debug, Default)]
pub struct Overlap {
    of_pair: BTreeMap<(u16, u16), usize>,
    of_truth: BTreeMap<u16, usize>,
    of_region: BTreeMap<u16, usize>,
}

impl Overlap {
    /// Count over two label images of the same size: true ids, and regions with [`UNLABELED`] between them.
    pub fn new(truth: &[u16], regions: &[u16]) -> Self {
        let mut overlap = Self::default();
        for (&id, &region) in truth.iter().zip(regions) {
            *overlap.of_truth.entry(id).or_default() += 1;
            if region != UNLABELED {
                *overlap.of_region.entry(region).or_default() += 1;
                *overlap.of_pair.entry((id, region)).or_default() += 1;
            }
        }
        overlap
    }

    /// Shared pixels over pixels of either.
    fn iou(&self, pair: (u16, u16)) -> f64 {
        let of = |counts: &BTreeMap<u16, usize>, label| counts.get(&label).copied().unwrap_or(0);
        let shared = self.of_pair.get(&pair).copied().unwrap_or(0);
        let either = of(&self.of_truth, pair.0) + of(&self.of_region, pair.1) - shared;
        if either == 0 {
            0.0
        } else {
            shared as f64 / either as f64
        }
    }
}

/// The IoU of each true object (ids from `first_object`) with the region that it is matched with, by id; 0 without one.
///
/// Each region is matched with at most one object, best pairs first. A true region that is no object takes its
/// best region away too: a floor painted over a box is not the box.
pub fn object_ious(overlap: &Overlap, first_object: u16) -> Vec<f64> {
    let mut pairs: Vec<(f64, (u16, u16))> = overlap
        .of_pair
        .keys()
        .map(|&pair| (overlap.iou(pair), pair))
        .collect();
    // Stable: pairs of one IoU stay in the order of their ids.
    pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut of_truth = BTreeMap::<u16, f64>::new();
    let mut taken = std::collections::BTreeSet::new();
    for (iou, (id, region)) in pairs {
        if !of_truth.contains_key(&id) && taken.insert(region) {
            of_truth.insert(id, iou);
        }
    }
    let objects = overlap.of_truth.keys().filter(|&&id| id >= first_object);
    objects
        .map(|id| of_truth.get(id).copied().unwrap_or(0.0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: u16 = UNLABELED;

    #[track_caller]
    fn check(truth: &[u16], regions: &[u16], expected: &[f64]) {
        let ious = object_ious(&Overlap::new(truth, regions), 1);
        assert_eq!(ious.len(), expected.len(), "{ious:?}");
        for (iou, expected) in ious.iter().zip(expected) {
            assert!((iou - expected).abs() < 1e-12, "{ious:?}");
        }
    }

    #[test]
    fn labels_need_not_have_the_same_numbers() {
        check(&[0, 0, 1, 1, 2, 2], &[7, 7, 3, 3, 0, 0], &[1.0, 1.0]);
    }

    #[test]
    fn overlaps_by_hand() {
        // Object 1 has 3 pixels, region 5 has 3, they share 2: 2 / 4. Object 2 has no region at all.
        check(&[0, 1, 1, 1, 0, 2], &[9, 9, 5, 5, 5, NONE], &[0.5, 0.0]);
    }

    #[test]
    fn a_region_is_matched_once() {
        // Region 4 covers both objects: 3 of 5 pixels with the first, 2 of 5 with the second.
        check(&[1, 1, 1, 2, 2], &[4; 5], &[0.6, 0.0]);
        // The background has the better claim to it.
        check(&[0, 0, 0, 0, 1], &[4; 5], &[0.0]);
    }

    #[test]
    fn without_objects_there_are_no_figures() {
        check(&[0, 0], &[1, 1], &[]);
    }
}
