//! The self-test of the step cache: it is used only where it was seen to draw what is drawn without it.

use std::fmt;

use cooper_model::Result;
use cooper_model::engine::{Cancel, Engine, FlowParams};
use cooper_model::perception::{MapRequest, cache_error_of};
use image::RgbImage;

/// How far latents that are drawn with the step cache may be from exact ones: the length of the difference, as a share of
/// theirs.
pub const CACHE_TOLERANCE: f64 = 0.1;

/// What the self-test said, and of which way of drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct CacheTest {
    flow: FlowParams,
    error: f64,
}

impl CacheTest {
    /// Draw the depth of `image` with the step cache and without, and compare.
    ///
    /// # Errors
    /// [`cooper_model::Error::Canceled`] within one flow step of a stop.
    pub fn run(
        engine: &Engine,
        request: &MapRequest,
        image: &RgbImage,
        cancel: &Cancel,
    ) -> Result<Self> {
        let error = cache_error_of(engine, request, image, cancel)?;
        let test = Self {
            flow: request.flow.clone(),
            error,
        };
        if test.has_passed() {
            tracing::info!("{test}");
        } else {
            tracing::warn!("{test}");
        }
        Ok(test)
    }

    /// Whether it is of this way of drawing.
    pub fn is_of(&self, flow: &FlowParams) -> bool {
        self.flow == *flow
    }

    /// Whether the step cache may be used.
    pub fn has_passed(&self) -> bool {
        // Written so that NaN fails.
        self.error <= CACHE_TOLERANCE
    }
}

impl fmt::Display for CacheTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [error, tolerance] = [self.error, CACHE_TOLERANCE].map(|share| 100.0 * share);
        let threshold = self.flow.cache_threshold;
        let used = if self.has_passed() {
            "is used"
        } else {
            "is turned off, and all steps are computed"
        };
        write!(
            f,
            "the step cache (flow.cache_threshold {threshold}) {used}: with it, the test image's latents are off by \
             {error:.1} %, expected at most {tolerance} %"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_error_passes_and_the_figures_are_told() {
        let of = |error| CacheTest {
            flow: FlowParams {
                cache_threshold: 0.5,
                ..FlowParams::default()
            },
            error,
        };
        assert!(of(0.0).has_passed() && of(0.1).has_passed());
        assert!(!of(0.11).has_passed() && !of(f64::NAN).has_passed());
        let told = of(0.234).to_string();
        for part in ["cache_threshold 0.5", "turned off", "23.4 %", "10 %"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
