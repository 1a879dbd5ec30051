//! A reference depth image, dense or sparse, and the points that it shares with a generated map.
//!
//! It must be registered to the camera: the same view, at whatever resolution.

use cooper_imaging::{Error, Result};

/// How far the shapes (width over height) of two images of the same view may differ, as a share.
const SAME_SHAPE: f64 = 0.02;

/// The fields of a `sensor_msgs/Image` with depth.
#[derive(Clone, Copy, Debug)]
pub struct DepthBytes<'a> {
    /// `16UC1` (millimetres, 0 for none) or `32FC1` (metres).
    pub encoding: &'a str,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes from one row to the next; the rest is padding.
    pub step: u32,
    /// Whether the high byte comes first.
    pub is_bigendian: bool,
    /// Row after row.
    pub data: &'a [u8],
}

/// Depth in metres; NaN where there is none.
#[derive(Clone, Debug)]
pub struct ReferenceDepth {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major; either above 0 or NaN.
    pub metres: Vec<f32>,
    /// Pixels that have a depth.
    pub n_valid: usize,
}

#[derive(Clone, Copy, Debug)]
enum ByteOrder {
    LittleEndian,
    BigEndian,
}

#[derive(Clone, Copy, Debug)]
enum Encoding {
    Millimetres,
    Metres,
}

impl ReferenceDepth {
    /// Read an image's bytes. REP 117 has three values for no depth (NaN invalid, -inf too near, +inf too far); all become NaN,
    /// since none of them is a point to fit.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the encoding is another or there are fewer bytes than the size says.
    pub fn read(image: &DepthBytes<'_>) -> Result<Self> {
        let encoding = Encoding::from_name(image.encoding)?;
        let (width, height) = (image.width as usize, image.height as usize);
        let row_bytes = width.checked_mul(encoding.n_bytes());
        let step = image.step as usize;
        // The last row may come without its padding.
        let n_bytes =
            row_bytes.and_then(|row| step.checked_mul(height.saturating_sub(1))?.checked_add(row));
        let (Some(row_bytes), Some(n_bytes)) = (row_bytes, n_bytes) else {
            return refused(format!("the size {width} x {height} is too large"));
        };
        if width == 0 || height == 0 {
            return refused(format!("expected a size, got {width} x {height}"));
        }
        if step < row_bytes {
            return refused(format!(
                "expected a step of at least {row_bytes} bytes, got {step}"
            ));
        }
        if image.data.len() < n_bytes {
            let found = image.data.len();
            return refused(format!("expected at least {n_bytes} bytes, got {found}"));
        }
        let order = match image.is_bigendian {
            true => ByteOrder::BigEndian,
            false => ByteOrder::LittleEndian,
        };
        let rows = image.data.chunks(step).take(height);
        let pixels = rows.flat_map(|row| row[..row_bytes].chunks_exact(encoding.n_bytes()));
        let metres: Vec<f32> = pixels.map(|bytes| encoding.metres(bytes, order)).collect();
        Ok(Self {
            width: image.width,
            height: image.height,
            n_valid: metres.iter().filter(|m| !m.is_nan()).count(),
            metres,
        })
    }

    /// Relative depth and metres of each pixel that has metres, in row-major order.
    ///
    /// The map of `width` x `height` is looked up at the reference's pixel centres, nearest; the other way round,
    /// a map smaller than a sparse reference would miss most of its points.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the shapes differ, so that the reference cannot show the same view.
    pub fn pairs_with(
        &self,
        relative: &[f32],
        width: u32,
        height: u32,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let shape = |width: u32, height: u32| f64::from(width) / f64::from(height);
        let ratio = shape(width, height) / shape(self.width, self.height);
        let is_whole = relative.len() as u64 == u64::from(width) * u64::from(height);
        if !is_whole || !ratio.is_finite() || (ratio - 1.0).abs() > SAME_SHAPE {
            return refused(format!(
                "expected one registered to the camera's image of {width} x {height}, got {} x {}",
                self.width, self.height
            ));
        }
        let columns: Vec<usize> = (0..self.width)
            .map(|c| nearest(c, self.width, width))
            .collect();
        let mut relatives = Vec::with_capacity(self.n_valid);
        let mut metres = Vec::with_capacity(self.n_valid);
        let rows = self.metres.chunks(self.width as usize);
        for (row, values) in (0..self.height).zip(rows) {
            let start = nearest(row, self.height, height) * width as usize;
            for (column, value) in columns.iter().zip(values) {
                if !value.is_nan() {
                    relatives.push(relative[start + column]);
                    metres.push(*value);
                }
            }
        }
        Ok((relatives, metres))
    }
}

