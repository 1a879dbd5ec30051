//! Single comparisons and their tolerances.

use std::collections::BTreeSet;

use candle_core::{DType, Tensor};
use cooper_imaging::spectral_paints;
use cooper_model::Result;
use image::RgbImage;

use super::golden::Golden;

/// Bound on f32 against the reference's f32, relative to the largest value, at least 1.
const F32_TOLERANCE: f64 = 1e-4;
/// The same of coarse formats: rounding grows over layers and flow steps.
const COARSE_TOLERANCE: f64 = 0.15;
/// Bound on one less the cosine of the reference's latent and one that was drawn in a coarse format.
const COSINE_TOLERANCE: f64 = 1e-3;
/// Bound on 8-bit values in f32: off by one, since the reference cuts fractions off ...
const STEPS_TOLERANCE: u8 = 1;
/// ... and only for this share of the values.
const OFF_BY_ONE_SHARE: f64 = 0.005;
/// Bound on 8-bit values that were drawn in a coarse format: [`COARSE_TOLERANCE`] of 255.
const COARSE_STEPS_TOLERANCE: u8 = 38;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Passed,
    /// Not within the tolerance.
    Failed,
    /// Compared without a bound; the note says why.
    Reported,
    /// Not compared; the note says why.
    Skipped,
}

impl Verdict {
    fn passes_if(fits: bool) -> Self {
        match fits {
            true => Self::Passed,
            false => Self::Failed,
        }
    }
}

/// What the engine computes in, which decides the bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// f32, as the reference.
    F32,
    /// 16-bit floats or quantised matrices.
    Coarse,
}

/// One comparison.
#[derive(Clone, Debug)]
pub struct Check {
    /// The golden tensor's or case's name.
    pub group: String,
    /// The largest absolute difference, where there is a number.
    pub error: Option<f64>,
    /// Its bound; infinite without one.
    pub tolerance: f64,
    /// How it ended.
    pub verdict: Verdict,
    /// What else there is to know.
    pub note: String,
}

/// Compares with the golden values, and fails the names that nothing was compared with.
pub struct Report<'a> {
    pub golden: &'a Golden,
    pub format: Format,
    used: BTreeSet<String>,
    on_check: &'a mut dyn FnMut(&Check),
}

impl<'a> Report<'a> {
    pub fn new(golden: &'a Golden, format: Format, on_check: &'a mut dyn FnMut(&Check)) -> Self {
        Self {
            golden,
            format,
            used: BTreeSet::new(),
            on_check,
        }
    }

    /// A golden tensor; as an input it counts as compared.
    pub fn input(&mut self, name: &str) -> Result<Tensor> {
        self.used.insert(name.into());
        self.golden.tensor(name)
    }

    /// Compare a tensor with the golden one of this name, element by element.
    pub fn tensor(&mut self, name: &str, got: &Tensor) -> Result<()> {
        let expected = self.input(name)?;
        if expected.elem_count() != got.elem_count() {
            let note = format!("expected {:?}, got {:?}", expected.dims(), got.dims());
            self.add(name, None, 0.0, Verdict::Failed, note);
            return Ok(());
        }
        let flat = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>();
        let (expected, got) = (flat(&expected)?, flat(got)?);
        let error = largest(expected.iter().zip(&got).map(|(e, g)| f64::from(e - g)));
        let size = largest(expected.iter().map(|e| f64::from(*e))).max(1.0);
        let tolerance = size
            * match self.format {
                Format::F32 => F32_TOLERANCE,
                Format::Coarse => COARSE_TOLERANCE,
            };
        let note = format!("{} values up to {size:.1}", expected.len());
        self.bound(name, error, tolerance, note);
        Ok(())
    }

