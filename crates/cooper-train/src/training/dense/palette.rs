//! The classes of dense truth: a model's palette, or else those of analytic scenes.

use cooper_model::model::{ModelConfig, Palette};
use cooper_model::{Error, Result};
use cooper_scenes::{
    CEILING, CEILING_GREY, Category, ColorName, FIRST_OBJECT, FLOOR, FLOOR_GREY, LabelledImage,
    Scene, UNLABELLED, WALL_GREY,
};
use image::{Rgb, RgbImage};

use super::image::{DenseImage, DepthUnit};
use crate::evaluation::segmentation::scene_palette;

/// The surfaces of rooms, as palettes call them, in the order of analytic scenes.
const SURFACES: [&str; 3] = ["floor", "wall", "ceiling"];

/// The classes that labels stand for, and the colours that they are drawn in.
#[derive(Clone, Debug)]
pub(in crate::training) enum ClassSet {
    /// Those of a model's `palette.json`: floor, wall and ceiling of analytic scenes, and their objects not at all.
    Palette(Palette),
    /// Floor, wall, ceiling and the categories of analytic scenes' objects, which are drawn in the colours of their
    /// names.
    Scenes,
}

impl ClassSet {
    /// Those of a model.
    pub(in crate::training) fn of_model(config: &ModelConfig) -> Self {
        config.palette.clone().map_or(Self::Scenes, Self::Palette)
    }

    /// Those of a model with a palette.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it has none.
    pub(in crate::training) fn named(config: &ModelConfig) -> Result<Self> {
        match &config.palette {
            Some(palette) => Ok(Self::Palette(palette.clone())),
            None => {
                let why = "expected a model with classes, got one without";
                Err(Error::invalid("palette.json", why))
            }
        }
    }

    /// How many classes there are.
    pub(in crate::training) fn len(&self) -> usize {
        match self {
            Self::Palette(palette) => palette.classes().len(),
            Self::Scenes => SURFACES.len() + Category::ALL.len(),
        }
    }

    /// The place of a label among the classes; none if it stands for none of them.
    pub(in crate::training) fn place(&self, label: u8) -> Option<usize> {
        match self {
            Self::Palette(palette) => palette.classes().iter().position(|c| c.id == label),
            Self::Scenes => (usize::from(label) < self.len()).then_some(usize::from(label)),
        }
    }

    /// An analytic scene with labels of these classes.
    pub(in crate::training) fn labelled(&self, scene: &Scene) -> DenseImage {
        let surfaces = self.surfaces();
        let label = |id: &u8| match id.checked_sub(FIRST_OBJECT) {
            Some(i) => self.object(scene, usize::from(i)),
            None if *id == FLOOR => surfaces[0],
            None if *id == CEILING => surfaces[2],
            None => surfaces[1],
        };
        DenseImage {
            depth: scene.depth.clone(),
            unit: DepthUnit::Metres,
            labels: scene.ids.iter().map(label).collect(),
            colors: Some(scene.ids.iter().map(|id| color(scene, *id)).collect()),
            focal: Some([scene.camera.fx, scene.camera.fy].map(|f| f as f32)),
            rgb: scene.image.clone(),
        }
    }

