//! Gaps of maps, filled from what is nearest: what is drawn has no gaps.

use std::collections::VecDeque;

use cooper_scenes::UNLABELLED;

use super::image::DenseImage;

/// Gaps between labels are filled up to this distance, as a share of the image's width: seams, but not whole things.
const SEAM_SHARE: f64 = 0.03;

impl DenseImage {
    /// The share of pixels whose depth is known.
    pub fn known_depth(&self) -> f64 {
        share(
            self.depth.iter().filter(|depth| **depth > 0.0).count(),
            self.depth.len(),
        )
    }

    /// The share of pixels whose class is known.
    pub fn known_labels(&self) -> f64 {
        share(
            self.labels
                .iter()
                .filter(|label| **label != UNLABELLED)
                .count(),
            self.labels.len(),
        )
    }

    /// Give each pixel without depth that of the nearest pixel that has one, and pixels of narrow gaps between labels the
    /// nearest label.
    pub fn fill(&mut self) {
        let width = self.rgb.width() as usize;
        fill(&mut self.depth, width, usize::MAX, |depth| *depth > 0.0);
        let seam = (SEAM_SHARE * width as f64).ceil() as usize;
        fill(&mut self.labels, width, seam, |label| *label != UNLABELLED);
    }
}

fn share(n: usize, of: usize) -> f64 {
    n as f64 / of.max(1) as f64
}

/// Spread known values to their unknown neighbours, at most so many pixels far.
fn fill<T: Copy>(values: &mut [T], width: usize, most: usize, is_known: impl Fn(&T) -> bool) {
    let mut known: Vec<bool> = values.iter().map(&is_known).collect();
    let mut queue: VecDeque<(usize, usize)> = (0..values.len())
        .filter(|i| known[*i])
        .map(|i| (i, 0))
        .collect();
    while let Some((i, distance)) = queue.pop_front() {
        if distance == most {
            continue;
        }
        let (x, y) = (i % width, i / width);
        let neighbours = [
            (x > 0).then(|| i - 1),
            (x + 1 < width).then(|| i + 1),
            (y > 0).then(|| i - width),
            (i + width < values.len()).then(|| i + width),
        ];
        for neighbour in neighbours.into_iter().flatten() {
            if !known[neighbour] {
                known[neighbour] = true;
                values[neighbour] = values[i];
                queue.push_back((neighbour, distance + 1));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_value_spreads_up_to_a_distance() {
        let known = |value: &i32| *value > 0;
        let mut row = [0, 5, 0, 0, 0, 0, 7, 0];
        fill(&mut row, 8, usize::MAX, known);
        assert_eq!(row, [5, 5, 5, 5, 7, 7, 7, 7]);
        let mut row = [5, 0, 0, 0, 0, 0, 0, 7];
        fill(&mut row, 8, 2, known);
        assert_eq!(row, [5, 5, 5, 0, 0, 7, 7, 7]);
        let mut square = [0, 0, 0, 4];
        fill(&mut square, 2, usize::MAX, known);
        assert_eq!(square, [4; 4]);
        let mut nothing = [0; 4];
        fill(&mut nothing, 2, usize::MAX, known);
        assert_eq!(nothing, [0; 4]);
    }
}
