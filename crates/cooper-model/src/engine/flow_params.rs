//! How maps are drawn: the numbers, a model's own ones, named profiles, and what fits into a time budget.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::speed::{Part, Speed};
use crate::error::{Error, Result};
use crate::flow::{Guidance, Renorm, Schedule};

/// File name of a model's own [`FlowParams`], optional and ours.
pub const FLOW_CONFIG_NAME: &str = "flow_config.json";

/// A map that is fitted into a time budget has at least so many steps, unless it was to have fewer.
pub const MIN_FITTED_STEPS: usize = 4;
/// A fitted map may take this much longer than was measured.
const FITTED_MARGIN: f64 = 1.25;

/// How maps are drawn. The defaults are the ones behind the paper's numbers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FlowParams {
    /// Points of time from noise to image, from 2; one step fewer is made.
    pub time_points: usize,
    /// Scale of guidance by the text; 1: none.
    pub guidance_text: f64,
    /// Scale of guidance by the image; 1: none.
    pub guidance_image: f64,
    /// Guide only for shifted times in (low, high].
    pub guidance_interval: [f64; 2],
    /// How guided velocities are shortened.
    pub renorm: Renorm,
    /// The least factor of renormalisation, 0 to 1; 1 turns it off.
    pub renorm_min: f64,
    /// Above 1, more of the time points lie near the noise.
    pub timestep_shift: f64,
    /// A step is forecast if the expected relative error of its velocity is at most this, 0 to 1; 0: all steps are
    /// computed.
    pub cache_threshold: f64,
}

impl Default for FlowParams {
    fn default() -> Self {
        Self {
            time_points: 50,
            guidance_text: 4.0,
            guidance_image: 2.0,
            guidance_interval: [0.0, 1.0],
            renorm: Renorm::TextChannel,
            renorm_min: 0.0,
            timestep_shift: 3.0,
            cache_threshold: 0.0,
        }
    }
}

impl FlowParams {
    /// Those of a model directory's `flow_config.json`, the defaults where it has none.
    ///
    /// # Errors
    /// [`Error::Weights`] with the key that is wrong.
    pub fn of_model(dir: &Path) -> Result<Self> {
        let file = dir.join(FLOW_CONFIG_NAME);
        let Ok(text) = std::fs::read_to_string(&file) else {
            return Ok(Self::default());
        };
        serde_json::from_str(&text).map_err(|e| Error::Weights {
            path: file,
            why: e.to_string(),
        })
    }

    /// The same without the step cache.
    pub fn exact(&self) -> Self {
        Self {
            cache_threshold: 0.0,
            ..self.clone()
        }
    }

    /// How many steps are made; the step cache computes fewer.
    pub fn n_steps(&self) -> usize {
        self.schedule().n_steps()
    }

    /// Whether the poorer contexts of [`super::GuidanceContexts`] are looked at.
    pub fn is_guided(&self) -> bool {
        self.guidance_text > 1.0
    }

    /// The same with as many steps, at most its own and at least [`MIN_FITTED_STEPS`], as are drawn and decoded within
    /// this time, for `n_tokens` latent tokens and at this speed. Without a measurement it stays as it is.
    pub(super) fn fitted(&self, n_tokens: usize, within: Duration, speed: &Speed) -> Self {
        let with = |time_points| Self {
            time_points,
            ..self.clone()
        };
        let fits = |flow: &Self| {
            let seconds = flow.seconds(n_tokens, speed);
            seconds.is_none_or(|s| s * FITTED_MARGIN <= within.as_secs_f64())
        };
        let least = with(self.time_points.min(MIN_FITTED_STEPS + 1));
        let fewer = (least.time_points + 1..=self.time_points).rev().map(with);
        fewer.into_iter().find(fits).unwrap_or(least)
    }

    /// How long a map of `n_tokens` latent tokens takes, if the speed is known. How many steps the step cache will
    /// forecast is not known before: this is the time without it, and at least what it takes.
    fn seconds(&self, n_tokens: usize, speed: &Speed) -> Option<f64> {
        let guidance = self.guidance();
        let mut units = [0.0; 4];
        for (t, _) in self.schedule().steps() {
            let n_branches = guidance.n_branches(t);
            units[n_branches] += (n_branches * n_tokens) as f64;
        }
        let decode = speed.seconds_per_unit(Part::Decode)? * n_tokens as f64;
        let per_unit = |n: usize| speed.seconds_per_unit(Part::FlowStep(n));
        let steps = (1..=3).map(|n| Some(per_unit(n)? * units[n]));
        Some(decode + steps.sum::<Option<f64>>()?)
    }

    pub(super) fn schedule(&self) -> Schedule {
        Schedule::new(self.time_points, self.timestep_shift)
    }

    pub(super) fn guidance(&self) -> Guidance {
        Guidance {
            text: self.guidance_text,
            image: self.guidance_image,
            interval: self.guidance_interval,
            renorm: self.renorm,
            renorm_min: self.renorm_min,
        }
    }
}

/// A named way of drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FlowProfile {
    /// As the model's own [`FlowParams`] say, or as behind the paper's numbers.
    #[default]
    Paper,
    /// Fewer time points, and those steps forecast that can be; with the same guidance.
    Realtime,
}

impl FlowProfile {
    /// The most time points of [`Self::Realtime`].
    const REALTIME_POINTS: usize = 10;
    /// The threshold of [`Self::Realtime`], where the model says none.
    const REALTIME_THRESHOLD: f64 = 0.2;

    /// What a model's own parameters become.
    pub fn of(self, flow: FlowParams) -> FlowParams {
        match self {
            Self::Paper => flow,
            Self::Realtime => FlowParams {
                time_points: flow.time_points.min(Self::REALTIME_POINTS),
                cache_threshold: match flow.cache_threshold {
                    0.0 => Self::REALTIME_THRESHOLD,
                    threshold => threshold,
                },
                ..flow
            },
        }
    }
}

impl FromStr for FlowProfile {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "paper" => Ok(Self::Paper),
            "realtime" => Ok(Self::Realtime),
            _ => Err(format!("expected paper or realtime, got `{text}`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn realtime_takes_steps_away_and_leaves_guidance() {
        let paper = FlowParams::default();
        assert_eq!(FlowProfile::Paper.of(paper.clone()), paper);
        let realtime = FlowProfile::Realtime.of(paper.clone());
        assert_eq!((realtime.time_points, realtime.cache_threshold), (10, 0.2));
        let guidance = |flow: &FlowParams| {
            let scales = [flow.guidance_text, flow.guidance_image];
            (scales, flow.guidance_interval, flow.renorm)
        };
        assert_eq!(guidance(&realtime), guidance(&paper));
    }

    #[test]
    fn realtime_makes_no_model_slower() {
        let own = FlowParams {
            time_points: 3,
            cache_threshold: 0.05,
            ..FlowParams::default()
        };
        assert_eq!(FlowProfile::Realtime.of(own.clone()), own);
        for name in ["paper", "realtime"] {
            assert!(name.parse::<FlowProfile>().is_ok(), "{name}");
        }
    }
}
