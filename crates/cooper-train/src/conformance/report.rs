//! Single comparisons and their tolerances.

use std::collections::BTreeSet;

use candle_core::{DType, Tensor};
use cooper_imaging::spectral_paints;
use cooper_model::Result;
use image::RgbImage;

use super::golden::Golden;

/// f32 against the reference's f32, on values of order one.
const F32_TOLERANCE: f64 = 1e-4;
/// 16-bit floats or quantised matrices against the reference's f32: rounding grows over layers and flow steps.
const HALF_TOLERANCE: f64 = 0.15;
/// One less the cosine of a latent that was drawn with coarse rounding and the reference's.
const COSINE_TOLERANCE: f64 = 1e-3;
/// Values of an 8-bit image that may be off by one, since the reference cuts fractions off.
const OFF_BY_ONE_SHARE: f64 = 0.005;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Passed,
    /// Not within the tolerance.
    Failed,
    /// Not compared; the note says why.
    Skipped,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Check {
    /// The golden tensor's or case's name.
    pub group: String,
    /// The largest absolute difference, where there is a number.
    pub error: Option<f64>,
    /// What it may be.
    pub tolerance: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// What else there is to know.
    pub note: String,
}

/// Compares, tells, and remembers which golden names were looked at.
pub struct Report<'a> {
    pub golden: &'a Golden,
    exact: bool,
    seen: BTreeSet<String>,
    tell: &'a mut dyn FnMut(&Check),
}

impl<'a> Report<'a> {
    pub fn new(golden: &'a Golden, exact: bool, tell: &'a mut dyn FnMut(&Check)) -> Self {
        Self {
            golden,
            exact,
            seen: BTreeSet::new(),
            tell,
        }
    }

    /// A golden tensor that is an input.
    pub fn given(&mut self, name: &str) -> Result<Tensor> {
        self.seen.insert(name.into());
        self.golden.tensor(name)
    }

    /// Compare a tensor with the golden one of this name, element by element.
    pub fn tensor(&mut self, name: &str, got: &Tensor) -> Result<()> {
        let expected = self.given(name)?;
        if expected.elem_count() != got.elem_count() {
            let note = format!("expected {:?}, got {:?}", expected.dims(), got.dims());
            self.tell(name, None, 0.0, false, note);
            return Ok(());
        }
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        let (expected, got) = (flat(&expected)?, flat(got)?);
        let error = largest(expected.iter().zip(&got).map(|(e, g)| f64::from(e - g)));
        let size = largest(expected.iter().map(|e| f64::from(*e))).max(1.0);
        let tolerance = size
            * if self.exact {
                F32_TOLERANCE
            } else {
                HALF_TOLERANCE
            };
        let note = format!("{} values up to {size:.1}", expected.len());
        self.tell(name, Some(error), tolerance, error <= tolerance, note);
        Ok(())
    }

    /// Whether everything is computed as the reference does, in f32.
    pub fn is_exact(&self) -> bool {
        self.exact
    }

    /// Compare a drawn latent with the golden one; where rounding is coarse, by its direction as well.
    pub fn latent(&mut self, name: &str, got: &Tensor) -> Result<()> {
        self.tensor(name, got)?;
        if self.exact {
            return Ok(());
        }
        let expected = self.given(name)?.flatten_all()?;
        let got = got.flatten_all()?.to_dtype(DType::F32)?;
        let product = |a: &Tensor, b: &Tensor| (a * b)?.sum_all()?.to_scalar::<f32>();
        let lengths = product(&expected, &expected)? * product(&got, &got)?;
        let error = 1.0 - f64::from(product(&expected, &got)? / lengths.sqrt());
        let name = format!("{name}.direction");
        let note = "one less the cosine".to_owned();
        self.tell(
            &name,
            Some(error),
            COSINE_TOLERANCE,
            error <= COSINE_TOLERANCE,
            note,
        );
        Ok(())
    }

    /// Compare a tensor with the golden one, relative to its largest value.
    pub fn tensor_relative(&mut self, name: &str, got: &Tensor, tolerance: f64) -> Result<()> {
        let expected = self.given(name)?.flatten_all()?.to_vec1::<f32>()?;
        let got = got.flatten_all()?.to_vec1::<f32>()?;
        let size = largest(expected.iter().map(|e| f64::from(*e))).max(f64::MIN_POSITIVE);
        let error = largest(expected.iter().zip(&got).map(|(e, g)| f64::from(e - g))) / size;
        let fits = expected.len() == got.len() && error <= tolerance;
        let note = format!("{} values up to {size:.1e}, relative", expected.len());
        self.tell(name, Some(error), tolerance, fits, note);
        Ok(())
    }

    /// Compare a number of `expected.json`.
    pub fn number(&mut self, name: &str, expected: f64, got: f64) {
        let error = (expected - got).abs();
        let tolerance = F32_TOLERANCE * expected.abs().max(1.0);
        self.tell(
            name,
            Some(error),
            tolerance,
            error <= tolerance,
            String::new(),
        );
    }

    /// Compare a number of `expected.json`, relative to itself.
    pub fn relative(&mut self, name: &str, expected: f64, got: f64, tolerance: f64) {
        let error = (expected - got).abs() / expected.abs().max(1e-6);
        self.tell(
            name,
            Some(error),
            tolerance,
            error <= tolerance,
            "relative".into(),
        );
    }

