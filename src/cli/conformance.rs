//! `cooper conformance`: this implementation against a directory of golden values.

use std::path::PathBuf;

use clap::Args;
use cooper_model::Result;
use cooper_model::engine::{DtypeChoice, Quantization};
use cooper_train::conformance::{Check, Verdict};

use super::model::quantization;
use super::output;
use super::verdict::Verdict as CommandVerdict;

/// Compare every tensor group of a golden directory with what this program computes
///
/// In f32 tensors agree to 1e-4 of their largest value, images to one step of 255, and ids are equal. In bf16 or with
/// quantised matrices tensors agree to 0.15 of their largest value, drawn latents to 1e-3 in direction (1 - cosine),
/// drawn images to 38 steps of 255; greedily chosen ids are reported without a bound, since a near tie may fall either
/// way, and training, which runs in f32 alone, is skipped.
#[derive(Debug, Args)]
pub(super) struct ConformanceArgs {
    /// Directory with checkpoint/, expected.json, expected.safetensors and the images
    golden_dir: PathBuf,
    /// f32, or bf16 (compared more loosely)
    #[arg(long, default_value = "f32")]
    dtype: DtypeChoice,
    /// Quantisation of the transformer's matrices (compared more loosely)
    #[arg(long, default_value = "none", value_parser = quantization())]
    quantization: Quantization,
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    reported: usize,
    skipped: usize,
}

impl Tally {
    fn count(&mut self, check: &Check) {
        *match check.verdict {
            Verdict::Passed => &mut self.passed,
            Verdict::Failed => &mut self.failed,
            Verdict::Reported => &mut self.reported,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
    }

    fn line(&self) -> String {
        let mut line = format!("{} passed, {} failed", self.passed, self.failed);
        for (n, verdict) in [(self.reported, "reported"), (self.skipped, "skipped")] {
            if n > 0 {
                line += &format!(", {n} {verdict}");
            }
        }
        line + "\n"
    }
}

impl ConformanceArgs {
    /// Print one line per check and the tally; bad if any check failed.
    pub(super) fn run(self) -> Result<CommandVerdict> {
        let mut tally = Tally::default();
        let mut printed = Ok(());
        cooper_train::conformance::run(
            &self.golden_dir,
            self.dtype,
            self.quantization,
            &mut |check| {
                tally.count(check);
                if printed.is_ok() {
                    printed = output::print(&line(check));
                }
            },
        )?;
        printed?;
        output::print(&tally.line())?;
        Ok(CommandVerdict::good_if(tally.failed == 0))
    }
}

fn line(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Passed => "pass",
        Verdict::Failed => "FAIL",
        Verdict::Reported => "note",
        Verdict::Skipped => "skip",
    };
    let errors = match check.error {
        Some(error) if check.tolerance.is_finite() => {
            format!("{error:.2e} of {:.0e}", check.tolerance)
        }
        // Without a bound.
        Some(error) => format!("{error:.2e}"),
        None => String::new(),
    };
    let line = format!("{verdict}  {:<44} {errors:<18} {}", check.group, check.note);
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, error: Option<f64>) -> Check {
        Check {
            group: "vit.features".into(),
            error,
            tolerance: 1e-4,
            verdict,
            note: String::new(),
        }
    }

    #[test]
    fn a_line_says_verdict_group_and_errors() {
        let passed = line(&check(Verdict::Passed, Some(2.5e-6)));
        assert!(passed.starts_with("pass  vit.features "), "{passed}");
        assert!(passed.ends_with(" 2.50e-6 of 1e-4\n"), "{passed}");
        assert_eq!(line(&check(Verdict::Skipped, None)), "skip  vit.features\n");
    }

    #[test]
    fn the_last_line_counts() {
        let mut tally = Tally::default();
        tally.count(&check(Verdict::Passed, None));
        tally.count(&check(Verdict::Failed, None));
        assert_eq!(tally.line(), "1 passed, 1 failed\n");
        tally.count(&check(Verdict::Skipped, None));
        assert_eq!(tally.line(), "1 passed, 1 failed, 1 skipped\n");
        tally.count(&check(Verdict::Reported, None));
        assert_eq!(tally.line(), "1 passed, 1 failed, 1 reported, 1 skipped\n");
    }
}
