//! Drawn colours as classes: each pixel is the paint of the palette that is nearest to it.

use cooper_model::perception::nearest_paint;
use cooper_scenes::{CEILING_GREY, ColorName, FLOOR_GREY, WALL_GREY};
use image::RgbImage;
use serde::Serialize;

/// How many paints of [`scene_palette`] are no objects.
const N_GREYS: usize = 3;

/// Figures of one image by paints.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PaletteScores {
    /// Share of pixels with the right paint.
    pub pixels: f64,
    /// The same over pixels that show objects; none without objects.
    pub object_pixels: Option<f64>,
    /// The IoU of each paint in the truth.
    pub class_ious: Vec<f64>,
    /// The same of the objects' paints alone.
    pub object_ious: Vec<f64>,
}

/// The paints of scenes: floor, wall, ceiling, then the objects' colours.
pub fn scene_palette() -> Vec<[u8; 3]> {
    let greys = [FLOOR_GREY, WALL_GREY, CEILING_GREY];
    let colors = ColorName::ALL.map(ColorName::paint);
    greys.into_iter().chain(colors).collect()
}

/// Compare two images of one size; none if the truth has a colour that scenes do not have.
pub fn palette_scores(truth: &RgbImage, drawn: &RgbImage) -> Option<PaletteScores> {
    let palette = scene_palette();
    let class = |paint: &[u8; 3]| palette.iter().position(|p| p == paint);
    let mut counts = vec![Count::default(); palette.len()];
    for (truth, drawn) in truth.pixels().zip(drawn.pixels()) {
        let truth = class(&truth.0)?;
        let drawn = nearest_paint(&palette, drawn.0);
        counts[truth].truth += 1;
        counts[drawn].drawn += 1;
        counts[truth].shared += usize::from(truth == drawn);
    }
    let ious = |counts: &[Count]| -> Vec<f64> {
        let present = counts.iter().filter(|count| count.truth > 0);
        present.map(Count::iou).collect()
    };
    let objects = &counts[N_GREYS..];
    Some(PaletteScores {
        pixels: share(&counts)?,
        object_pixels: share(objects),
        class_ious: ious(&counts),
        object_ious: ious(objects),
    })
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    truth: usize,
    drawn: usize,
    shared: usize,
}

impl Count {
    fn iou(&self) -> f64 {
        let either = self.truth + self.drawn - self.shared;
        self.shared as f64 / either.max(1) as f64
    }
}

/// The share of true pixels that are drawn right; none of no pixels.
fn share(counts: &[Count]) -> Option<f64> {
    let truth: usize = counts.iter().map(|count| count.truth).sum();
    let shared: usize = counts.iter().map(|count| count.shared).sum();
    (truth > 0).then(|| shared as f64 / truth as f64)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn image(colors: &[[u8; 3]]) -> RgbImage {
        RgbImage::from_fn(colors.len() as u32, 1, |x, _| Rgb(colors[x as usize]))
    }

    #[test]
    fn shades_count_as_their_paint() {
        let red = ColorName::Red.paint();
        let blue = ColorName::Blue.paint();
        let truth = image(&[FLOOR_GREY, FLOOR_GREY, WALL_GREY, red, red, blue]);
        let drawn = image(&[
            [70, 55, 60],
            [130, 120, 125], // wall instead of floor
            [120; 3],
            [250, 10, 0],
            [0, 0, 250], // blue instead of red
            [10, 10, 255],
        ]);
        let scores = palette_scores(&truth, &drawn).unwrap();
        assert_eq!(scores.pixels, 4.0 / 6.0);
        assert_eq!(scores.object_pixels, Some(2.0 / 3.0));
        assert_eq!(scores.class_ious, [0.5, 0.5, 0.5, 0.5]);
        assert_eq!(scores.object_ious, [0.5, 0.5]);
    }

    #[test]
    fn without_objects_or_with_other_colours_there_is_nothing_to_say() {
        let floor = image(&[FLOOR_GREY; 2]);
        let scores = palette_scores(&floor, &floor).unwrap();
        assert_eq!((scores.pixels, scores.object_pixels), (1.0, None));
        assert_eq!(palette_scores(&image(&[[1, 2, 3]]), &floor), None);
    }
}
