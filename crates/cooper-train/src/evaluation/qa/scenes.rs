//! Questions about generated scenes: a fixed list, balanced over kinds.

use std::collections::VecDeque;

use cooper_model::reasoning::LengthUnit;
use cooper_scenes::{Question, QuestionKind};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::item::{AnswerForm, ImageRef, QaItem, QaSet, Store, Truth};
use crate::evaluation::scene_set::SceneSet;

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
                truth: truth(&question),
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
    let mut of_kind: Vec<VecDeque<Question>> = QuestionKind::ALL
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

fn truth(question: &Question) -> Truth {
    let unit = question.unit.and_then(LengthUnit::parse);
    let form = match (question.value, unit) {
        _ if !question.choices.is_empty() => AnswerForm::Choice(question.choices.clone()),
        (Some(value), Some(unit)) => AnswerForm::Length {
            cm: value * unit.cm(),
            unit,
        },
        (Some(value), None) => AnswerForm::Integer(value),
        (None, _) => AnswerForm::Text,
    };
    Truth {
        text: question.answer.clone(),
        form,
    }
}

#[cfg(test)]
mod tests {
    use cooper_scenes::{SceneConfig, Split};

    use super::*;

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
        use super::super::extract::extract;
        use super::super::score::{LengthRule, score};
        for item in QaSet::scenes(scenes(Split::Validation, 20), 100).items {
            let said = extract(&item.truth.form, &item.truth.text);
            let score = score(&item.truth, said.as_ref(), LengthRule::Within25);
            assert_eq!(score.value, 1.0, "{item:?}");
        }
    }

    #[test]
    fn rules_agree_with_the_scenes_own_judge() {
        use super::super::extract::extract;
        use super::super::score::{LengthRule, score};
        let set = scenes(Split::Validation, 30);
        let mut n_right = 0;
        for index in 0..set.n {
            let mut rng = StdRng::seed_from_u64(index as u64);
            for question in set.scene(index).questions(&mut rng) {
                let truth = truth(&question);
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
                    let said = extract(&truth.form, &given);
                    let value = score(&truth, said.as_ref(), LengthRule::Within25).value;
                    let is_right = question.judge(&given);
                    // Rules take any form of a number: `2.0 m` for a count of 2, `2` for the choice `2.0 m`.
                    let may_differ = !is_right && given.contains(|c: char| c.is_ascii_digit());
                    let agrees = (value == 1.0) == is_right;
                    assert!(agrees || may_differ, "{given:?} to {question:?}");
                    n_right += usize::from(is_right);
                }
            }
        }
        assert!(n_right > 1000, "{n_right}");
    }
}
