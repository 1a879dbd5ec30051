//! A language model that reads answers, behind an OpenAI-compatible endpoint. Off unless somebody names one.
//!
//! It reads the model's last text and says which letter, word, number or length was meant; scoring stays ours.
//! Answers in free words are graded from 0 to 1 (MM-Vet).

use std::time::Duration;

use cooper_model::reasoning::answers::{AnswerForm, Reading};
use cooper_model::{Error, Result};
use serde_json::{Value, json};
use ureq::Agent;

use super::item::QaItem;
use super::score::Extracted;

/// The most of an answer that is sent.
const MAX_CHARS: usize = 8192;
/// The most bytes of a reply.
const MAX_REPLY: u64 = 1 << 20;

/// Which judge, and how patiently it is asked.
#[derive(Clone)]
pub struct JudgeOptions {
    /// `https://HOST/v1`, or the whole address of its `chat/completions`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as bearer token.
    pub key: Option<String>,
    /// How long one request may take.
    pub timeout: Duration,
    /// How often a question is asked before it is given up, from 1.
    pub tries: u32,
    /// The pause after the first failure; it doubles each time.
    pub pause: Duration,
}

/// Written by hand: the key stays out of logs.
impl std::fmt::Debug for JudgeOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.debug_struct("JudgeOptions")
            .field("url", &self.url)
            .field("model", &self.model)
            .field("has_key", &self.key.is_some())
            .finish_non_exhaustive()
    }
}

/// A judge to ask.
#[derive(Debug)]
pub struct Judge {
    agent: Agent,
    options: JudgeOptions,
    address: String,
}

impl Judge {
    /// A judge; nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if the address is none.
    pub fn new(options: JudgeOptions) -> Result<Self> {
        let url = options.url.trim_end_matches('/');
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let why = format!("expected an address that begins with http(s)://, got {url}");
            return Err(Error::invalid("judge", why));
        }
        let address = if url.ends_with("/chat/completions") {
            url.to_owned()
        } else {
            format!("{url}/chat/completions")
        };
        let config = Agent::config_builder().timeout_global(Some(options.timeout));
        Ok(Self {
            agent: config.build().into(),
            options,
            address,
        })
    }

    /// What the judge reads in `answer`; none if it finds nothing of the asked form.
    ///
    /// # Errors
    /// Why it did not reply in all tries.
    pub fn read(
        &self,
        item: &QaItem,
        answer: &str,
    ) -> std::result::Result<Option<Extracted>, String> {
        let prompt = prompt(item, answer);
        let mut pause = self.options.pause;
        let mut failure = String::new();
        for attempt in 0..self.options.tries.max(1) {
            if attempt > 0 {
                std::thread::sleep(pause);
                pause *= 2;
            }
            match self.ask(&prompt) {
                Ok(reply) => return Ok(understood(&item.truth.form, &reply)),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    fn ask(&self, prompt: &str) -> std::result::Result<String, String> {
        let mut request = self.agent.post(&self.address);
        if let Some(key) = &self.options.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let body = json!({
            "model": self.options.model,
            "temperature": 0,
            "messages": [{"role": "user", "content": prompt}],
        });
        let request = request.header("Content-Type", "application/json");
        let mut response = request.send(body.to_string()).map_err(|e| e.to_string())?;
        let reply = response.body_mut().with_config().limit(MAX_REPLY);
        let reply = reply.read_to_vec().map_err(|e| e.to_string())?;
        let reply: Value =
            serde_json::from_slice(&reply).map_err(|e| format!("expected a reply in JSON: {e}"))?;
        let content = &reply["choices"][0]["message"]["content"];
        let content = content.as_str().map(str::to_owned);
        content.ok_or_else(|| "expected choices[0].message.content in the reply, got none".into())
    }
}

/// Read the judge's reply by the rules for answers; `NONE` is nothing.
fn understood(form: &AnswerForm, reply: &str) -> Option<Extracted> {
    if reply
        .trim()
        .trim_end_matches('.')
        .eq_ignore_ascii_case("none")
    {
        return None;
    }
    match form {
        AnswerForm::Text => match AnswerForm::Number(0.0).read(reply)? {
            Reading::Number(grade) => Some(Extracted::Grade(grade.clamp(0.0, 1.0))),
            _ => None,
        },
        form => Extracted::by_rules(form, reply),
    }
}

fn prompt(item: &QaItem, answer: &str) -> String {
    let task = match &item.truth.form {
        AnswerForm::Choice(_) => {
            "Which option does the response choose? Reply with its letter only."
        }
        AnswerForm::YesNo => "Does the response say yes or no? Reply with Yes or No only.",
        AnswerForm::Integer(_) | AnswerForm::Number(_) => {
            "Which number does the response give as its answer? Reply with the number in digits only."
        }
        AnswerForm::Length { .. } => {
            "Which length does the response give as its answer? Reply with the number in digits and the unit only, \
             for example 2.5 m; give a range as 2-3 m."
        }
        AnswerForm::Text => {
            "How right is the response, compared with the correct answer? Reply with a number from 0.0 (wrong) to \
             1.0 (right) only; if only a part is right, with the share. <AND> stands between parts that all have to \
             be there, <OR> between answers of which one is enough."
        }
    };
    let truth = match &item.truth.form {
        // Only a grade needs it; a reader who knows it reads it into the response.
        AnswerForm::Text => format!("\n\nCorrect answer: {}", item.truth.text),
        _ => String::new(),
    };
    let answer: String = answer.chars().take(MAX_CHARS).collect();
    format!(
        "A model was asked a question about a picture. {task} If there is none, reply NONE.\n\n\
         Question: {}{truth}\n\nResponse: {answer}",
        item.question
    )
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::answers::LengthUnit;

    use super::*;

    #[test]
    fn replies_are_read_by_the_same_rules() {
        let choices = AnswerForm::Choice(vec!["red".into(), "blue".into()]);
        assert_eq!(
            understood(&choices, "B"),
            Some(Extracted::Read(Reading::Letter('B')))
        );
        assert_eq!(understood(&choices, "Z"), None);
        let length = AnswerForm::Length {
            cm: 100.0,
            unit: LengthUnit::Meter,
        };
        assert_eq!(
            understood(&length, "30 cm"),
            Some(Extracted::Read(Reading::LengthCm(30.0)))
        );
        assert_eq!(understood(&length, "NONE."), None);
        assert_eq!(
            understood(&AnswerForm::Text, "0.5"),
            Some(Extracted::Grade(0.5))
        );
        assert_eq!(understood(&AnswerForm::Text, "good"), None);
    }

    #[test]
    fn a_wrong_address_is_refused_and_a_key_not_told() {
        let options = |url: &str| JudgeOptions {
            url: url.into(),
            model: "m".into(),
            key: Some("secret".into()),
            timeout: Duration::from_secs(1),
            tries: 1,
            pause: Duration::ZERO,
        };
        assert!(Judge::new(options("ftp://host")).is_err());
        let judge = Judge::new(options("https://host/v1/")).unwrap();
        assert_eq!(judge.address, "https://host/v1/chat/completions");
        assert!(!format!("{judge:?}").contains("secret"));
    }
}
