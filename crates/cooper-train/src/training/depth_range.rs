//! The range of depths that is drawn.

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
