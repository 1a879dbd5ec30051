//! The thoughts behind answers, and the maps that they ask for.

use super::*;

/// Names become `N`, two-digit numbers `##` and so on.
fn shape(thought: &str) -> String {
    let mut text: String = thought
        .chars()
        .map(|c| if c.is_ascii_digit() { '#' } else { c })
        .collect();
    for color in ColorName::ALL {
        for category in Category::ALL {
            text = text.replace(&format!("{} {}", color.word(), category.word()), "N");
        }
    }
    text
}

/// The facts of a thought and what is reckoned from them; behind them it concludes, and rightly.
#[track_caller]
fn facts(question: &Question) -> &str {
    let (facts, conclusion) = question.thought.rsplit_once("That is ").unwrap();
    let concluded = conclusion.strip_suffix('.').unwrap();
    match (question.unit, question.choices.is_empty()) {
        // An estimate, to which the right choice is the nearest.
        (Some("m"), false) => {
            let number = |text: &str| text.strip_suffix(" m").unwrap().parse::<f64>().unwrap();
            let away = |choice: &&String| (number(choice) - number(concluded)).abs();
            let nearest = question
                .choices
                .iter()
                .min_by(|a, b| away(a).total_cmp(&away(b)));
            assert_eq!(nearest.unwrap(), question.in_words(), "{question:?}");
        }
        _ => assert_eq!(concluded, question.in_words(), "{question:?}"),
    }
    facts.trim_end()
}

/// The sentences of a comparison's facts, the two numbers set against each other, and the word that follows.
fn comparison(question: &Question) -> ([&str; 2], [f64; 2], &str) {
    let facts = facts(question);
    let (first, rest) = facts.split_once(". ").unwrap();
    let (second, reckoned) = rest.split_once(". ").unwrap();
    let (numbers, word) = reckoned.split_once(": ").unwrap();
    let (a, b) = numbers.split_once(", ").unwrap();
    let numbers = [a, b].map(|number| number.parse().unwrap());
    ([first, second], numbers, word.strip_suffix('.').unwrap())
}

#[test]
fn thoughts_follow_the_grammar() {
    for (scene, questions) in asked(100) {
        for question in questions {
            // Objects as small as 9 % and as large as 100 % are both there.
            let got = shape(facts(&question))
                .replace(" ### tall", " ## tall")
                .replace(" ### wide", " ## wide")
                .replace(", # tall", ", ## tall")
                .replace(", # wide", ", ## wide");
            let sentences = |one: &str, n: usize| vec![one; n].join(" ");
            let n = question.objects.len();
            let expected = match question.kind {
                QuestionKind::CameraDistance => vec![sentences("N at ## ##, #.# m.", n)],
                QuestionKind::Count => {
                    let all = scene.objects.len();
                    let counted = if n == 0 {
                        "none".into()
                    } else {
                        vec!["N"; n].join(", ")
                    };
                    vec![format!("{} {counted}: #.", sentences("N at ## ##.", all))]
                }
                QuestionKind::Nearer => ["nearer", "farther"]
                    .map(|w| sentences("N at ## ##, #.# m.", n) + " #.#, #.#: " + w + ".")
                    .into(),
                QuestionKind::LeftRight => ["left", "right"]
                    .map(|w| sentences("N at ## ##.", n) + " ##, ##: " + w + ".")
                    .into(),
                QuestionKind::AboveBelow => ["lower", "higher"]
                    .map(|w| sentences("N at ## ##, #.# m high.", n) + " #.#, #.#: " + w + ".")
                    .into(),
                QuestionKind::ObjectDistance => {
                    let one = "N at ## ##, #.# m SIDE, #.# m ahead.";
                    let sides = ["left", "right"];
                    let both = sides.iter().flat_map(|a| sides.map(|b| (*a, b)));
                    both.map(|(a, b)| [a, b].map(|side| one.replace("SIDE", side)).join(" "))
                        .flat_map(|facts| sides.map(|a| facts.clone() + " #.# " + a))
                        .flat_map(|facts| sides.map(|b| facts.clone() + ", #.# " + b))
                        .map(|facts| facts + ": #.#. #.#, #.#: #.#.")
                        .collect()
                }
                QuestionKind::Size => ["tall", "wide"]
                    .map(|word| format!("N at ## ##, #.# m, ## {word}."))
                    .into(),
                QuestionKind::Presence
                | QuestionKind::Direction
                | QuestionKind::Support
                | QuestionKind::Ahead => unreachable!("not asked about scenes"),
            };
            assert!(expected.contains(&got), "{}: {got}", question.thought);
        }
    }
}

