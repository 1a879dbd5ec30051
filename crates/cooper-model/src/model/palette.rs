//! The classes that a model draws in its segmentations, each in its colour: `palette.json` of a model directory.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The classes that a model draws in its segmentations.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Contents")]
pub struct Palette {
    classes: Vec<PaletteClass>,
}

/// One class of a palette.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct PaletteClass {
    /// Its number in label images of training and evaluation, below 255.
    pub id: u8,
    /// What it is called.
    pub name: String,
    /// The red, green and blue that it is drawn in.
    #[serde(rename = "colour", alias = "color")]
    pub color: [u8; 3],
    /// The name of a more general class, which need not be in the palette.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

#[derive(Deserialize)]
struct Contents {
    classes: Vec<PaletteClass>,
}

impl TryFrom<Contents> for Palette {
    type Error = String;

    fn try_from(contents: Contents) -> Result<Self, String> {
        Self::new(contents.classes)
    }
}

impl Palette {
    /// A palette of these classes.
    ///
    /// # Errors
    /// What is wrong with them: two classes with one id, name or colour, or none at all.
    pub(crate) fn new(mut classes: Vec<PaletteClass>) -> Result<Self, String> {
        if classes.is_empty() {
            return Err("expected at least one class, got none".into());
        }
        let (mut ids, mut names, mut colors) = (HashSet::new(), HashSet::new(), HashSet::new());
        for class in &classes {
            let name = &class.name;
            if class.id == u8::MAX {
                return Err(format!("class `{name}`: expected an id below 255, got 255"));
            }
            let is_new = ids.insert(class.id) && names.insert(name) && colors.insert(class.color);
            if !is_new {
                return Err(format!(
                    "class `{name}`: expected an id, a name and a colour of its own, got those of another: {class:?}"
                ));
            }
        }
        classes.sort_by_key(|class| class.id);
        Ok(Self { classes })
    }

    /// All classes, by their ids.
    pub fn classes(&self) -> &[PaletteClass] {
        &self.classes
    }

    /// The class with this id.
    pub fn class(&self, id: u8) -> Option<&PaletteClass> {
        let place = self.classes.binary_search_by_key(&id, |class| class.id);
        place.ok().map(|i| &self.classes[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Palette, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn classes_are_read_in_the_order_of_their_ids() {
        let text = r#"{"unlabelled": 255, "classes": [
            {"id": 3, "name": "chair", "colour": [0, 0, 255], "parent": "furniture"},
            {"id": 0, "name": "floor", "color": [60, 60, 60]}]}"#;
        let palette = load(text).unwrap();
        assert_eq!(palette.classes()[0].name, "floor");
        assert_eq!(
            palette.class(3).unwrap().parent.as_deref(),
            Some("furniture")
        );
        assert_eq!(palette.class(1), None);
    }

    #[test]
    fn what_is_no_palette_is_named() {
        let class = |id: u32, name: &str, color: &str| {
            format!(r#"{{"id": {id}, "name": "{name}", "colour": {color}}}"#)
        };
        let two = |a: String, b: String| format!(r#"{{"classes": [{a}, {b}]}}"#);
        let floor = || class(0, "floor", "[1, 1, 1]");
        for (text, part) in [
            (r#"{"classes": []}"#.to_string(), "at least one class"),
            ("{}".into(), "missing field `classes`"),
            (
                two(floor(), class(0, "wall", "[2, 2, 2]")),
                "`wall`: expected an id",
            ),
            (
                two(floor(), class(1, "floor", "[2, 2, 2]")),
                "`floor`: expected an id",
            ),
            (
                two(floor(), class(1, "wall", "[1, 1, 1]")),
                "`wall`: expected an id",
            ),
            (two(floor(), class(255, "wall", "[2, 2, 2]")), "below 255"),
            (two(floor(), class(1, "wall", "[256, 2, 2]")), "256"),
        ] {
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
