//! Large numbers as people read them.

/// `1 234 567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(" ")
}

/// `29.2 GB`, `335.3 MB`, `12.0 kB`.
pub(crate) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        _ if bytes >= 1e9 => format!("{:.1} GB", bytes / 1e9),
        _ if bytes >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(14_607_260_128), "14 607 260 128");
        assert_eq!(grouped(7), "7");
        assert_eq!(size(29_214_520_256), "29.2 GB");
        assert_eq!(size(335_278_732), "335.3 MB");
        assert_eq!(size(1_500), "1.5 kB");
    }
}
