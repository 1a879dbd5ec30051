//! Takes the noise out of light and leaves the edges of things.

use std::ops::{Add, Mul};

use super::trace::Seen;

/// The mean of the values of 4 x 4 pixels, `stride` apart, that show the same surface and have a value.
pub(super) fn smooth<T>(values: &[Option<T>], seen: &Seen, stride: usize) -> Vec<Option<T>>
where
    T: Copy + Add<Output = T> + Mul<f32, Output = T>,
{
    let (width, height) = (seen.width, seen.height);
    let pixels = 0..values.len();
    let mean = |i: usize| {
        let (x, y) = (i % width, i / width);
        let (normal, depth, id) = (seen.normals[i], seen.depth[i], seen.ids[i]);
        let mut sum: Option<T> = None;
        let mut n = 0.0;
        for row in steps(y, height, stride) {
            for column in steps(x, width, stride) {
                let j = row * width + column;
                let Some(value) = values[j] else { continue };
                let same = seen.ids[j] == id
                    && (seen.depth[j] - depth).abs() < 0.04 * stride as f32 * depth
                    && seen.normals[j].dot(normal) > 0.9;
                if same {
                    sum = Some(sum.map_or(value, |sum| sum + value));
                    n += 1.0;
                }
            }
        }
        sum.map(|sum| sum * (1.0 / n))
    };
    pixels.map(mean).collect()
}

/// Two steps back to one step ahead, inside `0..end`.
fn steps(at: usize, end: usize, stride: usize) -> impl Iterator<Item = usize> {
    let back = (at / stride).min(2);
    (at - back * stride..end.min(at + stride + 1)).step_by(stride)
}
