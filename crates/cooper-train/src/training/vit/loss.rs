//! What the head predicts for a cell, and how wrong it is.

use candle_core::{D, Tensor};
use candle_nn::ops::log_softmax;
use cooper_kernels::with_slices;
use cooper_model::Result;

use crate::training::dense::{CELLS, CellReading, CellTensors, Cells, ClassSet};
use crate::training::stage::Metrics;

/// Weight of the mean error of logarithms of depth; classes and colours have 1.
const DEPTH_WEIGHT: f64 = 2.0;
/// The least spread of relative depth, of which errors are a share.
const LEAST_SPREAD: f64 = 0.01;

/// The outputs for a cell: scores of classes, scores of colours, the logarithm of metres.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outputs {
    n_classes: usize,
    /// Surfaces of rooms come first; the log tells how well objects are known.
    is_scenes: bool,
}

impl Outputs {
    /// Those for a set of classes.
    pub(super) fn new(classes: &ClassSet) -> Self {
        Self {
            n_classes: classes.len(),
            is_scenes: matches!(classes, ClassSet::Scenes),
        }
    }

    /// How many a cell has.
    pub(super) fn per_cell(self) -> usize {
        self.n_classes + Cells::N_COLORS + 1
    }

    /// How many a patch has.
    pub(super) fn per_patch(self) -> usize {
        CELLS * CELLS * self.per_cell()
    }

    /// What outputs (cells, outputs) of one image say.
    pub(super) fn reading(self, outputs: &Tensor) -> Result<CellReading> {
        let classes = outputs.narrow(1, 0, self.n_classes)?.argmax(D::Minus1)?;
        let classes: Vec<u32> = classes.to_vec1()?;
        Ok(CellReading {
            log_depth: outputs.get_on_dim(1, self.per_cell() - 1)?.to_vec1()?,
            classes: classes.into_iter().map(|class| class as usize).collect(),
        })
    }

    /// The loss of outputs (cells, outputs), a scalar: a sum over cells divided by `n_total`; and numbers to log.
    pub(super) fn loss(
        self,
        outputs: &Tensor,
        truth: &CellTensors,
        n_total: f64,
    ) -> Result<(Tensor, Metrics)> {
        let classes = log_softmax(&outputs.narrow(1, 0, self.n_classes)?, D::Minus1)?;
        let colors = outputs.narrow(1, self.n_classes, Cells::N_COLORS)?;
        let colors = log_softmax(&colors, D::Minus1)?;
        let log_depth = outputs.narrow(1, self.per_cell() - 1, 1)?;
        let class_loss = (&classes * &truth.classes)?.sum_keepdim(1)?.neg()?;
        let color_loss = (&colors * &truth.colors)?.sum_keepdim(1)?.neg()?;
        let depth_loss = (&log_depth - &truth.log_depth)?.abs()?;
        let class_loss = (class_loss * &truth.class_mask)?;
        let color_loss = (color_loss * &truth.color_mask)?;
        let depth_loss = (&depth_loss * &truth.metric_mask)?;
        let mut sum = ((&class_loss + color_loss)? + (&depth_loss * DEPTH_WEIGHT)?)?.sum_all()?;
        let mut metrics = Metrics::new();
        if let Some((relative, n)) = relative_loss(&log_depth, truth)? {
            metrics.insert("relative_depth_error".into(), (scalar(&relative)?, n));
            sum = (sum + (relative * DEPTH_WEIGHT)?)?;
        }
        for (name, loss, mask) in [
            ("log_depth_error", &depth_loss, &truth.metric_mask),
            ("class_loss", &class_loss, &truth.class_mask),
        ] {
            let n = scalar(&mask.sum_all()?)?;
            metrics.insert(name.into(), (scalar(&loss.detach().sum_all()?)?, n));
        }
        self.count_hits(&classes, &colors, truth, &mut metrics)?;
        Ok(((sum / n_total)?, metrics))
    }

    fn count_hits(
        self,
        classes: &Tensor,
        colors: &Tensor,
        truth: &CellTensors,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let class_mask = &truth.class_mask;
        if self.is_scenes {
            let color = hits(colors, &truth.colors, &truth.color_mask, |color| {
                color + 1 < Cells::N_COLORS
            })?;
            metrics.insert("object_color".into(), color);
            let category = hits(classes, &truth.classes, class_mask, |class| class >= 3)?;
            metrics.insert("object_category".into(), category);
        } else {
            let class = hits(classes, &truth.classes, class_mask, |_| true)?;
            metrics.insert("class_cells".into(), class);
        }
        Ok(())
    }
}