    /// An image of a palette's classes, to ask about it; none without a palette or a focal length.
    pub(in crate::training) fn labelled_image<'a>(
        &'a self,
        image: &'a DenseImage,
    ) -> Option<LabelledImage<'a>> {
        let (Self::Palette(palette), Some(focal)) = (self, image.focal) else {
            return None;
        };
        let names = palette
            .classes()
            .iter()
            .map(|class| (class.id, class.name.as_str()));
        Some(LabelledImage {
            size: image.rgb.dimensions(),
            depth_m: &image.depth,
            labels: &image.labels,
            names: names.collect(),
            focal_px: focal.map(f64::from),
        })
    }

    fn surfaces(&self) -> [u8; 3] {
        match self {
            Self::Scenes => [0, 1, 2],
            Self::Palette(palette) => SURFACES.map(|name| {
                let class = palette.classes().iter().find(|class| class.name == name);
                class.map_or(UNLABELLED, |class| class.id)
            }),
        }
    }

    fn object(&self, scene: &Scene, i: usize) -> u8 {
        match (self, scene.objects.get(i)) {
            (Self::Scenes, Some(object)) => {
                let category = Category::ALL.iter().position(|c| *c == object.category());
                category.map_or(UNLABELLED, |place| (SURFACES.len() + place) as u8)
            }
            _ => UNLABELLED,
        }
    }

    /// Each pixel in the colour of its class; black where it has none.
    pub(in crate::training) fn draw(&self, image: &DenseImage) -> RgbImage {
        let width = image.rgb.width() as usize;
        RgbImage::from_fn(image.rgb.width(), image.rgb.height(), |x, y| {
            let i = y as usize * width + x as usize;
            let color = image.colors.as_ref().map(|colors| colors[i]);
            Rgb(self.paint(image.labels[i], color))
        })
    }

    /// All colours of [`Self::draw`] but black.
    pub(in crate::training) fn paints(&self) -> Vec<[u8; 3]> {
        match self {
            Self::Palette(palette) => palette.classes().iter().map(|class| class.color).collect(),
            Self::Scenes => scene_palette(),
        }
    }

    fn paint(&self, label: u8, color: Option<u8>) -> [u8; 3] {
        match self {
            Self::Palette(palette) => palette.class(label).map_or([0; 3], |class| class.color),
            Self::Scenes => match label {
                0 => FLOOR_GREY,
                1 => WALL_GREY,
                2 => CEILING_GREY,
                _ => {
                    let name = color.and_then(|color| ColorName::ALL.get(usize::from(color)));
                    name.map_or([0; 3], |name| name.paint())
                }
            },
        }
    }
}

/// The colour name of an object by its place, or their number.
fn color(scene: &Scene, id: u8) -> u8 {
    let object = (id.checked_sub(FIRST_OBJECT)).and_then(|i| scene.objects.get(usize::from(i)));
    let place = object.and_then(|o| ColorName::ALL.iter().position(|color| *color == o.color));
    place.unwrap_or(ColorName::ALL.len()) as u8
}

#[cfg(test)]
mod tests {
    use cooper_scenes::{SceneConfig, Split};

    use super::*;

    #[test]
    fn without_a_palette_a_scene_is_drawn_as_it_draws_itself() {
        for index in 0..5 {
            let scene = Scene::generate(&SceneConfig::default(), Split::Train, index);
            let classes = ClassSet::Scenes;
            let labelled = classes.labelled(&scene);
            assert_eq!(classes.draw(&labelled), scene.segmentation_image());
            assert!(
                labelled
                    .labels
                    .iter()
                    .all(|label| classes.place(*label).is_some())
            );
        }
    }

    #[test]
    fn with_a_palette_only_surfaces_of_a_scene_have_classes() {
        let text = r#"{"classes": [{"id": 4, "name": "wall", "colour": [9, 9, 9]},
                                   {"id": 7, "name": "floor", "colour": [5, 5, 5]}]}"#;
        let classes = ClassSet::Palette(serde_json::from_str(text).unwrap());
        let scene = Scene::generate(&SceneConfig::default(), Split::Train, 0);
        let labelled = classes.labelled(&scene);
        for (label, id) in labelled.labels.iter().zip(&scene.ids) {
            let expected = [7, 4, UNLABELLED].get(usize::from(*id));
            assert_eq!(*label, *expected.unwrap_or(&UNLABELLED));
        }
        assert_eq!(
            (classes.len(), classes.place(7), classes.place(1)),
            (2, Some(1), None)
        );
        let drawn = classes.draw(&labelled);
        assert!(drawn.pixels().any(|p| p.0 == [5; 3]) && drawn.pixels().any(|p| p.0 == [0; 3]));
    }
}