    /// Compare a drawn latent with the golden one; in coarse formats by its direction as well.
    pub fn latent(&mut self, name: &str, got: &Tensor) -> Result<()> {
        self.tensor(name, got)?;
        if self.format == Format::F32 {
            return Ok(());
        }
        let expected = self.input(name)?.flatten_all()?;
        let got = got.flatten_all()?.to_dtype(DType::F32)?;
        let product = |a: &Tensor, b: &Tensor| (a * b)?.sum_all()?.to_scalar::<f32>();
        let lengths = product(&expected, &expected)? * product(&got, &got)?;
        let error = 1.0 - f64::from(product(&expected, &got)? / lengths.sqrt());
        let name = format!("{name}.direction");
        let note = "one less the cosine".to_owned();
        self.bound(&name, error, COSINE_TOLERANCE, note);
        Ok(())
    }

    /// Compare a tensor with the golden one, relative to its largest value.
    pub fn tensor_relative(&mut self, name: &str, got: &Tensor, tolerance: f64) -> Result<()> {
        let expected = self.input(name)?.flatten_all()?.to_vec1::<f32>()?;
        let got = got.flatten_all()?.to_vec1::<f32>()?;
        let size = largest(expected.iter().map(|e| f64::from(*e))).max(f64::MIN_POSITIVE);
        let error = largest(expected.iter().zip(&got).map(|(e, g)| f64::from(e - g))) / size;
        let verdict = Verdict::passes_if(expected.len() == got.len() && error <= tolerance);
        let note = format!("{} values up to {size:.1e}, relative", expected.len());
        self.add(name, Some(error), tolerance, verdict, note);
        Ok(())
    }

    /// Compare a number of `expected.json`.
    pub fn number(&mut self, name: &str, expected: f64, got: f64) {
        let error = (expected - got).abs();
        let tolerance = F32_TOLERANCE * expected.abs().max(1.0);
        self.bound(name, error, tolerance, String::new());
    }

    /// Compare a number of `expected.json`, relative to itself.
    pub fn relative(&mut self, name: &str, expected: f64, got: f64, tolerance: f64) {
        let error = (expected - got).abs() / expected.abs().max(1e-6);
        self.bound(name, error, tolerance, "relative".into());
    }

    /// Add the golden names with a prefix as not compared.
    pub fn skip_group(&mut self, prefix: &str, why: &str) {
        let names = self.golden.names().unwrap_or_default();
        for name in names.into_iter().filter(|name| name.starts_with(prefix)) {
            self.used.insert(name.clone());
            self.add(&name, None, f64::INFINITY, Verdict::Skipped, why.into());
        }
    }

    /// Compare an 8-bit image that the network has no part in with the golden one of this name.
    pub fn image(&mut self, name: &str, got: &RgbImage) -> Result<()> {
        self.image_within(name, got, STEPS_TOLERANCE)
    }

    /// Compare a drawn 8-bit image with the golden one of this name.
    pub fn drawn_image(&mut self, name: &str, got: &RgbImage) -> Result<()> {
        self.image_within(name, got, self.drawn_tolerance())
    }

    /// Compare depth in Spectral colours with the golden one, in steps of the 256 colours:
    /// one step of depth is up to four steps of a colour channel.
    pub fn depth_image(&mut self, name: &str, got: &RgbImage) -> Result<()> {
        let expected = self.golden_image(name)?;
        if self.is_same_size(name, &expected, got) {
            let (expected, got) = (color_indices(&expected), color_indices(got));
            self.steps(name, &expected, &got, self.drawn_tolerance());
        }
        Ok(())
    }

    /// Compare 8-bit values with the golden ones of this name.
    pub fn bytes(&mut self, name: &str, got: &[u8]) -> Result<()> {
        let expected = self.input(name)?.flatten_all()?.to_vec1::<u8>()?;
        self.steps(name, &expected, got, STEPS_TOLERANCE);
        Ok(())
    }