/// The sum of errors of depth that is known up to a scale and a shift only, and how many cells it is of; none without any.
///
/// Both depths are brought to mean 0 and mean absolute value 1 in each image. Source: MiDaS (arXiv 1907.01341 §5), with
/// means for medians and on depth.
fn relative_loss(log_depth: &Tensor, truth: &CellTensors) -> Result<Option<(Tensor, f64)>> {
    let (mut first, mut total, mut n_total) = (0, None, 0.0);
    for &(cells, n) in &truth.images {
        let of_image = |tensor: &Tensor| tensor.narrow(0, first, cells);
        if n > 0 {
            let mask = of_image(&truth.relative_mask)?;
            let normalized = |log_depth: &Tensor| {
                let depth = of_image(log_depth)?.exp()?;
                let mean = ((&depth * &mask)?.sum_all()? / n as f64)?;
                let around = (depth.broadcast_sub(&mean)? * &mask)?;
                let spread = (around.abs()?.sum_all()? / n as f64)?;
                around.broadcast_div(&(spread + LEAST_SPREAD)?)
            };
            let error = (normalized(log_depth)? - normalized(&truth.log_depth)?)?;
            let error = error.abs()?.sum_all()?;
            total = Some(match total {
                None => error,
                Some(total) => (total + error)?,
            });
            n_total += n as f64;
        }
        first += cells;
    }
    Ok(total.map(|total| (total, n_total)))
}

fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(f64::from(tensor.to_scalar::<f32>()?))
}

/// How often the greatest score is where the truth's share is over one half, for truths of interest.
fn hits(
    outputs: &Tensor,
    truth: &Tensor,
    mask: &Tensor,
    of_interest: fn(usize) -> bool,
) -> Result<(f64, f64)> {
    let width = outputs.dim(1)?;
    Ok(with_slices(
        [outputs, truth, mask],
        |[outputs, truth, mask]| {
            let (mut right, mut all) = (0.0, 0.0);
            let rows = outputs.chunks_exact(width).zip(truth.chunks_exact(width));
            for ((outputs, truth), mask) in rows.zip(mask) {
                let expected = truth.iter().position(|share| *share > 0.5);
                let Some(expected) = expected.filter(|i| *mask > 0.0 && of_interest(*i)) else {
                    continue;
                };
                all += 1.0;
                if outputs.iter().all(|score| *score <= outputs[expected]) {
                    right += 1.0;
                }
            }
            (right, all)
        },
    )?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Two images of four cells: the first in metres, the second relative.
    fn truth(log_depth: &[f32; 8]) -> CellTensors {
        let column =
            |numbers: &[f32; 8]| Tensor::from_slice(numbers, (8, 1), &Device::Cpu).unwrap();
        let classes = [1.0f32, 0.0, 0.0].repeat(8);
        let colors = vec![0f32; 8 * Cells::N_COLORS];
        CellTensors {
            classes: Tensor::from_vec(classes, (8, 3), &Device::Cpu).unwrap(),
            colors: Tensor::from_vec(colors, (8, Cells::N_COLORS), &Device::Cpu).unwrap(),
            log_depth: column(log_depth),
            class_mask: column(&[0.0; 8]),
            color_mask: column(&[0.0; 8]),
            metric_mask: column(&[1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]),
            relative_mask: column(&[0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]),
            images: vec![(4, 0), (4, 4)],
        }
    }

    const OUTPUTS: Outputs = Outputs {
        n_classes: 3,
        is_scenes: false,
    };

    fn outputs(log_depth: &[f32; 8]) -> Var {
        let mut numbers = Vec::new();
        for log_depth in log_depth {
            numbers.extend(vec![0.5; OUTPUTS.per_cell() - 1]);
            numbers.push(*log_depth);
        }
        let shape = (8, OUTPUTS.per_cell());
        Var::from_vec(numbers, shape, &Device::Cpu).unwrap()
    }

    fn loss_of(outputs: &Var, truth: &CellTensors) -> f32 {
        let (loss, _) = OUTPUTS.loss(outputs.as_tensor(), truth, 8.0).unwrap();
        loss.to_scalar().unwrap()
    }

    #[test]
    fn metres_count_as_they_are_and_relative_depth_up_to_scale_and_shift() {
        let depth = [1.0f32, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];
        let truth = truth(&depth.map(f32::ln));
        assert!(loss_of(&outputs(&depth.map(f32::ln)), &truth).abs() < 1e-6);
        let mut other = depth;
        (4..8).for_each(|i| other[i] = 0.7 + 1.5 * depth[i]);
        assert!(loss_of(&outputs(&other.map(f32::ln)), &truth) < 0.01);
        other[0] = 2.0;
        let expected = DEPTH_WEIGHT as f32 * 2f32.ln() / 8.0;
        assert!((loss_of(&outputs(&other.map(f32::ln)), &truth) - expected).abs() < 0.01);
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let truth = truth(&[0.1, 0.4, 0.9, 1.2, 0.3, 0.8, 0.2, 1.1]);
        let at = [0.3f32, 0.1, 0.5, 1.0, 0.7, 0.1, 0.6, 1.5];
        let vars = outputs(&at);
        let (loss, _) = OUTPUTS.loss(vars.as_tensor(), &truth, 8.0).unwrap();
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&vars).unwrap();
        let column = gradient.get_on_dim(1, OUTPUTS.per_cell() - 1).unwrap();
        for (i, got) in column.to_vec1::<f32>().unwrap().into_iter().enumerate() {
            let shifted = |by: f32| {
                let mut at = at;
                at[i] += by;
                loss_of(&outputs(&at), &truth)
            };
            let expected = (shifted(1e-2) - shifted(-1e-2)) / 2e-2;
            assert!((got - expected).abs() < 5e-3, "{i}: {got} {expected}");
        }
    }
}
