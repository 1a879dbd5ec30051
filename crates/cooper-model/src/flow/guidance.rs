//! Classifier-free guidance with two branches, and the three renormalisations of BAGEL.
//!
//! Source: BAGEL `modeling/bagel/bagel.py`, `_forward_flow`; the formulas are in the paper's appendix on inference.

use std::str::FromStr;

use candle_core::{D, DType, Result, Tensor};

/// Over what the guided velocity's length is held to the unguided one's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Renorm {
    /// Over all tokens together, after both branches.
    Global,
    /// Per token, after both branches.
    Channel,
    /// Per token, after the text branch and before the image branch.
    #[default]
    TextChannel,
}

impl FromStr for Renorm {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text {
            "global" => Ok(Self::Global),
            "channel" => Ok(Self::Channel),
            "text_channel" => Ok(Self::TextChannel),
            _ => Err(format!(
                "expected global, channel or text_channel, got `{text}`"
            )),
        }
    }
}

/// How strongly, when and with what renormalisation to guide.
#[derive(Clone, Debug)]
pub struct Guidance {
    /// Scale of the branch without text; 1 is no guidance at all.
    pub text: f64,
    /// Scale of the branch without the image; used only with text guidance.
    pub image: f64,
    /// Guide only for shifted times in (low, high].
    pub interval: [f64; 2],
    /// See [`Renorm`].
    pub renorm: Renorm,
    /// The least factor of renormalisation; 1 turns it off.
    pub renorm_min: f64,
}

/// The velocities of one step, each (n, c).
#[derive(Debug)]
pub struct Velocities {
    /// With everything in the context.
    pub full: Tensor,
    /// Without the text; needed where [`Guidance::needs_text_branch`].
    pub without_text: Option<Tensor>,
    /// Without the image; needed where [`Guidance::needs_image_branch`].
    pub without_image: Option<Tensor>,
}

impl Guidance {
    /// Whether the branch without text is needed at time `t`.
    pub fn needs_text_branch(&self, t: f32) -> bool {
        self.text > 1.0 && t > self.interval[0] as f32 && t <= self.interval[1] as f32
    }

    /// Whether the branch without the image is needed at time `t`.
    ///
    /// Upstream evaluates it without text guidance too, and then ignores it.
    pub fn needs_image_branch(&self, t: f32) -> bool {
        self.image > 1.0 && self.needs_text_branch(t)
    }

    /// How many branches are needed at time `t`; the one without the image is never needed alone.
    pub fn n_branches(&self, t: f32) -> usize {
        1 + usize::from(self.needs_text_branch(t)) + usize::from(self.needs_image_branch(t))
    }

    /// The guided velocity (n, c), f32 where it was guided.
    ///
    /// # Errors
    /// If shapes differ.
    pub fn combine(&self, velocities: &Velocities) -> Result<Tensor> {
        let Some(without_text) = &velocities.without_text else {
            return Ok(velocities.full.clone());
        };
        let full = velocities.full.to_dtype(DType::F32)?;
        let guided = away_from(without_text, &full, self.text)?;
        let guided = match self.renorm {
            Renorm::TextChannel => self.shorten(&guided, &full, token_norm)?,
            Renorm::Global | Renorm::Channel => guided,
        };
        let guided = match &velocities.without_image {
            Some(without_image) => away_from(without_image, &guided, self.image)?,
            None => guided,
        };
        match self.renorm {
            Renorm::TextChannel => Ok(guided),
            Renorm::Global => self.shorten(&guided, &full, whole_norm),
            Renorm::Channel => self.shorten(&guided, &full, token_norm),
        }
    }

    /// Scale `guided` by the ratio of the lengths, between `renorm_min` and 1.
    fn shorten(
        &self,
        guided: &Tensor,
        full: &Tensor,
        norm: fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let ratio = norm(full)?.broadcast_div(&(norm(guided)? + 1e-8)?)?;
        guided.broadcast_mul(&ratio.clamp(self.renorm_min, 1.0)?)
    }
}

/// `base + scale · (v − base)`
fn away_from(base: &Tensor, v: &Tensor, scale: f64) -> Result<Tensor> {
    let base = base.to_dtype(DType::F32)?;
    &base + ((v - &base)? * scale)?
}

fn token_norm(v: &Tensor) -> Result<Tensor> {
    v.sqr()?.sum_keepdim(D::Minus1)?.sqrt() // (n, 1)
}

fn whole_norm(v: &Tensor) -> Result<Tensor> {
    v.sqr()?.sum_all()?.sqrt()?.reshape((1, 1))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn guidance(renorm: Renorm, renorm_min: f64) -> Guidance {
        Guidance {
            text: 4.0,
            image: 2.0,
            interval: [0.4, 1.0],
            renorm,
            renorm_min,
        }
    }

    fn velocities() -> Velocities {
        let tensor = |values: [[f32; 2]; 2]| Tensor::new(&values, &Device::Cpu).unwrap();
        Velocities {
            full: tensor([[3.0, 4.0], [0.0, 1.0]]),
            without_text: Some(tensor([[1.0, 0.0], [0.0, 0.5]])),
            without_image: Some(tensor([[0.0, 1.0], [1.0, 0.0]])),
        }
    }

    #[test]
    fn a_renorm_minimum_of_one_turns_renorm_off() {
        // u = vT + 4 (v - vT) = [[9, 16], [0, 2.5]]; w = vI + 2 (u - vI) = [[18, 31], [-1, 5]]
        for renorm in [Renorm::Global, Renorm::Channel, Renorm::TextChannel] {
            let v = guidance(renorm, 1.0).combine(&velocities()).unwrap();
            assert_eq!(v.to_vec2::<f32>().unwrap(), [[18.0, 31.0], [-1.0, 5.0]]);
        }
    }

    #[test]
    fn channel_renorm_keeps_each_token_at_most_as_long() {
        let v = guidance(Renorm::Channel, 0.0)
            .combine(&velocities())
            .unwrap();
        let norms: Vec<f32> = token_norm(&v)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap();
        assert!(
            (norms[0] - 5.0).abs() < 1e-5 && (norms[1] - 1.0).abs() < 1e-5,
            "{norms:?}"
        );
    }

    #[test]
    fn no_branch_outside_the_interval_or_at_scale_one() {
        let mut g = guidance(Renorm::Global, 0.0);
        assert!(g.needs_text_branch(1.0) && g.needs_image_branch(0.41));
        assert!(!g.needs_text_branch(0.4) && !g.needs_image_branch(0.2));
        g.text = 1.0;
        assert!(!g.needs_text_branch(1.0) && !g.needs_image_branch(1.0));
    }
}
