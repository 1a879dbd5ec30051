//! The true answer of a question, as rewards and scores compare with it.

use cooper_model::reasoning::answers::{AnswerForm, LengthUnit, Truth};
use cooper_scenes::Question;

/// The truth of a question; lengths are judged by the true number, not by the rounded one of the answer.
pub(crate) fn scene_truth(question: &Question) -> Truth {
    let unit = question.unit.and_then(LengthUnit::parse);
    let form = match (question.value, unit) {
        _ if !question.choices.is_empty() => AnswerForm::Choice(question.choices.clone()),
        (Some(value), Some(unit)) => AnswerForm::Length {
            cm: value * unit.cm(),
            unit,
        },
        (Some(value), None) => AnswerForm::Integer(value),
        (None, _) if matches!(question.answer.as_str(), "yes" | "no") => AnswerForm::YesNo,
        (None, _) => AnswerForm::Text,
    };
    Truth {
        text: question.answer.clone(),
        form,
    }
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::answers::LengthRule;
    use cooper_scenes::{QuestionKind, Scene, SceneConfig, Split};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn question(kind: QuestionKind, answer: &str, choices: &[&str]) -> Question {
        let is_number = kind == QuestionKind::CameraDistance;
        Question {
            kind,
            text: String::new(),
            answer: answer.into(),
            choices: choices.iter().map(|&c| c.into()).collect(),
            value: match kind {
                QuestionKind::Count => answer.parse().ok(),
                _ => is_number.then_some(2.0),
            },
            unit: is_number.then_some("m"),
            objects: Vec::new(),
            thought: String::new(),
        }
    }

    fn is_right(question: &Question, given: &str) -> bool {
        scene_truth(question).is_right(given, LengthRule::default())
    }

    #[track_caller]
    fn check(question: &Question, right: &[&str], wrong: &[&str]) {
        for given in right {
            assert!(is_right(question, given), "{given:?} is right");
        }
        for given in wrong {
            assert!(!is_right(question, given), "{given:?} is wrong");
        }
    }

    #[test]
    fn names_are_compared_without_articles() {
        check(
            &question(QuestionKind::Nearer, "the red box", &[]),
            &["the red box", "Red box.", " THE  red box "],
            &["", "red", "the red ball", "the blue box", "box"],
        );
    }

    #[test]
    fn lengths_may_be_off_by_a_quarter_and_counts_by_nothing() {
        let length = question(QuestionKind::CameraDistance, "2.0 m", &[]);
        check(
            &length,
            &["2", "2.0 m", "1.5 m.", "2.5m", "200 cm"],
            &["1.4 m", "2.6", "m", "", "-2 m", "2 km", "2.0.0"],
        );
        check(
            &question(QuestionKind::Count, "3", &[]),
            &["3", "3."],
            &["2", "4", "3.1", "33", ""],
        );
    }

    #[test]
    fn choices_are_named_by_letter_or_text() {
        let question = question(QuestionKind::CameraDistance, "B", &["1.0 m", "2.0 m"]);
        let right = [
            "B",
            "b",
            "(B)",
            "B.",
            "(B) 2.0 m",
            "2.0 m",
            "2.0",
            "1.9 m",
            ":b:",
            "((b))",
        ];
        check(
            &question,
            &right,
            &[
                "A", "(A)", "1.0 m", "1.1 m", "1.5 m", "2.5 m", "C", "", "AB",
            ],
        );
    }

    #[test]
    fn the_right_answer_is_right_and_no_other_choice() {
        for index in 0..60 {
            let scene = Scene::generate(&SceneConfig::default(), Split::Validation, index);
            for question in scene.questions(&mut StdRng::seed_from_u64(index)) {
                assert!(is_right(&question, &question.answer), "{question:?}");
                assert!(is_right(&question, question.in_words()), "{question:?}");
                assert!(!is_right(&question, "nothing"));
                let right = question.choices.iter().filter(|c| is_right(&question, c));
                assert_eq!(right.count(), usize::from(!question.choices.is_empty()));
            }
        }
    }
}
