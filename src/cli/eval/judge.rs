//! The flags of the judge, which is off unless it is named.

use std::time::Duration;

use clap::Args;
use cooper_model::{Error, Result};
use cooper_train::evaluation::qa::{Judge, JudgeOptions};
use serde_json::{Value, json};

use super::super::model::at_least;

/// The pause after a first failure.
const PAUSE: Duration = Duration::from_secs(1);

/// A language model that reads answers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Judge (off unless named; sends questions and answers to it)")]
pub(super) struct JudgeArgs {
    /// Let an OpenAI-compatible endpoint read the answers, for example https://HOST/v1
    #[arg(long, value_name = "URL", requires = "judge_model")]
    judge: Option<String>,
    /// The model's name there
    #[arg(long, value_name = "NAME", requires = "judge")]
    judge_model: Option<String>,
    /// The environment variable that holds its key
    #[arg(long, value_name = "VARIABLE", requires = "judge")]
    judge_key_env: Option<String>,
    /// Seconds that a request may take
    #[arg(long, value_name = "S", value_parser = at_least::<1>, default_value_t = 30)]
    judge_timeout: usize,
    /// How often an answer is sent before rules read it
    #[arg(long, value_name = "N", value_parser = at_least::<1>, default_value_t = 3)]
    judge_tries: usize,
}

impl JudgeArgs {
    /// The judge, if one is named.
    pub(super) fn judge(&self) -> Result<Option<Judge>> {
        let (Some(url), Some(model)) = (&self.judge, &self.judge_model) else {
            return Ok(None);
        };
        let key = |variable: &String| {
            std::env::var(variable).map_err(|e| {
                let why = format!("expected a key in the environment variable {variable}: {e}");
                Error::invalid("--judge-key-env", why)
            })
        };
        Judge::new(JudgeOptions {
            url: url.clone(),
            model: model.clone(),
            key: self.judge_key_env.as_ref().map(key).transpose()?,
            timeout: Duration::from_secs(self.judge_timeout as u64),
            tries: u32::try_from(self.judge_tries).unwrap_or(u32::MAX),
            pause: PAUSE,
        })
        .map(Some)
    }

    /// For the report.
    pub(super) fn describe(&self) -> Value {
        self.judge.as_ref().map_or(
            Value::Null,
            |url| json!({"url": url, "model": self.judge_model}),
        )
    }
}
