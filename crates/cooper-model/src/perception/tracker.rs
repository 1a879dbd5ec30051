//! Ids that stay with their regions from one segmentation of a camera to the next.
//!
//! The model paints every image independently, so colours say nothing about identity; overlap does while the camera moves
//! slowly.

use std::collections::BTreeMap;

use super::segmentation::{Segmentation, UNLABELED};

/// A region is one of the segmentation before if their intersection over union is at least this.
const MIN_IOU: f64 = 0.3;
/// Segmentations after which the id of a region that is gone may be given to another.
const HOLD: u64 = 30;

/// The regions of one camera's last frame, with the names that the model gave them.
#[derive(Clone, Debug, Default)]
pub struct RegionTracker {
    width: u32,
    labels: Vec<u16>,
    /// When an id was last in a segmentation.
    last_seen: BTreeMap<u16, u64>,
    /// What the model called it.
    names: BTreeMap<u16, String>,
    now: u64,
}

impl RegionTracker {
    /// The same segmentation with ids of the one before where regions overlap, best overlap first, and new ids for the
    /// others. After a change of size all ids are new.
    pub fn track(&mut self, mut segmentation: Segmentation) -> Segmentation {
        self.now += 1;
        let now = self.now;
        self.last_seen.retain(|_, seen| now - *seen <= HOLD);
        let last_seen = &self.last_seen;
        self.names.retain(|id, _| last_seen.contains_key(id));
        let ids = self.ids(&segmentation);
        for label in &mut segmentation.labels {
            *label = ids.get(usize::from(*label)).copied().unwrap_or(UNLABELED);
        }
        for (region, id) in segmentation.regions.iter_mut().zip(&ids) {
            region.id = *id;
            if region.class.is_none() {
                region.name = self.names.get(id).cloned();
            }
        }
        // One that got no id is in no label either.
        segmentation.regions.retain(|region| region.id != UNLABELED);
        segmentation.regions.sort_by_key(|region| region.id);
        for region in &segmentation.regions {
            self.last_seen.insert(region.id, now);
        }
        self.labels.clone_from(&segmentation.labels);
        self.width = segmentation.color.width();
        segmentation
    }

    /// Keep the names of a segmentation that it has given ids: the regions have them from now on.
    pub fn keep_names(&mut self, segmentation: &Segmentation) {
        for region in &segmentation.regions {
            // It may have been overtaken by others since.
            if let (Some(name), true) = (&region.name, self.last_seen.contains_key(&region.id)) {
                self.names.insert(region.id, name.clone());
            }
        }
    }

    /// The id of each region.
    fn ids(&self, segmentation: &Segmentation) -> Vec<u16> {
        let mut ids = vec![UNLABELED; segmentation.regions.len()];
        let mut taken = Vec::new();
        for (_, region, old) in self.overlaps(segmentation) {
            let is_free = ids[region] == UNLABELED && !taken.contains(&old);
            if is_free {
                ids[region] = old;
                taken.push(old);
            }
        }
        let mut unused =
            (0..UNLABELED).filter(|id| !self.last_seen.contains_key(id) && !taken.contains(id));
        for id in ids.iter_mut().filter(|id| **id == UNLABELED) {
            *id = unused.next().unwrap_or(UNLABELED);
        }
        ids
    }

