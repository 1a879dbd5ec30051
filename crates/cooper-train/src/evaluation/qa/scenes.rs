//! Questions about generated scenes: a fixed list, balanced over kinds.

use std::collections::VecDeque;

use cooper_scenes::{Question, QuestionKind};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::item::{ImageRef, QaItem, QaSet, Store};
use crate::evaluation::scene_set::SceneSet;
use crate::scene_truth::scene_truth;

/// See [`QaSet::scenes`].
pub(super) fn generate(scenes: SceneSet, per_scene: usize) -> QaSet {
    let mut items = Vec::new();
    for index in 0..scenes.n {
        // As `cooper scenes` asks: nothing but the scene's number decides.
        let mut rng = StdRng::seed_from_u64(index as u64);
        let questions = scenes.scene(index).questions(&mut rng);
        for (question, n) in balanced(questions, per_scene, index).into_iter().zip(1..) {
            items.push(QaItem {
                name: format!("scene {index} #{n}"),
                image_idx: index,
                kind: question.kind.name().into(),
                truth: scene_truth(&question),
                question: question.text,
            });
        }
    }
    QaSet {
        items,
        images: (0..scenes.n).map(ImageRef::Scene).collect(),
        broken: Vec::new(),
        store: Store::Scenes(Box::new(scenes)),
    }
}

/// At most `n` questions, one of each kind in turn; which kind comes first changes from scene to scene.
fn balanced(questions: Vec<Question>, n: usize, index: usize) -> Vec<Question> {
    let mut of_kind: Vec<VecDeque<Question>> = QuestionKind::OF_SCENES
        .iter()
        .map(|kind| {
            questions
                .iter()
                .filter(|q| q.kind == *kind)
                .cloned()
                .collect()
        })
        .collect();
    let n_kinds = of_kind.len();
    of_kind.rotate_left(index % n_kinds.max(1));
    let mut chosen = Vec::new();
    while chosen.len() < n && of_kind.iter().any(|queue| !queue.is_empty()) {
        let next = of_kind.iter_mut().filter_map(VecDeque::pop_front);
        chosen.extend(next.take(n - chosen.len()));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use cooper_model::reasoning::answers::{AnswerForm, LengthRule, Truth};
    use cooper_scenes::{SceneConfig, Split};

    use super::super::score::{Extracted, score};
    use super::*;

    fn value(truth: &Truth, answer: &str) -> f64 {
        let extracted = Extracted::by_rules(&truth.form, answer);
        score(truth, extracted.as_ref(), LengthRule::Within25).value
    }

    fn relative_error(truth: &Truth, answer: &str) -> Option<f64> {
        let extracted = Extracted::by_rules(&truth.form, answer);
        let score = score(truth, extracted.as_ref(), LengthRule::Within25);
        score.number.and_then(|number| number.relative_error)
    }

    #[test]
    fn lengths_have_a_relative_error_and_choices_none() {
        let length = Truth::of_answer("2.0 m").unwrap();
        assert!((relative_error(&length, "3 m").unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(relative_error(&length, "far"), None);
        let choice = Truth {
            text: "B".into(),
            form: AnswerForm::Choice(vec!["1.0 m".into(), "2.0 m".into()]),
        };
        assert_eq!(relative_error(&choice, "2.0 m"), None);
    }

    fn scenes(split: Split, n: usize) -> SceneSet {
        SceneSet {
            config: SceneConfig::default(),
            split,
            n,
        }
    }

    #[test]
    fn the_list_is_the_same_each_time_and_balanced() {
        let set = QaSet::scenes(scenes(Split::Test, 40), 8);
        assert_eq!(set.items, QaSet::scenes(scenes(Split::Test, 40), 8).items);
        // A longer list begins with the shorter one.
        let longer = QaSet::scenes(scenes(Split::Test, 41), 8);
        assert_eq!(set.items, longer.items[..set.items.len()]);
        for kind in [QuestionKind::Count, QuestionKind::CameraDistance] {
            let n = set.items.iter().filter(|i| i.kind == kind.name()).count();
            assert!((40..=80).contains(&n), "{kind:?}: {n}");
        }
        let mut of_scene = vec![0; 40];
        set.items
            .iter()
            .for_each(|item| of_scene[item.image_idx] += 1);
        assert!(of_scene.iter().all(|n| (1..=8).contains(n)), "{of_scene:?}");
        assert!(set.image(3).is_ok() && set.image(40).is_err());
    }

    #[test]
    fn what_is_said_to_be_right_scores() {
        for item in QaSet::scenes(scenes(Split::Validation, 20), 100).items {
            assert_eq!(value(&item.truth, &item.truth.text), 1.0, "{item:?}");
            if let AnswerForm::Length { .. } = item.truth.form {
                let error = relative_error(&item.truth, &item.truth.text);
                assert!(error.unwrap() < 0.25, "{item:?}");
            }
        }
    }

    #[test]
    fn scores_and_rewards_agree() {
        let set = scenes(Split::Validation, 30);
        let mut n_right = 0;
        for index in 0..set.n {
            let mut rng = StdRng::seed_from_u64(index as u64);
            for question in set.scene(index).questions(&mut rng) {
                let truth = scene_truth(&question);
                let mut given: Vec<String> =
                    ["A", "(b)", "The red box.", "1.0 m", "150 cm", "2", ""]
                        .map(Into::into)
                        .into();
                given.push(question.answer.clone());
                given.extend(question.choices.clone());
                given.extend(
                    question
                        .choices
                        .iter()
                        .map(|c| c.trim_end_matches(" m").into()),
                );
                for given in given {
                    let value = value(&truth, &given);
                    let is_right = truth.is_right(&given, LengthRule::Within25);
                    assert_eq!(value == 1.0, is_right, "{given:?} to {question:?}");
                    n_right += usize::from(is_right);
                }
            }
        }
        assert!(n_right > 1000, "{n_right}");
    }
}
