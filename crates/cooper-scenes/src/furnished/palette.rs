//! The classes of labels: 23, merged from the 40 of NYU Depth v2, with the colours of segmentation images.

use serde::Serialize;

/// One class of the palette.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PaletteClass {
    /// The value in label images.
    pub id: u8,
    /// What it is called.
    pub name: &'static str,
    /// Its colour in segmentation images; two classes differ by at least 100 (Euclidean, 8-bit RGB).
    #[serde(rename = "colour")]
    pub color: [u8; 3],
}

/// The label of things without a class; black in segmentation images.
pub const UNLABELLED: u8 = 255;

/// All classes; the id is the index.
pub const PALETTE: [PaletteClass; 23] = [
    class(0, "floor", [60, 60, 60]),
    class(1, "wall", [128, 128, 128]),
    class(2, "ceiling", [200, 200, 200]),
    class(3, "door", [0, 255, 255]),
    class(4, "window", [255, 0, 255]),
    class(5, "table", [255, 255, 0]),
    class(6, "chair", [0, 0, 255]),
    class(7, "sofa", [0, 255, 0]),
    class(8, "bed", [255, 0, 0]),
    class(9, "cabinet", [0, 128, 204]),
    class(10, "picture", [51, 255, 128]),
    class(11, "lamp", [128, 0, 204]),
    class(12, "person", [128, 204, 0]),
    class(13, "box", [255, 51, 128]),
    class(14, "books", [255, 128, 0]),
    class(15, "television", [102, 102, 255]),
    class(16, "bathroom fixture", [204, 255, 102]),
    class(17, "refrigerator", [0, 153, 51]),
    class(18, "curtain", [153, 0, 51]),
    class(19, "soft thing", [0, 0, 128]),
    class(20, "mirror", [128, 255, 255]),
    class(21, "other structure", [255, 128, 255]),
    class(22, "other furniture", [153, 102, 0]),
];

const fn class(id: u8, name: &'static str, color: [u8; 3]) -> PaletteClass {
    PaletteClass { id, name, color }
}

/// The colour of a label in segmentation images.
pub fn label_color(label: u8) -> [u8; 3] {
    PALETTE
        .get(usize::from(label))
        .map_or([0; 3], |class| class.color)
}

/// The class with this name.
pub(super) fn class_named(name: &str) -> Option<u8> {
    PALETTE
        .iter()
        .find(|class| class.name == name)
        .map(|c| c.id)
}

/// Ids by name, for tables.
pub(super) mod ids {
    #![allow(dead_code)] // The list is complete, whatever the tables use.
    pub(in super::super) const FLOOR: u8 = 0;
    pub(in super::super) const WALL: u8 = 1;
    pub(in super::super) const CEILING: u8 = 2;
    pub(in super::super) const DOOR: u8 = 3;
    pub(in super::super) const WINDOW: u8 = 4;
    pub(in super::super) const TABLE: u8 = 5;
    pub(in super::super) const CHAIR: u8 = 6;
    pub(in super::super) const SOFA: u8 = 7;
    pub(in super::super) const BED: u8 = 8;
    pub(in super::super) const CABINET: u8 = 9;
    pub(in super::super) const PICTURE: u8 = 10;
    pub(in super::super) const LAMP: u8 = 11;
    pub(in super::super) const PERSON: u8 = 12;
    pub(in super::super) const BOX: u8 = 13;
    pub(in super::super) const BOOKS: u8 = 14;
    pub(in super::super) const TELEVISION: u8 = 15;
    pub(in super::super) const BATHROOM_FIXTURE: u8 = 16;
    pub(in super::super) const REFRIGERATOR: u8 = 17;
    pub(in super::super) const CURTAIN: u8 = 18;
    pub(in super::super) const SOFT_THING: u8 = 19;
    pub(in super::super) const MIRROR: u8 = 20;
    pub(in super::super) const OTHER_STRUCTURE: u8 = 21;
    pub(in super::super) const OTHER_FURNITURE: u8 = 22;
    pub(in super::super) const NONE: u8 = super::UNLABELLED;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_indices_and_colours_are_far_apart() {
        for (i, class) in PALETTE.iter().enumerate() {
            assert_eq!(usize::from(class.id), i);
            for other in &PALETTE[..i] {
                let squares = class.color.iter().zip(other.color);
                let distance: f64 = squares
                    .map(|(&a, b)| (f64::from(a) - f64::from(b)).powi(2))
                    .sum();
                assert!(distance.sqrt() > 100.0, "{class:?} {other:?}");
            }
        }
        assert_eq!(class_named("soft thing"), Some(ids::SOFT_THING));
        assert_eq!(label_color(UNLABELLED), [0; 3]);
    }
}
