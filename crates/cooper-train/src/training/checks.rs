//! What the configurations of several stages must keep.

use cooper_imaging::ResizeRule;
use cooper_model::{Error, Result};

/// Whether depths in metres can be drawn between these.
///
/// # Errors
/// [`Error::InvalidInput`] if not.
pub fn check_depth_range([near, far]: [f32; 2]) -> Result<()> {
    if near >= 0.0 && near < far && far.is_finite() {
        return Ok(());
    }
    let why = format!("expected 0 <= near < far, got [{near}, {far}]");
    Err(Error::invalid("depth_range_m", why))
}

/// Whether sources can be drawn by these weights.
///
/// # Errors
/// [`Error::InvalidInput`] about `key` if not.
pub fn check_weights(key: &str, weights: impl Iterator<Item = f64>) -> Result<()> {
    let weights: Vec<f64> = weights.collect();
    let total: f64 = weights.iter().sum();
    if weights.iter().all(|weight| *weight >= 0.0) && total > 0.0 && total.is_finite() {
        return Ok(());
    }
    let why = format!("expected sources with weights, some above 0, got {weights:?}");
    Err(Error::invalid(key, why))
}

/// Whether an image keeps this width and height when the model reads it.
///
/// # Errors
/// [`Error::InvalidInput`] about `key` if not.
pub fn check_kept_size(key: &str, rule: ResizeRule, [width, height]: [u32; 2]) -> Result<()> {
    let (w, h) = rule.output_size(width, height);
    if (w, h) == (width, height) {
        return Ok(());
    }
    let why = format!(
        "expected a size that the model's images keep, got {width}x{height}, which would become {w}x{h}"
    );
    Err(Error::invalid(key, why))
}
