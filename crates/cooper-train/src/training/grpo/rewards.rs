//! What answers are worth: right or wrong, well-formed or not, and whether maps were explored where they help.
//!
//! Source: COOPER's CPR rewards. The released code drops the first turn before it looks for tool calls; here it counts.

use cooper_model::engine::MapKind;
use cooper_model::reasoning::answers::{LengthRule, Truth};
use cooper_model::reasoning::{Mode, Transcript, tag_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::questions::Flag;

/// Added to a group's standard deviation.
const STD_EPS: f64 = 1e-4;

/// Weights of the parts of a reward. The defaults are COOPER's.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RewardWeights {
    /// Weight of a right answer.
    pub answer: f64,
    /// Weight of well-formed turns; by default 1, in the mode `text` 0.1.
    pub format: Option<f64>,
    /// Weight of calling a tool where few of the group do and it helps, or of not calling where many do and it hurts.
    pub exploration: f64,
    /// Fewer answers of a group with a tool call than this are few, more are many. COOPER's 3 is for groups of 8.
    pub threshold: usize,
}

impl Default for RewardWeights {
    fn default() -> Self {
        Self {
            answer: 1.0,
            format: None,
            exploration: 0.2,
            threshold: 3,
        }
    }
}

impl RewardWeights {
    fn of_format(&self, mode: Mode) -> f64 {
        let usual = if mode == Mode::Text { 0.1 } else { 1.0 };
        self.format.unwrap_or(usual)
    }
}

/// The parts of an answer's reward, weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reward {
    /// For a right answer.
    pub answer: f64,
    /// For well-formed turns.
    pub format: f64,
    /// For calling a tool, or a penalty for it.
    pub exploration: f64,
    /// Whether the answer was right, whatever that counts.
    pub is_right: bool,
}

impl Reward {
    /// The sum of the parts.
    pub fn total(&self) -> f64 {
        self.answer + self.format + self.exploration
    }
}

/// The rewards of a group of answers to one question.
pub fn group_rewards(
    weights: &RewardWeights,
    mode: Mode,
    truth: &Truth,
    flag: Flag,
    answers: &[&Transcript],
) -> Vec<Reward> {
    let calls: Vec<bool> = answers
        .iter()
        .map(|answer| calls_tool(&answer.turns))
        .collect();
    let explored = match mode {
        Mode::Interleaved => exploration(flag, &calls, weights.threshold),
        _ => vec![0.0; answers.len()],
    };
    let reward = |(answer, explored): (&&Transcript, f64)| {
        let is_right = truth.is_right(&answer.answer, LengthRule::default());
        let formed = is_well_formed(mode, &answer.turns);
        Reward {
            answer: weights.answer * f64::from(u8::from(is_right)),
            format: weights.of_format(mode) * f64::from(u8::from(formed)),
            exploration: weights.exploration * explored,
            is_right,
        }
    };
    answers.iter().zip(explored).map(reward).collect()
}

/// Whether turns have the form that their mode asks for: thoughts and a tool call, at last thoughts and an answer;
/// in the mode `text` thoughts and whatever follows.
pub fn is_well_formed(mode: Mode, turns: &[String]) -> bool {
    let Some((last, before)) = turns.split_last() else {
        return false;
    };
    if mode == Mode::Text {
        let thoughts = last.trim().strip_prefix("<think>");
        return thoughts.is_some_and(|rest| rest.contains("</think>"));
    }
    before.iter().all(|turn| is_tool_turn(turn)) && thinks_then(last, "answer")
}

/// Whether one of the turns, the first and the last among them, is a well-formed tool call.
pub fn calls_tool(turns: &[String]) -> bool {
    turns.iter().any(|turn| is_tool_turn(turn))
}

fn is_tool_turn(turn: &str) -> bool {
    [MapKind::Depth, MapKind::Segmentation]
        .iter()
        .any(|kind| thinks_then(turn, tag_name(*kind)))
}

