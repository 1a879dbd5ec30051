//! numpy's array files, version 1 to 3: little-endian floats and whole numbers of one or two dimensions that matter.

use std::path::Path;

use cooper_model::{Error, Result};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read; numpy's own are below 200 bytes.
const MAX_HEADER: usize = 64 * 1024;
/// The most numbers that are read.
const MAX_VALUES: usize = 1 << 28;

/// An array of two dimensions.
#[derive(Clone, Debug, PartialEq)]
pub struct NpyArray {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Row-major.
    pub values: Vec<f64>,
    /// Whether the file holds whole numbers.
    pub is_integer: bool,
}

/// How a file holds its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    F32,
    F64,
    U8,
    U16,
}

/// Read a file of `<f4`, `<f8`, `|u1` or `<u2` whose shape is (h, w), apart from ones.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::InvalidInput`] with what was expected and got.
pub fn read_npy(path: &Path) -> Result<NpyArray> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    parse(&bytes).map_err(|why| Error::invalid(path.display().to_string(), why))
}

fn parse(bytes: &[u8]) -> std::result::Result<NpyArray, String> {
    let (header, data) = split(bytes)?;
    let kind = kind(value_of(header, "descr")?)?;
    let is_fortran = match value_of(header, "fortran_order")? {
        "False" => false,
        "True" => true,
        other => {
            return Err(format!(
                "expected fortran_order True or False, got {other:?}"
            ));
        }
    };
    let (height, width) = shape(value_of(header, "shape")?)?;
    let expected = width as usize * height as usize * kind.n_bytes();
    if data.len() != expected {
        return Err(format!(
            "expected {expected} bytes for {height} x {width} numbers, got {}",
            data.len()
        ));
    }
    let values: Vec<f64> = data
        .chunks_exact(kind.n_bytes())
        .map(|number| kind.number(number))
        .collect();
    Ok(NpyArray {
        width,
        height,
        values: if is_fortran {
            transposed(&values, width as usize, height as usize)
        } else {
            values
        },
        is_integer: matches!(kind, Kind::U8 | Kind::U16),
    })
}

/// The header's text and the data behind it.
fn split(bytes: &[u8]) -> std::result::Result<(&str, &[u8]), String> {
    let rest = bytes
        .strip_prefix(MAGIC)
        .ok_or("expected numpy's array file (.npy), got another format")?;
    let cut = || "the file ends inside its header".to_owned();
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
    let (n, rest) = match version[0] {
        1 => {
            let (n, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (usize::from(u16::from_le_bytes(*n)), rest)
        }
        2 | 3 => {
            let (n, rest) = rest.split_first_chunk().ok_or_else(cut)?;
            (u32::from_le_bytes(*n) as usize, rest)
        }
        other => return Err(format!("expected version 1, 2 or 3, got {other}")),
    };
    if n > MAX_HEADER {
        return Err(format!(
            "expected a header of at most {MAX_HEADER} bytes, got {n}"
        ));
    }
    let (header, data) = rest.split_at_checked(n).ok_or_else(cut)?;
    let header =
        std::str::from_utf8(header).map_err(|_| "expected a header in UTF-8, got other bytes")?;
    Ok((header, data))
}

/// The text of a value of the header, a Python dictionary of three entries.
fn value_of<'h>(header: &'h str, key: &str) -> std::result::Result<&'h str, String> {
    let missing = || format!("the header has no `{key}`: {}", header.trim());
    let at = header.find(&format!("'{key}'")).ok_or_else(missing)?;
    let rest = &header[at + key.len() + 2..];
    let rest = rest.trim_start().strip_prefix(':').ok_or_else(missing)?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('(') {
        rest.find(')').map(|i| i + 1)
    } else {
        rest.find([',', '}'])
    };
    Ok(rest[..end.ok_or_else(missing)?].trim().trim_matches('\''))
}

fn kind(descr: &str) -> std::result::Result<Kind, String> {
    match descr {
        "<f4" => Ok(Kind::F32),
        "<f8" => Ok(Kind::F64),
        "|u1" | "<u1" => Ok(Kind::U8),
        "<u2" => Ok(Kind::U16),
        other => Err(format!("expected <f4, <f8, |u1 or <u2, got {other}")),
    }
}