    /// (overlap, region, id before) of all that overlap enough, the best first.
    fn overlaps(&self, segmentation: &Segmentation) -> Vec<(f64, usize, u16)> {
        let same_size = self.width == segmentation.color.width()
            && self.labels.len() == segmentation.labels.len();
        if !same_size {
            return Vec::new();
        }
        let mut common: BTreeMap<(u16, u16), u32> = BTreeMap::new();
        let mut before: BTreeMap<u16, u32> = BTreeMap::new();
        for (new, old) in segmentation.labels.iter().zip(&self.labels) {
            *before.entry(*old).or_default() += 1;
            if *new != UNLABELED && *old != UNLABELED {
                *common.entry((*new, *old)).or_default() += 1;
            }
        }
        let mut overlaps: Vec<(f64, usize, u16)> = common
            .into_iter()
            .map(|((new, old), n)| {
                let region = usize::from(new);
                let union = segmentation.regions[region].n_pixels + before[&old] - n;
                (f64::from(n) / f64::from(union), region, old)
            })
            .filter(|(iou, ..)| *iou >= MIN_IOU)
            .collect();
        overlaps.sort_by(|a, b| b.0.total_cmp(&a.0));
        overlaps
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    /// Left, top, width, height, and the colour.
    type Painted = ((u32, u32, u32, u32), [u8; 3]);

    /// Rectangles on grey.
    fn painted(rectangles: &[Painted]) -> Segmentation {
        let mut image = RgbImage::from_pixel(60, 40, Rgb([90; 3]));
        for ((left, top, width, height), color) in rectangles {
            for (x, y) in
                (*left..left + width).flat_map(|x| (*top..top + height).map(move |y| (x, y)))
            {
                image.put_pixel(x, y, Rgb(*color));
            }
        }
        Segmentation::from_colors(image)
    }

    fn id_at(segmentation: &Segmentation, x: usize, y: usize) -> u16 {
        segmentation.labels[y * 60 + x]
    }

    const RED: [u8; 3] = [250, 0, 0];
    const BLUE: [u8; 3] = [0, 0, 250];

    #[test]
    fn regions_keep_their_ids_while_they_overlap() {
        let mut tracker = RegionTracker::default();
        let first = tracker.track(painted(&[((5, 5, 20, 10), RED), ((40, 20, 10, 10), BLUE)]));
        assert_eq!((id_at(&first, 10, 10), id_at(&first, 45, 25)), (1, 2));
        // Both moved a little, changed colours, and the blue one is the larger now.
        let second = tracker.track(painted(&[((7, 6, 20, 10), BLUE), ((34, 17, 18, 18), RED)]));
        assert_eq!((id_at(&second, 10, 10), id_at(&second, 45, 25)), (1, 2));
        let ids: Vec<u16> = second.regions.iter().map(|region| region.id).collect();
        assert_eq!(ids, [0, 1, 2]);
        let size = |id| second.regions.iter().find(|r| r.id == id).unwrap().n_pixels;
        assert_eq!((size(1), size(2)), (200, 324));
    }

    #[test]
    fn a_new_region_does_not_get_the_id_of_one_that_just_left() {
        let mut tracker = RegionTracker::default();
        tracker.track(painted(&[((5, 5, 20, 10), RED)]));
        let gone = tracker.track(painted(&[]));
        assert_eq!(gone.regions.len(), 1);
        let other = tracker.track(painted(&[((40, 20, 10, 10), RED)]));
        assert_eq!(id_at(&other, 45, 25), 2);
        for _ in 0..=HOLD {
            tracker.track(painted(&[]));
        }
        let later = tracker.track(painted(&[((40, 5, 10, 10), RED)]));
        assert_eq!(id_at(&later, 45, 10), 1);
    }

    #[test]
    fn names_stay_with_their_ids_and_go_with_them() {
        let mut tracker = RegionTracker::default();
        let mut first = tracker.track(painted(&[((5, 5, 20, 10), RED)]));
        first.regions[1].name = Some("red box".into());
        tracker.keep_names(&first);
        let second = tracker.track(painted(&[((6, 5, 20, 10), BLUE)]));
        let names: Vec<_> = second.regions.iter().map(|r| r.name.as_deref()).collect();
        assert_eq!(names, [None, Some("red box")]);
        for _ in 0..=HOLD {
            tracker.track(painted(&[]));
        }
        let later = tracker.track(painted(&[((40, 5, 10, 10), RED)]));
        assert_eq!((later.regions[1].id, &later.regions[1].name), (1, &None));
    }

    #[test]
    fn another_size_begins_anew() {
        let mut tracker = RegionTracker::default();
        tracker.track(painted(&[((5, 5, 20, 10), RED)]));
        let small = RgbImage::from_pixel(30, 80, Rgb([9; 3]));
        let other = tracker.track(Segmentation::from_colors(small));
        assert_eq!(other.regions[0].id, 2);
        assert!(other.labels.iter().all(|label| *label == 2));
    }
}
