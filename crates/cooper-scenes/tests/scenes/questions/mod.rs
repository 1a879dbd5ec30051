//! Questions about synthetic scenes: answers derived once more from the maps, balance, grammar, vocabulary.

mod labelled;
mod thoughts;

use std::collections::{BTreeMap, BTreeSet};

use cooper_scenes::{
    Category, ColorName, FIRST_OBJECT, Object, Question, QuestionKind, Scene, SceneConfig, Split,
    Tool,
};
use nalgebra::Vector3;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Scenes with all their questions.
fn asked(n: u64) -> impl Iterator<Item = (Scene, Vec<Question>)> {
    (0..n).map(|index| {
        let scene = Scene::generate(&SceneConfig::default(), Split::Validation, index);
        let questions = scene.questions(&mut StdRng::seed_from_u64(index));
        (scene, questions)
    })
}

/// The pixels that show an object, as (column, row, metres along the optical axis).
fn pixels(scene: &Scene, object: usize) -> Vec<(f64, f64, f64)> {
    let width = scene.image.width() as usize;
    let id = FIRST_OBJECT + object as u8;
    (0..scene.ids.len())
        .filter(|&p| scene.ids[p] == id)
        .map(|p| {
            let depth = f64::from(scene.depth[p]);
            ((p % width) as f64, (p / width) as f64, depth)
        })
        .collect()
}

fn nearest_m(scene: &Scene, object: usize) -> f64 {
    let camera = &scene.camera;
    let range = |&(x, y, z): &(f64, f64, f64)| {
        Vector3::new(
            (x - camera.cx) / camera.fx,
            (y - camera.cy) / camera.fy,
            1.0,
        )
        .norm()
            * z
    };
    let ranges = pixels(scene, object);
    ranges.iter().map(range).fold(f64::INFINITY, f64::min)
}

fn mean_column(scene: &Scene, object: usize) -> f64 {
    let pixels = pixels(scene, object);
    pixels.iter().map(|p| p.0).sum::<f64>() / pixels.len() as f64
}

/// The right answer in words to a comparison, from the numbers of the objects as they are listed.
fn compared(scene: &Scene, question: &Question, numbers: [f64; 2], words: [&str; 2]) -> String {
    let smaller = usize::from(numbers[1] < numbers[0]);
    if question.text.starts_with("Is ") {
        return words[smaller].into();
    }
    // "Which is farther away": `away` and `on the` do not matter.
    let wants_smaller = question.text.contains(words[0]);
    assert_ne!(
        wants_smaller,
        question.text.contains(words[1]),
        "{}",
        question.text
    );
    let winner = if wants_smaller { smaller } else { 1 - smaller };
    format!("the {}", scene.objects[question.objects[winner]].name())
}

fn derived(scene: &Scene, question: &Question) -> Result<String, f64> {
    let pair = || [question.objects[0], question.objects[1]];
    match question.kind {
        QuestionKind::Nearer => {
            let numbers = pair().map(|o| nearest_m(scene, o));
            assert!((numbers[0] - numbers[1]).abs() > 0.299);
            Ok(compared(scene, question, numbers, ["nearer", "farther"]))
        }
        QuestionKind::LeftRight => {
            let numbers = pair().map(|o| mean_column(scene, o));
            Ok(compared(scene, question, numbers, ["left", "right"]))
        }
        QuestionKind::AboveBelow => {
            let numbers = pair().map(|o| scene.objects[o].center_in_world().z);
            Ok(compared(scene, question, numbers, ["lower", "higher"]))
        }
        QuestionKind::Count => {
            let counts = |o: &&Object| {
                let category = Category::ALL
                    .into_iter()
                    .find(|c| question.text.contains(c.plural()));
                category.is_none_or(|c| o.category() == c)
            };
            Ok(scene.objects.iter().filter(counts).count().to_string())
        }
        QuestionKind::CameraDistance => Err(nearest_m(scene, question.objects[0])),
        QuestionKind::ObjectDistance => {
            let [a, b] = pair().map(|o| scene.objects[o].center_in_camera);
            Err((a - b).norm())
        }
        QuestionKind::Size => {
            let object = &scene.objects[question.objects[0]];
            let half = object.solid.half;
            let wide = ["wide", "width"].iter().any(|w| question.text.contains(w));
            Err(2.0 * if wide { half.x.max(half.y) } else { half.z })
        }
        QuestionKind::Presence
        | QuestionKind::Direction
        | QuestionKind::Support
        | QuestionKind::Ahead => unreachable!("not asked about scenes"),
    }
}

