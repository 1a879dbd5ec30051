//! How well the edges of regions lie on each other.

/// The distance at which two edges still count as one, as a share of the image's diagonal.
const TOLERANCE: f64 = 0.0075;

/// The tolerance of an image in pixels, at least 1.
pub fn boundary_tolerance(width: u32, height: u32) -> f64 {
    (TOLERANCE * f64::from(width).hypot(f64::from(height))).max(1.0)
}

/// The harmonic mean of precision and recall of edge pixels within `tolerance` pixels (Euclidean).
///
/// An edge pixel has another label than its right or lower neighbour. Two images without edges agree: 1.
/// Source: the boundary measure of DAVIS (Perazzi et al. 2016), over all labels at once.
pub fn boundary_f(truth: &[u16], drawn: &[u16], width: u32, tolerance: f64) -> f64 {
    let (width, height) = (width as usize, truth.len() / (width as usize).max(1));
    let (truth, drawn) = (edges(truth, width), edges(drawn, width));
    let (n_truth, n_drawn) = (count(&truth), count(&drawn));
    if n_truth == 0 && n_drawn == 0 {
        return 1.0;
    }
    let offsets = disk(tolerance);
    let hits = |of: &[bool], near: &[bool]| {
        let near = widened(near, width, height, &offsets);
        let pairs = of.iter().zip(&near);
        pairs.filter(|(edge, near)| **edge && **near).count()
    };
    let precision = hits(&drawn, &truth) as f64 / n_drawn.max(1) as f64;
    let recall = hits(&truth, &drawn) as f64 / n_truth.max(1) as f64;
    if precision + recall > 0.0 {
        2.0 * precision * recall / (precision + recall)
    } else {
        0.0
    }
}

fn count(edges: &[bool]) -> usize {
    edges.iter().filter(|edge| **edge).count()
}

fn edges(labels: &[u16], width: usize) -> Vec<bool> {
    let differs = |i: usize| {
        let right = (i % width + 1 < width).then(|| i + 1);
        let below = Some(i + width).filter(|j| *j < labels.len());
        let mut neighbors = right.into_iter().chain(below);
        neighbors.any(|j| labels[j] != labels[i])
    };
    (0..labels.len()).map(differs).collect()
}

/// Steps (right, down) of at most `radius` pixels.
fn disk(radius: f64) -> Vec<(isize, isize)> {
    let reach = radius.floor() as isize;
    let steps = (-reach..=reach).flat_map(|y| (-reach..=reach).map(move |x| (x, y)));
    steps
        .filter(|&(x, y)| (x as f64).hypot(y as f64) <= radius)
        .collect()
}

/// Whatever lies within the steps of a mark.
fn widened(marks: &[bool], width: usize, height: usize, steps: &[(isize, isize)]) -> Vec<bool> {
    let mut wide = vec![false; marks.len()];
    for i in (0..marks.len()).filter(|&i| marks[i]) {
        for &(dx, dy) in steps {
            let x = (i % width).checked_add_signed(dx).filter(|x| *x < width);
            let y = (i / width).checked_add_signed(dy).filter(|y| *y < height);
            if let (Some(x), Some(y)) = (x, y) {
                wide[y * width + x] = true;
            }
        }
    }
    wide
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 x 20 with a square of 8 x 8 whose left top corner is at (x, 6).
    fn square(x: usize) -> Vec<u16> {
        let inside = |i: usize| (x..x + 8).contains(&(i % 20)) && (6..14).contains(&(i / 20));
        (0..400).map(|i| u16::from(inside(i))).collect()
    }

    #[test]
    fn the_tolerance_grows_with_the_image() {
        assert_eq!(boundary_tolerance(128, 96), 1.2);
        assert_eq!(boundary_tolerance(640, 480), 6.0);
        assert_eq!(boundary_tolerance(16, 12), 1.0);
    }

    #[test]
    fn a_square_has_edges_on_four_sides() {
        // Left and top outside the square, right and bottom inside: 8 + 8 + 8 + 8 - 1 shared corner.
        assert_eq!(count(&edges(&square(6), 20)), 31);
    }

    #[test]
    fn a_shift_within_the_tolerance_is_none() {
        let f = |x, tolerance| boundary_f(&square(6), &square(x), 20, tolerance);
        assert_eq!(f(6, 1.0), 1.0);
        assert_eq!(f(7, 1.0), 1.0);
        assert_eq!(f(9, 3.0), 1.0);
        // By 3 at 1 pixel, of 31: 6 of the upper edge, 7 of the lower one and 2 of the right one lie near the other
        // square's edges, and mirrored as many of the other square's: precision = recall = F.
        assert!((f(9, 1.0) - 15.0 / 31.0).abs() < 1e-12, "{}", f(9, 1.0));
    }

    #[test]
    fn edges_that_are_missing_or_alone_score_nothing() {
        let flat = vec![3; 400];
        assert_eq!(boundary_f(&flat, &flat, 20, 1.0), 1.0);
        assert_eq!(boundary_f(&flat, &square(6), 20, 1.0), 0.0);
        assert_eq!(boundary_f(&square(6), &flat, 20, 1.0), 0.0);
    }
}