/// Whether a text, trimmed, is `<think>…</think>`, white space and `<tag>…</tag>` as a whole, over all its lines.
/// As with a regular expression, what stands for `…` may hold further tags.
fn thinks_then(text: &str, tag: &str) -> bool {
    const CLOSING: &str = "</think>";
    let inner = text.trim().strip_prefix("<think>");
    let inner = inner.and_then(|rest| rest.strip_suffix(&format!("</{tag}>")));
    let opening = format!("<{tag}>");
    inner.is_some_and(|inner| {
        inner.match_indices(CLOSING).any(|(at, _)| {
            let rest = inner[at + CLOSING.len()..].trim_start();
            rest.starts_with(&opening)
        })
    })
}

/// 1 for answers that call a tool where it helps and fewer than `threshold` of the group do; −1 for those that do
/// where it hurts and more than `threshold` do; else 0. `calls` says of each answer whether it calls a tool.
pub fn exploration(flag: Flag, calls: &[bool], threshold: usize) -> Vec<f64> {
    let n_calls = calls.iter().filter(|calls| **calls).count();
    let of_call = match flag {
        Flag::Positive if n_calls < threshold => 1.0,
        Flag::Negative if n_calls > threshold => -1.0,
        _ => 0.0,
    };
    calls
        .iter()
        .map(|calls| if *calls { of_call } else { 0.0 })
        .collect()
}