#[test]
fn answers_follow_from_the_maps() {
    for (scene, questions) in asked(80) {
        for question in &questions {
            let answer = question.in_words();
            match derived(&scene, question) {
                Ok(words) => assert_eq!(answer, words, "{question:?}"),
                Err(metres) => {
                    let step = if question.kind == QuestionKind::Size {
                        0.05
                    } else {
                        0.1
                    };
                    let told: f64 = answer.strip_suffix(" m").unwrap().parse().unwrap();
                    assert!((told - metres).abs() < step / 2.0 + 1e-3, "{question:?}");
                    assert!((question.value.unwrap() - metres).abs() < 1e-4);
                    let steps = told / step;
                    assert!((steps - steps.round()).abs() < 1e-6, "{question:?}");
                }
            }
        }
    }
}

#[test]
fn everything_is_asked_once_and_named() {
    for (scene, questions) in asked(40) {
        let texts: BTreeSet<_> = questions.iter().map(|q| &q.text).collect();
        assert_eq!(texts.len(), questions.len());
        for question in &questions {
            if question.kind == QuestionKind::Count {
                continue;
            }
            for &object in &question.objects {
                let name = scene.objects[object].name();
                let is_named = question.text.contains(&name);
                assert!(is_named, "{name}: {}", question.text);
            }
        }
        let n = scene.objects.len();
        let count = |kind| questions.iter().filter(|q| q.kind == kind).count();
        assert_eq!(count(QuestionKind::CameraDistance), n);
        assert_eq!(count(QuestionKind::ObjectDistance), n * (n - 1) / 2);
    }
}

/// How often each answer was right, with how many there were.
#[derive(Default)]
struct Tally(BTreeMap<String, BTreeMap<String, f64>>);

impl Tally {
    fn add(&mut self, of: impl Into<String>, answer: impl Into<String>) {
        let answers = self.0.entry(of.into()).or_default();
        *answers.entry(answer.into()).or_default() += 1.0;
    }

    #[track_caller]
    fn check(&self, least: f64, most: f64) {
        for (of, answers) in &self.0 {
            let total: f64 = answers.values().sum();
            println!("{of}: {answers:?}");
            assert!(total > 100.0, "{of}: {answers:?}");
            for n in answers.values() {
                assert!((least..=most).contains(&(n / total)), "{of}: {answers:?}");
            }
        }
    }
}

#[test]
fn answers_are_balanced() {
    let (mut pairs, mut letters) = (Tally::default(), Tally::default());
    let mut zeros = 0.0;
    let mut counts = 0.0;
    for (scene, questions) in asked(300) {
        for q in &questions {
            let kind = q.kind.name();
            match (q.choices.len(), q.kind) {
                (2, _) => pairs.add(format!("{kind}, letters"), &q.answer),
                (4, _) => letters.add(kind, &q.answer),
                (_, QuestionKind::Nearer | QuestionKind::LeftRight | QuestionKind::AboveBelow) => {
                    let first = format!("the {}", scene.objects[q.objects[0]].name());
                    if q.text.starts_with("Is ") {
                        pairs.add(format!("{kind}, words"), &q.answer);
                    } else {
                        let is_first = (q.answer == first).to_string();
                        pairs.add(format!("{kind}, first is right"), is_first);
                    }
                }
                _ => {}
            }
            if q.kind == QuestionKind::Count {
                counts += 1.0;
                zeros += f64::from(u8::from(q.in_words() == "0"));
            }
        }
    }
    pairs.check(0.4, 0.6);
    letters.check(0.17, 0.33);
    assert!(
        (0.01..0.1).contains(&(zeros / counts)),
        "{zeros} of {counts}"
    );
}
