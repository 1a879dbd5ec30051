//! What the cells of an encoder's patches show.

use candle_core::{Device, Result, Tensor};
use cooper_model::model::Grid;
use cooper_scenes::{ColorName, UNLABELLED};

use super::image::{DenseImage, DepthUnit};
use super::palette::ClassSet;

/// Cells on a patch's side.
pub(in crate::training) const CELLS: usize = 2;
/// The colours of objects, and none.
const N_COLORS: usize = ColorName::ALL.len() + 1;
/// The least depth that counts, metres.
const LEAST_M: f32 = 0.1;

/// What an image shows of what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::training) enum Shows {
    /// What the camera sees.
    Colors,
    /// Its depth map.
    Depth,
    /// Its segmentation.
    Segmentation,
}

/// What the cells of many images show, in (image, patch, cell row, cell column) order.
#[derive(Debug, Default)]
pub(in crate::training) struct Cells {
    /// Shares of classes of a cell's labelled pixels, `n_classes` for each cell.
    classes: Vec<f32>,
    /// Shares of the colours of objects and of none.
    colors: Vec<f32>,
    /// The mean logarithm of metres.
    log_depth: Vec<f32>,
    /// 1 where the image shows it and it is known for half of the cell, else 0.
    class_mask: Vec<f32>,
    color_mask: Vec<f32>,
    metric_mask: Vec<f32>,
    relative_mask: Vec<f32>,
    /// Cells of each image.
    images: Vec<usize>,
}

/// [`Cells`] as tensors.
#[derive(Debug)]
pub(in crate::training) struct CellTensors {
    /// (cells, classes)
    pub(in crate::training) classes: Tensor,
    /// (cells, colours)
    pub(in crate::training) colors: Tensor,
    /// (cells, 1)
    pub(in crate::training) log_depth: Tensor,
    /// (cells, 1) each
    pub(in crate::training) class_mask: Tensor,
    pub(in crate::training) color_mask: Tensor,
    pub(in crate::training) metric_mask: Tensor,
    pub(in crate::training) relative_mask: Tensor,
    /// Cells of each image, and how many of these have relative depth.
    pub(in crate::training) images: Vec<(usize, usize)>,
}

impl Cells {
    /// How many outputs for colours a cell has.
    pub(in crate::training) const N_COLORS: usize = N_COLORS;

    /// Add an image's cells; `p` are the pixels on a patch's side.
    pub(in crate::training) fn add(
        &mut self,
        image: &DenseImage,
        classes: &ClassSet,
        (grid, p): (Grid, usize),
        shows: Shows,
    ) {
        let side = p / CELLS;
        let width = image.rgb.width() as usize;
        for patch in 0..grid.n_tokens() {
            let (row, column) = (patch / grid.columns, patch % grid.columns);
            for cell in 0..CELLS * CELLS {
                let top = row * p + cell / CELLS * side;
                let left = column * p + cell % CELLS * side;
                let pixels = (0..side * side).map(|i| (top + i / side) * width + left + i % side);
                self.add_labels(image, classes, pixels.clone(), shows != Shows::Depth);
                self.add_depth(image, pixels, shows != Shows::Segmentation);
            }
        }
        self.images.push(grid.n_tokens() * CELLS * CELLS);
    }

    fn add_labels(
        &mut self,
        image: &DenseImage,
        classes: &ClassSet,
        pixels: impl ExactSizeIterator<Item = usize>,
        is_shown: bool,
    ) {
        let n = pixels.len() as f32;
        let mut by_class = vec![0f32; classes.len()];
        let mut by_color = [0f32; N_COLORS];
        let mut known = 0f32;
        for i in pixels {
            let label = image.labels[i];
            if let Some(place) = classes.place(label).filter(|_| label != UNLABELLED) {
                by_class[place] += 1.0;
                known += 1.0;
            }
            if let Some(colors) = &image.colors {
                by_color[usize::from(colors[i]).min(N_COLORS - 1)] += 1.0;
            }
        }
        self.classes
            .extend(by_class.iter().map(|x| x / known.max(1.0)));
        self.colors.extend(by_color.map(|x| x / n));
        self.class_mask.push(mask(is_shown && 2.0 * known >= n));
        self.color_mask
            .push(mask(is_shown && image.colors.is_some()));
    }

    fn add_depth(
        &mut self,
        image: &DenseImage,
        pixels: impl ExactSizeIterator<Item = usize>,
        is_shown: bool,
    ) {
        let n = pixels.len() as f32;
        let (mut sum, mut known) = (0f32, 0f32);
        for depth in pixels.map(|i| image.depth[i]).filter(|depth| *depth > 0.0) {
            sum += depth.max(LEAST_M).ln();
            known += 1.0;
        }
        let counts = is_shown && 2.0 * known >= n;
        self.log_depth.push(sum / known.max(1.0));
        self.metric_mask
            .push(mask(counts && image.unit == DepthUnit::Metres));
        self.relative_mask
            .push(mask(counts && image.unit == DepthUnit::Relative));
    }

    /// All that was added.
    ///
    /// # Errors
    /// If nothing was.
    pub(in crate::training) fn into_tensors(self) -> Result<CellTensors> {
        let n = self.log_depth.len();
        let mut first = 0;
        let images = self.images.iter().map(|cells| {
            let own = &self.relative_mask[first..first + cells];
            first += cells;
            (*cells, own.iter().filter(|mask| **mask > 0.0).count())
        });
        let images = images.collect();
        let tensor = |numbers: Vec<f32>| {
            let width = numbers.len() / n.max(1);
            Tensor::from_vec(numbers, (n, width), &Device::Cpu)
        };
        Ok(CellTensors {
            classes: tensor(self.classes)?,
            colors: tensor(self.colors)?,
            log_depth: tensor(self.log_depth)?,
            class_mask: tensor(self.class_mask)?,
            color_mask: tensor(self.color_mask)?,
            metric_mask: tensor(self.metric_mask)?,
            relative_mask: tensor(self.relative_mask)?,
            images,
        })
    }
}

fn mask(counts: bool) -> f32 {
    if counts { 1.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    #[test]
    fn a_cell_tells_shares_and_depth_of_what_is_known() {
        // One patch of 4 x 4 pixels, four cells of 2 x 2.
        let mut image = DenseImage {
            rgb: RgbImage::new(4, 4),
            depth: vec![1.0; 16],
            unit: DepthUnit::Metres,
            labels: vec![0; 16],
            colors: None,
            focal: None,
        };
        image.labels[1] = 1;
        image.depth[4] = 0.0;
        // The second cell: one pixel of four is known.
        for i in [2, 3, 6] {
            image.labels[i] = UNLABELLED;
            image.depth[i] = 0.0;
        }
        let grid = Grid {
            rows: 1,
            columns: 1,
        };
        let add = |shows| {
            let mut cells = Cells::default();
            cells.add(&image, &ClassSet::Scenes, (grid, 4), shows);
            cells
        };
        let cells = add(Shows::Colors);
        assert_eq!(cells.classes[..3], [0.75, 0.25, 0.0]);
        assert_eq!(cells.log_depth[0], 0.0);
        assert_eq!(cells.class_mask, [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(cells.metric_mask, [1.0, 0.0, 1.0, 1.0]);
        assert_eq!(
            (cells.color_mask, cells.relative_mask),
            (vec![0.0; 4], vec![0.0; 4])
        );
        assert_eq!(add(Shows::Depth).class_mask, [0.0; 4]);
        assert_eq!(add(Shows::Segmentation).metric_mask, [0.0; 4]);
    }
}
