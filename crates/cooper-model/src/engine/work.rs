//! Counters of what an engine computed.

/// How much work an engine has done since it was made. What was kept and used again is no work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkDone {
    /// Images that the autoencoder encoded.
    pub vae_encoded: u64,
    /// Images that the vision encoder encoded.
    pub vit_encoded: u64,
    /// Tokens of images, markers among them, that contexts read.
    pub image_tokens: u64,
    /// Tokens of texts that contexts read, or that were written.
    pub text_tokens: u64,
    /// Branches of flow steps: up to three in each.
    pub flow_branches: u64,
    /// Flow steps whose velocity the step cache forecast: no branch was computed.
    pub flow_forecasts: u64,
}