/// The pixel of `n_to` in which the centre of pixel `at` of `n_from` lies.
fn nearest(at: u32, n_from: u32, n_to: u32) -> usize {
    // (at + 1/2) * n_to / n_from in whole numbers.
    ((2 * u64::from(at) + 1) * u64::from(n_to) / (2 * u64::from(n_from))) as usize
}

impl Encoding {
    fn from_name(name: &str) -> Result<Self> {
        match name {
            "16UC1" => Ok(Self::Millimetres),
            "32FC1" => Ok(Self::Metres),
            _ => refused(format!(
                "unsupported encoding `{name}`; expected 16UC1 or 32FC1"
            )),
        }
    }

    fn n_bytes(self) -> usize {
        match self {
            Self::Millimetres => 2,
            Self::Metres => 4,
        }
    }

    /// NaN unless above 0 and finite.
    fn metres(self, bytes: &[u8], order: ByteOrder) -> f32 {
        let metres = match (self, order, bytes) {
            (Self::Millimetres, ByteOrder::LittleEndian, &[a, b]) => {
                f32::from(u16::from_le_bytes([a, b])) / 1000.0
            }
            (Self::Millimetres, ByteOrder::BigEndian, &[a, b]) => {
                f32::from(u16::from_be_bytes([a, b])) / 1000.0
            }
            (Self::Metres, ByteOrder::LittleEndian, &[a, b, c, d]) => {
                f32::from_le_bytes([a, b, c, d])
            }
            (Self::Metres, ByteOrder::BigEndian, &[a, b, c, d]) => f32::from_be_bytes([a, b, c, d]),
            _ => f32::NAN,
        };
        if metres.is_finite() && metres > 0.0 {
            metres
        } else {
            f32::NAN
        }
    }
}