#[test]
fn a_comparison_follows_from_its_thought() {
    for (scene, questions) in asked(150) {
        for question in questions {
            let (after, before, words) = match question.kind {
                QuestionKind::Nearer => (", ", " m", ["nearer", "farther"]),
                QuestionKind::LeftRight => (" at ", " ", ["left", "right"]),
                QuestionKind::AboveBelow => (", ", " m high", ["lower", "higher"]),
                _ => continue,
            };
            let (sentences, numbers, word) = comparison(&question);
            let told = sentences.map(|sentence| {
                let rest = sentence.split_once(after).unwrap().1;
                let number = rest.split_once(before).unwrap().0;
                number.parse::<f64>().unwrap()
            });
            assert_eq!(told, numbers, "{question:?}");
            assert_ne!(numbers[0], numbers[1], "{question:?}");
            assert_eq!(word, words[usize::from(numbers[1] < numbers[0])]);
            let expected = compared(&scene, &question, numbers, words);
            assert_eq!(question.in_words(), expected);
        }
    }
}

/// The legs follow from the two places, and hardly exceed the distance, which is longer by the difference of heights.
#[test]
fn a_distance_follows_from_its_thought() {
    let mut seen = 0;
    for (_, questions) in asked(60) {
        for question in questions {
            if question.kind != QuestionKind::ObjectDistance {
                continue;
            }
            seen += 1;
            // "… 0.4 m left, 2.3 m ahead. … 0.4 left, 0.6 right: 1.0. 2.3, 3.1: 0.8."
            let words: Vec<&str> = facts(&question)
                .split([' ', ',', ':'])
                .map(|word| word.trim_end_matches('.'))
                .filter(|word| word.contains('.') || ["left", "right"].contains(word))
                .collect();
            let [
                x0,
                side0,
                z0,
                x1,
                side1,
                z1,
                y0,
                s0,
                y1,
                s1,
                aside,
                w0,
                w1,
                ahead,
            ] = words[..].try_into().unwrap();
            assert_eq!([x0, side0, x1, side1, z0, z1], [y0, s0, y1, s1, w0, w1]);
            let number = |word: &str| word.parse::<f64>().unwrap();
            let x = |word, side| number(word) * if side == "left" { -1.0 } else { 1.0 };
            let (aside, ahead) = (number(aside), number(ahead));
            assert!(((x(x0, side0) - x(x1, side1)).abs() - aside).abs() < 1e-9);
            assert!(((number(z0) - number(z1)).abs() - ahead).abs() < 1e-9);
            assert!(f64::hypot(aside, ahead) < question.value.unwrap() + 0.15);
        }
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn the_vocabulary_is_small() {
    let mut words = BTreeSet::new();
    for (_, questions) in asked(300) {
        for question in questions {
            for text in [&question.text, &question.thought, &question.answer] {
                let split = text.split(|c: char| !c.is_alphabetic());
                words.extend(split.filter(|w| !w.is_empty()).map(str::to_owned));
            }
        }
    }
    assert!(words.len() < 130, "{} words: {words:?}", words.len());
    println!("{} words: {words:?}", words.len());
}

#[test]
fn turns_ask_for_a_map_where_one_helps() {
    let mut seen = BTreeSet::new();
    for (_, questions) in asked(20) {
        for question in questions {
            let turns = question.interleaved("<map>draw</map>");
            let (thought, boxed) = (
                &question.thought,
                format!("\\boxed{{{}}}", question.in_words()),
            );
            let last = format!("<think>{thought}</think>\n<answer>{boxed}</answer>");
            let first = match question.tool() {
                Some(Tool::Depth) => Some("A depth map helps here."),
                Some(Tool::Segmentation) => Some("A segmentation helps here."),
                None => None,
            };
            let first = first.map(|why| format!("<think>{why}</think>\n<map>draw</map>"));
            assert_eq!(turns, first.into_iter().chain([last]).collect::<Vec<_>>());
            assert_eq!(question.direct(), boxed);
            let text = format!("<think>{thought}</think>\n{boxed}");
            assert_eq!(question.text_reasoning(), text);
            let row = serde_json::to_value(&question).unwrap();
            assert_eq!(row["kind"], question.kind.name());
            seen.insert(question.kind);
        }
    }
    assert_eq!(seen.len(), QuestionKind::OF_SCENES.len());
}

/// The pixel that `24 61` tells of, somewhere within its percent.
fn told_pixels(scene: &Scene, place: &str) -> Vec<usize> {
    let (width, height) = scene.image.dimensions();
    let told: Vec<u32> = place.split(' ').map(|n| n.parse().unwrap()).collect();
    let is_told = |at: u32, size: u32, percent: u32| {
        ((f64::from(at) + 0.5) / f64::from(size) * 100.0) as u32 == percent
    };
    let pixels = (0..height).flat_map(|row| (0..width).map(move |column| (column, row)));
    pixels
        .filter(|&(column, row)| is_told(column, width, told[0]) && is_told(row, height, told[1]))
        .map(|(column, row)| (row * width + column) as usize)
        .collect()
}

#[test]
fn grounding_agrees_with_the_maps() {
    let mut asked = BTreeMap::<&str, usize>::new();
    for index in 0..60 {
        let scene = Scene::generate(&SceneConfig::default(), Split::Validation, index);
        for told in scene.grounding(20, &mut StdRng::seed_from_u64(index)) {
            let (question, answer) = (told.question.as_str(), told.answer.as_str());
            let by_name = |name: &str| scene.objects.iter().position(|o| o.name() == name);
            let kind = if let Some(rest) = question.strip_prefix("What is at ") {
                let expected: Vec<u8> = match answer {
                    "floor" => vec![0],
                    "wall" => vec![1],
                    "ceiling" => vec![2],
                    name => vec![FIRST_OBJECT + by_name(name).unwrap() as u8],
                };
                let pixels = told_pixels(&scene, rest.trim_end_matches('?'));
                assert!(pixels.iter().any(|&p| expected.contains(&scene.ids[p])));
                "what"
            } else if let Some(rest) = question.strip_prefix("What is the depth at ") {
                let metres: f32 = answer.trim_end_matches(" m").parse().unwrap();
                let pixels = told_pixels(&scene, rest.trim_end_matches('?'));
                assert!(
                    pixels
                        .iter()
                        .any(|&p| (scene.depth[p] - metres).abs() <= 0.051)
                );
                "depth"
            } else if let Some(rest) = question.strip_prefix("Where is the ") {
                let object = &scene.objects[by_name(rest.trim_end_matches('?')).unwrap()];
                let x = (object.centroid.x + 0.5) / f64::from(scene.image.width()) * 100.0;
                let y = (object.centroid.y + 0.5) / f64::from(scene.image.height()) * 100.0;
                assert_eq!(answer, format!("{:02} {:02}", x as u32, y as u32));
                "where"
            } else {
                assert_eq!(question, "List the objects.");
                let places: Vec<u32> = answer
                    .split(" at ")
                    .skip(1)
                    .map(|rest| rest[..2].parse().unwrap())
                    .collect();
                assert_eq!(places.len(), scene.objects.len());
                assert!(places.is_sorted(), "{answer}");
                "list"
            };
            *asked.entry(kind).or_default() += 1;
        }
    }
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked.values().all(|&n| n > 50), "{asked:?}");
}