    /// Tell that a group of golden names is not compared.
    pub fn skip_group(&mut self, prefix: &str, why: &str) {
        let names = self.golden.names().unwrap_or_default();
        for name in names.into_iter().filter(|name| name.starts_with(prefix)) {
            self.seen.insert(name.clone());
            (self.tell)(&Check {
                group: name,
                error: None,
                tolerance: 0.0,
                verdict: Verdict::Skipped,
                note: why.into(),
            });
        }
    }

    /// Compare an 8-bit image with the golden one of this name.
    pub fn image(&mut self, name: &str, got: &RgbImage) -> Result<()> {
        let expected = self.golden_image(name)?;
        if self.same_size(name, &expected, got) {
            self.steps(name, expected.as_raw(), got.as_raw());
        }
        Ok(())
    }

    /// Compare depth in Spectral colours with the golden one, in steps of the 256 colours:
    /// one step of depth is up to four steps of a colour channel.
    pub fn depth_image(&mut self, name: &str, got: &RgbImage) -> Result<()> {
        let expected = self.golden_image(name)?;
        if self.same_size(name, &expected, got) {
            self.steps(name, &color_indices(&expected), &color_indices(got));
        }
        Ok(())
    }

    /// Compare 8-bit values with the golden ones of this name.
    pub fn bytes(&mut self, name: &str, got: &[u8]) -> Result<()> {
        let expected = self.given(name)?.flatten_all()?.to_vec1::<u8>()?;
        self.steps(name, &expected, got);
        Ok(())
    }

    fn golden_image(&mut self, name: &str) -> Result<RgbImage> {
        self.seen.insert(name.into());
        self.golden.image(name)
    }

    fn same_size(&mut self, name: &str, expected: &RgbImage, got: &RgbImage) -> bool {
        let (expected, got) = (expected.dimensions(), got.dimensions());
        if expected != got {
            self.tell(
                name,
                None,
                1.0,
                false,
                format!("expected {expected:?}, got {got:?}"),
            );
        }
        expected == got
    }

    /// Off by one step at most, and seldom.
    fn steps(&mut self, name: &str, expected: &[u8], got: &[u8]) {
        let differences = expected.iter().zip(got).map(|(e, g)| e.abs_diff(*g));
        let error = differences.clone().max().unwrap_or(0);
        let n_off = differences.filter(|d| *d > 0).count();
        let share = n_off as f64 / expected.len().max(1) as f64;
        let fits = expected.len() == got.len() && error <= 1 && share <= OFF_BY_ONE_SHARE;
        let note = format!("{n_off} of {} values off", expected.len());
        if self.exact {
            self.tell(name, Some(error.into()), 1.0, fits, note);
        } else {
            self.measured(name, error.into(), note);
        }
    }

    /// A value that must be the same in every number format.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, expected: &T, got: &T) {
        let same = expected == got;
        let note = if same {
            String::new()
        } else {
            format!("expected {expected:?}, got {got:?}")
        };
        self.tell(name, None, 0.0, same, note);
    }

    /// Ids that the model chose: the same in f32, reported otherwise (a near tie may fall either way).
    pub fn chosen(&mut self, name: &str, expected: &[u32], got: &[u32]) {
        if self.exact {
            self.equal(name, &expected, &got);
            return;
        }
        let n_same = expected.iter().zip(got).take_while(|(e, g)| e == g).count();
        let n_off = expected.len() - n_same;
        let note = format!("the first {n_same} of {} ids agree", expected.len());
        self.measured(name, n_off as f64, note);
    }

    /// Tell every golden name that nothing has looked at: it fails, since nobody knows whether it holds.
    pub fn tell_unseen(&mut self) {
        let names = self.golden.names().unwrap_or_default();
        let unseen: Vec<String> = names
            .into_iter()
            .filter(|name| !self.seen.contains(name))
            .collect();
        for name in unseen {
            self.tell(&name, None, 0.0, false, "no check knows this name".into());
        }
    }

    /// A difference that coarser rounding amplifies beyond any tolerance worth stating.
    fn measured(&mut self, name: &str, error: f64, note: String) {
        (self.tell)(&Check {
            group: name.into(),
            error: Some(error),
            tolerance: f64::INFINITY,
            verdict: Verdict::Skipped,
            note: format!("{note}; reported only, not in plain f32"),
        });
    }

    fn tell(&mut self, name: &str, error: Option<f64>, tolerance: f64, passed: bool, note: String) {
        (self.tell)(&Check {
            group: name.into(),
            error,
            tolerance,
            verdict: if passed {
                Verdict::Passed
            } else {
                Verdict::Failed
            },
            note,
        });
    }
}

/// Each pixel's place among the Spectral colours; what is none of them counts as the first.
fn color_indices(image: &RgbImage) -> Vec<u8> {
    let paints = spectral_paints();
    let place = |color: [u8; 3]| paints.iter().position(|c| *c == color).unwrap_or(0) as u8;
    image.pixels().map(|pixel| place(pixel.0)).collect()
}

/// The largest absolute value; not-a-number counts as infinite.
fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |most, value| {
        if value.is_nan() {
            f64::INFINITY
        } else {
            most.max(value.abs())
        }
    })
}