fn refused<T>(why: String) -> Result<T> {
    Err(Error::invalid("reference depth", why))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    fn image<'a>(encoding: &'a str, size: (u32, u32), step: u32, data: &'a [u8]) -> DepthBytes<'a> {
        DepthBytes {
            encoding,
            width: size.0,
            height: size.1,
            step,
            is_bigendian: false,
            data,
        }
    }

    #[test]
    fn millimetres_and_metres_in_both_byte_orders_with_padding() {
        // 1.5 m, none; 65.535 m, 0.256 m. Two bytes of padding; the last row has none.
        let data = [220, 5, 0, 0, 9, 9, 255, 255, 0, 1];
        let depth = ReferenceDepth::read(&image("16UC1", (2, 2), 6, &data)).unwrap();
        assert_eq!(depth.n_valid, 3);
        assert_eq!(
            (depth.metres[0], depth.metres[2], depth.metres[3]),
            (1.5, 65.535, 0.256)
        );
        assert!(depth.metres[1].is_nan());
        let mut big = image("16UC1", (2, 2), 6, &data);
        big.is_bigendian = true;
        let metres = ReferenceDepth::read(&big).unwrap().metres;
        assert_eq!((metres[0], metres[3]), (56.325, 0.001));

        let values = [
            2.5f32,
            -1.0,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
            0.0,
        ];
        for is_bigendian in [false, true] {
            let bytes = |v: &f32| {
                if is_bigendian {
                    v.to_be_bytes()
                } else {
                    v.to_le_bytes()
                }
            };
            let data: Vec<u8> = values.iter().flat_map(bytes).collect();
            let mut depth = image("32FC1", (3, 2), 12, &data);
            depth.is_bigendian = is_bigendian;
            let depth = ReferenceDepth::read(&depth).unwrap();
            assert_eq!((depth.n_valid, depth.metres[0]), (1, 2.5));
            assert!(depth.metres[1..].iter().all(|m| m.is_nan()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let check = |image: DepthBytes<'_>, expected: &str| {
            let words = ReferenceDepth::read(&image).unwrap_err().to_string();
            assert!(words.contains(expected), "{words}");
        };
        check(image("mono16", (1, 1), 2, &[0; 2]), "`mono16`");
        check(
            image("16UC1", (3, 1), 5, &[0; 9]),
            "step of at least 6 bytes, got 5",
        );
        check(
            image("32FC1", (2, 2), 8, &[0; 15]),
            "at least 16 bytes, got 15",
        );
        check(image("32FC1", (0, 2), 8, &[]), "0 x 2");
        check(
            image("32FC1", (u32::MAX, u32::MAX), u32::MAX, &[0; 4]),
            "too large",
        );
    }

    #[test]
    fn each_point_finds_the_map_below_it_at_any_size() {
        // A map whose values are column + row / 10 at 4 x 2.
        let map: Vec<f32> = (0..8)
            .map(|i| (i % 4) as f32 + (i / 4) as f32 / 10.0)
            .collect();
        let reference = |width: u32, height: u32, valid: &[usize]| {
            let mut metres = vec![f32::NAN; (width * height) as usize];
            for at in valid {
                metres[*at] = *at as f32 + 1.0;
            }
            ReferenceDepth {
                width,
                height,
                n_valid: valid.len(),
                metres,
            }
        };
        let pairs = |depth: &ReferenceDepth| depth.pairs_with(&map, 4, 2).unwrap();
        assert_eq!(
            pairs(&reference(4, 2, &[1, 6])),
            (vec![1.0, 2.1], vec![2.0, 7.0])
        );
        // Twice the size: each map pixel holds two by two of the reference, and no point is lost.
        let (relative, metres) = pairs(&reference(8, 4, &[2, 3, 31]));
        assert_eq!((relative, metres.len()), (vec![1.0, 1.0, 3.1], 3));
        // Half the size: the centre of its only pixels lies between map pixels and belongs to the next one.
        assert_eq!(pairs(&reference(2, 1, &[0, 1])).0, [1.1, 3.1]);
        assert!(reference(4, 4, &[0]).pairs_with(&map, 4, 2).is_err());
        assert!(reference(4, 2, &[0]).pairs_with(&map[1..], 4, 2).is_err());
        assert!(reference(4, 2, &[0]).pairs_with(&[], 0, 0).is_err());
    }

    #[test]
    fn no_bytes_and_no_sizes_panic() {
        let mut rng = StdRng::seed_from_u64(2);
        let data: Vec<u8> = (0..4000).map(|_| rng.random()).collect();
        for _ in 0..2000 {
            let mut side = || match rng.random_range(0..8) {
                0 => 0,
                1 => u32::MAX,
                _ => rng.random_range(0..40),
            };
            let (width, height, step) = (side(), side(), side().saturating_mul(5));
            let encoding = ["16UC1", "32FC1", ""][rng.random_range(0..3)];
            let data = &data[..rng.random_range(0..data.len())];
            let mut bytes = image(encoding, (width, height), step, data);
            bytes.is_bigendian = rng.random();
            if let Ok(depth) = ReferenceDepth::read(&bytes) {
                let (relative, metres) = depth.pairs_with(&[0.5; 12], 4, 3).unwrap_or_default();
                assert!(relative.len() == metres.len() && metres.iter().all(|m| *m > 0.0));
            }
        }
    }
}
