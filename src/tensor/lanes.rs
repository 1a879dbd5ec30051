//! Sums in sixteen lanes: a compiler may not reorder a plain sum of floats, so it runs one by one otherwise.

const LANES: usize = 16;

fn folded(xs: impl Iterator<Item = [f32; LANES]>, start: f32, f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [start; LANES];
    for chunk in xs {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = f(*lane, x);
        }
    }
    lanes.into_iter().fold(start, f)
}

fn chunk(xs: &[f32]) -> [f32; LANES] {
    let mut chunk = [0.0; LANES];
    chunk.copy_from_slice(xs);
    chunk
}

/// Σ x.
pub fn sum(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().sum();
    folded(chunks.map(chunk), 0.0, |a, x| a + x) + rest
}

/// Σ x·y of equally many.
pub fn dot(xs: &[f32], ys: &[f32]) -> f32 {
    let (x_chunks, y_chunks) = (xs.chunks_exact(LANES), ys.chunks_exact(LANES));
    let rest = x_chunks.remainder().iter().zip(y_chunks.remainder());
    let rest: f32 = rest.map(|(x, y)| x * y).sum();
    let products = x_chunks.zip(y_chunks).map(|(x, y)| {
        let (mut x, y) = (chunk(x), chunk(y));
        for (x, y) in x.iter_mut().zip(y) {
            *x *= y;
        }
        x
    });
    folded(products, 0.0, |a, x| a + x) + rest
}

/// Σ x·y·z of equally many.
pub fn dot3(xs: &[f32], ys: &[f32], zs: &[f32]) -> f32 {
    let n = xs.len().min(ys.len()).min(zs.len()) / LANES * LANES;
    let products = (0..n).step_by(LANES).map(|i| {
        let (mut x, y, z) = (
            chunk(&xs[i..i + LANES]),
            chunk(&ys[i..i + LANES]),
            chunk(&zs[i..i + LANES]),
        );
        for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
            *x *= y * z;
        }
        x
    });
    let rest: f32 = (n..xs.len()).map(|i| xs[i] * ys[i] * zs[i]).sum();
    folded(products, 0.0, |a, x| a + x) + rest
}

/// Σ (x − center)².
pub fn squares_around(xs: &[f32], center: f32) -> f32 {
    let square = |x: f32| (x - center) * (x - center);
    let chunks = xs.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|x| square(*x)).sum();
    folded(chunks.map(|xs| chunk(xs).map(square)), 0.0, |a, x| a + x) + rest
}

/// The greatest, −∞ of none.
pub fn max(xs: &[f32]) -> f32 {
    let chunks = xs.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied();
    let rest = rest.fold(f32::NEG_INFINITY, f32::max);
    folded(chunks.map(chunk), f32::NEG_INFINITY, f32::max).max(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_give_what_plain_sums_give() {
        for n in [0, 1, 15, 16, 17, 100] {
            let xs: Vec<f32> = (0..n).map(|i| (i * 7 % 13) as f32 - 6.0).collect();
            assert_eq!(sum(&xs), xs.iter().sum::<f32>());
            assert_eq!(dot(&xs, &xs), xs.iter().map(|x| x * x).sum::<f32>());
            assert_eq!(
                dot3(&xs, &xs, &xs),
                xs.iter().map(|x| x * x * x).sum::<f32>()
            );
            assert_eq!(
                max(&xs),
                xs.iter().copied().fold(f32::NEG_INFINITY, f32::max)
            );
        }
    }
}