    fn image_within(&mut self, name: &str, got: &RgbImage, tolerance: u8) -> Result<()> {
        let expected = self.golden_image(name)?;
        if self.is_same_size(name, &expected, got) {
            self.steps(name, expected.as_raw(), got.as_raw(), tolerance);
        }
        Ok(())
    }

    fn drawn_tolerance(&self) -> u8 {
        match self.format {
            Format::F32 => STEPS_TOLERANCE,
            Format::Coarse => COARSE_STEPS_TOLERANCE,
        }
    }

    fn golden_image(&mut self, name: &str) -> Result<RgbImage> {
        self.used.insert(name.into());
        self.golden.image(name)
    }

    fn is_same_size(&mut self, name: &str, expected: &RgbImage, got: &RgbImage) -> bool {
        let (expected, got) = (expected.dimensions(), got.dimensions());
        if expected != got {
            let note = format!("expected {expected:?}, got {got:?}");
            self.add(name, None, 1.0, Verdict::Failed, note);
        }
        expected == got
    }

    /// Within so many steps; where that is one step, seldom off at all.
    fn steps(&mut self, name: &str, expected: &[u8], got: &[u8], tolerance: u8) {
        let differences = expected.iter().zip(got).map(|(e, g)| e.abs_diff(*g));
        let error = differences.clone().max().unwrap_or(0);
        let n_off = differences.filter(|d| *d > 0).count();
        let share = n_off as f64 / expected.len().max(1) as f64;
        let is_seldom = tolerance > STEPS_TOLERANCE || share <= OFF_BY_ONE_SHARE;
        let fits = expected.len() == got.len() && error <= tolerance && is_seldom;
        let note = format!("{n_off} of {} values off", expected.len());
        let verdict = Verdict::passes_if(fits);
        self.add(name, Some(error.into()), tolerance.into(), verdict, note);
    }

    /// A value that must be the same in every number format.
    pub fn equal<T: PartialEq + std::fmt::Debug>(&mut self, name: &str, expected: &T, got: &T) {
        let same = expected == got;
        let note = if same {
            String::new()
        } else {
            format!("expected {expected:?}, got {got:?}")
        };
        self.add(name, None, 0.0, Verdict::passes_if(same), note);
    }

    /// Greedily chosen ids: the same in f32. In coarse formats a near tie may fall either way, and all ids behind it
    /// follow from that: no bound holds, and the difference is reported.
    pub fn greedy_ids(&mut self, name: &str, expected: &[u32], got: &[u32]) {
        if self.format == Format::F32 {
            self.equal(name, &expected, &got);
            return;
        }
        let n_same = expected.iter().zip(got).take_while(|(e, g)| e == g).count();
        let n_off = expected.len() - n_same;
        let note = format!(
            "the first {n_same} of {} ids agree; no bound: a near tie may fall either way",
            expected.len()
        );
        let error = Some(n_off as f64);
        self.add(name, error, f64::INFINITY, Verdict::Reported, note);
    }

    /// Fail every golden name that no check has used: it is unknown whether it holds.
    pub fn fail_unused(&mut self) {
        let names = self.golden.names().unwrap_or_default();
        let unused: Vec<String> = names
            .into_iter()
            .filter(|name| !self.used.contains(name))
            .collect();
        for name in unused {
            let note = "no check knows this name".into();
            self.add(&name, None, 0.0, Verdict::Failed, note);
        }
    }

    /// A difference that may be as large as `tolerance`.
    fn bound(&mut self, name: &str, error: f64, tolerance: f64, note: String) {
        let verdict = Verdict::passes_if(error <= tolerance);
        self.add(name, Some(error), tolerance, verdict, note);
    }

    fn add(
        &mut self,
        name: &str,
        error: Option<f64>,
        tolerance: f64,
        verdict: Verdict,
        note: String,
    ) {
        (self.on_check)(&Check {
            group: name.into(),
            error,
            tolerance,
            verdict,
            note,
        });
    }
}

/// Each pixel's index among the Spectral colours; another colour counts as the first.
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