/// `(r − mean) / (std + 1e-4)` of a group of two and more, the standard deviation without bias.
pub fn advantages(rewards: &[f64]) -> Vec<f64> {
    let n = rewards.len() as f64;
    let mean = rewards.iter().sum::<f64>() / n;
    let squares: f64 = rewards.iter().map(|r| (r - mean).powi(2)).sum();
    let std = (squares / (n - 1.0)).sqrt();
    rewards
        .iter()
        .map(|r| (r - mean) / (std + STD_EPS))
        .collect()
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::{Status, Timings};

    use super::*;

    const CALL: &str = "<think> far? </think>\n<depth-estimation>go</depth-estimation>";
    const SEGMENT: &str = "<think>a\nb</think><segmentation>x\ny</segmentation>\n";
    const ANSWER: &str = " <think>so\n\nthen</think>\n\n<answer>It is \\boxed{B}</answer>";

    fn turns(turns: &[&str]) -> Vec<String> {
        turns.iter().map(|turn| (*turn).to_string()).collect()
    }

    #[test]
    fn forms_of_interleaved_answers() {
        for (expected, said) in [
            (true, vec![ANSWER]),
            (true, vec![CALL, ANSWER]),
            (true, vec![CALL, SEGMENT, ANSWER]),
            (true, vec!["<think></think><answer></answer>"]),
            // What stands between the tags may be anything, tags too.
            (
                true,
                vec!["<think>a</think>b</think><answer>c</answer></answer>"],
            ),
            (false, vec![]),
            (false, vec![""]),
            (false, vec![CALL]),
            (false, vec![ANSWER, ANSWER]),
            (false, vec![CALL, CALL, SEGMENT]),
            (false, vec!["<think>nothing</think>", ANSWER]),
            (false, vec!["so <think>a</think><answer>b</answer>"]),
            (false, vec!["<think>a</think><answer>b</answer>."]),
            (false, vec!["<think>a</think> so <answer>b</answer>"]),
            (false, vec!["<think>a<answer>b</answer>"]),
            (false, vec!["<answer>b</answer>"]),
            (false, vec!["<think>a</think><answer>b"]),
            (false, vec!["<think>a</think></answer>"]),
            (false, vec!["<think>a</think>\\boxed{b}"]),
            (
                false,
                vec!["<think>a</think><depth-estimation>b</segmentation>", ANSWER],
            ),
        ] {
            assert_eq!(
                is_well_formed(Mode::Interleaved, &turns(&said)),
                expected,
                "{said:?}"
            );
        }
    }

    #[test]
    fn forms_of_thoughts_alone() {
        for (expected, said) in [
            (true, " <think>a\nb</think>\n\\boxed{c}"),
            (true, "<think></think>"),
            (false, "a <think>b</think> c"),
            (false, "<think>a"),
            (false, "</think><think>"),
            (false, ""),
        ] {
            assert_eq!(
                is_well_formed(Mode::Text, &turns(&[said])),
                expected,
                "{said:?}"
            );
        }
    }

    #[test]
    fn the_first_turns_call_counts() {
        assert!(calls_tool(&turns(&[CALL, ANSWER])));
        assert!(calls_tool(&turns(&[SEGMENT])));
        assert!(calls_tool(&turns(&["broken", CALL])));
        assert!(!calls_tool(&turns(&[ANSWER])));
        // It draws, but it does not think.
        assert!(!calls_tool(&turns(&[
            "<segmentation>x</segmentation>",
            ANSWER
        ])));
    }

    #[test]
    fn exploration_is_rewarded_where_few_and_punished_where_many_call() {
        let of = |flag, n_calls: usize| {
            let calls: Vec<bool> = (0..8).map(|i| i < n_calls).collect();
            let bonus = exploration(flag, &calls, 3);
            assert!(bonus[n_calls..].iter().all(|bonus| *bonus == 0.0));
            bonus.first().copied().unwrap_or_default()
        };
        use Flag::{Boundary, Negative, Positive};
        let ones = |n: usize, one: f64| (1..=n).map(|_| one).collect::<Vec<_>>();
        let over = |flag| (1..=8).map(|n| of(flag, n)).collect::<Vec<_>>();
        assert_eq!(over(Positive), [ones(2, 1.0), ones(6, 0.0)].concat());
        assert_eq!(over(Negative), [ones(3, 0.0), ones(5, -1.0)].concat());
        assert_eq!(over(Boundary), ones(8, 0.0));
        assert_eq!(of(Positive, 0), 0.0);
    }

    #[test]
    fn rewards_of_a_group_by_hand() {
        let said = |answer: &str, said: &[&str]| Transcript {
            status: Status::Answered,
            answer: answer.into(),
            turns: turns(said),
            ids: Vec::new(),
            evidence: Vec::new(),
            timings: Timings::default(),
        };
        let group = [
            said("B", &[CALL, ANSWER]),
            said("(b)", &[ANSWER]),
            said("A", &[CALL, ANSWER]),
            said("B", &["\\boxed{B}"]),
            said("", &[CALL, CALL, "cut"]),
        ];
        let group: Vec<&Transcript> = group.iter().collect();
        let truth = Truth::of_answer("b").unwrap();
        let weights = RewardWeights::default();
        let totals = |flag, weights: &RewardWeights, mode, group: &[&Transcript]| -> Vec<f64> {
            let rewards = group_rewards(weights, mode, &truth, flag, group);
            rewards
                .iter()
                .map(|r| (r.total() * 10.0).round() / 10.0)
                .collect()
        };
        let interleaved = Mode::Interleaved;
        // Three of five call a tool: neither few nor many.
        let plain = [2.0, 2.0, 1.0, 1.0, 0.0];
        for flag in [Flag::Positive, Flag::Negative, Flag::Boundary] {
            assert_eq!(totals(flag, &weights, interleaved, &group), plain);
        }
        let few = totals(Flag::Positive, &weights, interleaved, &group[1..]);
        assert_eq!(few, [2.0, 1.2, 1.0, 0.2]);
        let strict = RewardWeights {
            threshold: 2,
            ..RewardWeights::default()
        };
        let many = totals(Flag::Negative, &strict, interleaved, &group);
        assert_eq!(many, [1.8, 2.0, 0.8, 1.0, -0.2]);
        let text = totals(Flag::Positive, &weights, Mode::Text, &group);
        assert_eq!(text, [1.1, 1.1, 0.1, 1.0, 0.0]);
    }

    #[test]
    fn advantages_by_hand() {
        // mean 1, squares 1 + 0 + 1 + 4 + 4 = 10, std √(10/4)
        let std = 2.5f64.sqrt() + 1e-4;
        let expected = [0.0, -1.0, 1.0, 2.0, -2.0].map(|r| r / std);
        for (got, expected) in advantages(&[1.0, 0.0, 2.0, 3.0, -1.0]).iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{got} {expected}");
        }
        assert_eq!(advantages(&[0.5; 8]), [0.0; 8]);
    }
}