/// Height and width of a shape such as `(480, 640)` or `(1, 480, 640)`.
fn shape(text: &str) -> std::result::Result<(u32, u32), String> {
    let refuse = || format!("expected a shape (height, width), got {text}");
    let inner = text.trim_matches(['(', ')']);
    let sides = inner.split(',').map(str::trim).filter(|s| !s.is_empty());
    let mut sides = sides
        .map(|side| side.parse::<u32>())
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|_| refuse())?;
    while sides.len() > 2 && sides.first() == Some(&1) {
        sides.remove(0);
    }
    while sides.len() > 2 && sides.last() == Some(&1) {
        sides.pop();
    }
    match sides[..] {
        [height, width]
            if height > 0
                && width > 0
                && (height as usize).saturating_mul(width as usize) <= MAX_VALUES =>
        {
            Ok((height, width))
        }
        _ => Err(refuse()),
    }
}

/// Columns first → rows first.
fn transposed(values: &[f64], width: usize, height: usize) -> Vec<f64> {
    (0..width * height)
        .map(|i| values[i % width * height + i / width])
        .collect()
}

impl Kind {
    fn n_bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// A number of exactly as many bytes.
    fn number(self, bytes: &[u8]) -> f64 {
        match (self, bytes) {
            (Self::U8, &[a]) => f64::from(a),
            (Self::U16, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
            (Self::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, fortran: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn all_kinds_are_read() {
        let numbers = [0.0, 1.0, 2.0, 3.0, 4.0, 250.0];
        let of = |descr: &str, data: Vec<u8>| {
            let array = parse(&file(descr, "False", "(2, 3)", &data)).unwrap();
            assert_eq!((array.width, array.height), (3, 2), "{descr}");
            assert_eq!(array.values, numbers, "{descr}");
            array.is_integer
        };
        let bytes = |f: &dyn Fn(f64) -> Vec<u8>| numbers.iter().flat_map(|&v| f(v)).collect();
        assert!(!of("<f4", bytes(&|v| (v as f32).to_le_bytes().to_vec())));
        assert!(!of("<f8", bytes(&|v| v.to_le_bytes().to_vec())));
        assert!(of("<u2", bytes(&|v| (v as u16).to_le_bytes().to_vec())));
        assert!(of("|u1", bytes(&|v| vec![v as u8])));
    }

    #[test]
    fn columns_first_and_sides_of_one_are_understood() {
        let array = parse(&file("|u1", "True", "(2, 3)", &[0, 3, 1, 4, 2, 5])).unwrap();
        assert_eq!(array.values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        for shape in ["(1, 2, 3)", "(2, 3, 1)"] {
            let array = parse(&file("|u1", "False", shape, &[0; 6])).unwrap();
            assert_eq!((array.width, array.height), (3, 2));
        }
    }

    #[test]
    fn bad_files_are_explained() {
        let good = file("|u1", "False", "(2, 3)", &[0; 6]);
        for (bytes, part) in [
            (b"PNG".to_vec(), "another format"),
            (good[..9].to_vec(), "ends inside its header"),
            (good[..20].to_vec(), "ends inside its header"),
            (good[..good.len() - 1].to_vec(), "expected 6 bytes"),
            (file(">f4", "False", "(2, 3)", &[]), "got >f4"),
            (file("|O", "False", "(2, 3)", &[]), "got |O"),
            (file("|u1", "Maybe", "(2, 3)", &[]), "fortran_order"),
            (file("|u1", "False", "(6,)", &[0; 6]), "(height, width)"),
            (file("|u1", "False", "(0, 3)", &[]), "(height, width)"),
            (
                file("<f8", "False", "(4000000000, 4000000000)", &[]),
                "(height, width)",
            ),
            (
                file("|u1", "False", "(2, 3, 4)", &[0; 24]),
                "(height, width)",
            ),
        ] {
            let why = parse(&bytes).unwrap_err();
            assert!(why.contains(part), "{part:?} is not in: {why}");
        }
    }
}
