//! Stage 2b: group relative policy optimization of the interleaved reasoning (COOPER's CPR, BAGEL-RE's text variant).
//!
//! For each question a group of answers is sampled with the present weights, maps drawn and looked at on the way;
//! an answer's advantage is its reward against the group's, and the loss is taken on the sampled text alone.
//!
//! Source: COOPER's GRPO trainer over TRL 0.19. Where the released code errs, this does not: images' latent tokens
//! see each other, a token is predicted from the one before it, and the first turn's tool call is rewarded.
//! Its losses are averaged over the tokens of a step, not of each prompt.

mod config;
mod policy;
mod questions;
mod rewards;
mod rollout;
mod stage;

pub use config::GrpoTraining;
pub use policy::{Scores, divergence, policy_losses, score};
pub use questions::{Asked, Flag, QuestionRows, QuestionSource, SceneQuestions};
pub use rewards::{
    Reward, RewardWeights, advantages, calls_tool, exploration, group_rewards, is_well_formed,
};
pub use rollout::{Opening, Rollout, roll_out};
pub use stage::{Group, GrpoStage, Judge};
