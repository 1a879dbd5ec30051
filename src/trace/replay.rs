//! Whether a repeated question gave the same result: text token by token, maps pixel by pixel.

use cooper_model::reasoning::Transcript;
use image::RgbImage;

use super::folder::Recorded;

/// One thing that the model did.
#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    /// A generated turn: its number from 1, its text and its tokens.
    Turn(usize, &'a str, &'a [u32]),
    /// A drawn map: its number from 1, its kind and its pixels.
    Map(usize, &'static str, &'a RgbImage),
}

/// The steps of a transcript or of a trace: each turn, then its maps.
fn steps<'a>(
    turns: &'a [String],
    tokens: &'a [Vec<u32>],
    maps: impl Iterator<Item = (usize, &'static str, &'a RgbImage)> + Clone,
) -> Vec<Step<'a>> {
    let maps_of_turn = |turn: usize| {
        let mine = maps.clone().enumerate();
        let mine = mine.filter(move |(_, (of, ..))| *of == turn);
        mine.map(|(n, (_, kind, image))| Step::Map(n + 1, kind, image))
    };
    let mut steps: Vec<Step> = maps_of_turn(0).collect();
    for (n, text) in turns.iter().enumerate() {
        let ids = tokens.get(n).map_or(&[][..], Vec::as_slice);
        steps.push(Step::Turn(n + 1, text, ids));
        steps.extend(maps_of_turn(n + 1));
    }
    steps
}

/// The differences between a transcript and the recorded one, in order. Of a stopped question, only the recorded
/// beginning counts.
pub fn differences(recorded: &Recorded, now: &Transcript) -> Vec<String> {
    let trace = &recorded.trace;
    let known = trace.evidence.iter().zip(&recorded.maps);
    let known = known.map(|(map, image)| (map.turn, map.kind.word(), image));
    let drawn = now.evidence.iter();
    let drawn = drawn.map(|map| (map.turn, map.kind.word(), &*map.image));
    let was = steps(&trace.turns, &trace.tokens, known);
    let is = steps(&now.turns, &now.ids, drawn);
    let is_stopped = trace.status.is_stopped();
    let mut found = Vec::new();
    for (n, was_step) in was.iter().enumerate() {
        let is_last = n + 1 == was.len();
        let extent = match is_stopped && is_last {
            true => Extent::Beginning,
            false => Extent::Whole,
        };
        found.extend(match is.get(n) {
            None => Some(format!("{}: expected, but it ended before", name(was_step))),
            Some(is_step) => compare(was_step, is_step, extent),
        });
    }
    if is_stopped {
        return found;
    }
    if let Some(more) = is.get(was.len()) {
        found.push(format!("{}: expected the end before it", name(more)));
    }
    let status = super::Ended::from(now.status);
    if status != trace.status {
        let (was, is) = (trace.status, status);
        found.push(format!("status: expected {was:?}, got {is:?}"));
    }
    if now.answer != trace.answer {
        let (was, is) = (&trace.answer, &now.answer);
        found.push(format!("answer: expected {was:?}, got {is:?}"));
    }
    found
}

fn name(step: &Step) -> String {
    match step {
        Step::Turn(n, ..) => format!("turn {n}"),
        Step::Map(n, kind, _) => format!("map {n} ({kind})"),
    }
}

/// How much of a step was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// All of it.
    Whole,
    /// Its beginning, since it was stopped.
    Beginning,
}

/// How a step differs from the recorded one; `None` if it does not.
fn compare(was: &Step, is: &Step, extent: Extent) -> Option<String> {
    match (was, is) {
        (Step::Turn(_, was_text, was_ids), Step::Turn(_, is_text, is_ids)) => {
            let is_same = match extent {
                Extent::Whole => was_text == is_text && was_ids == is_ids,
                Extent::Beginning => is_text.starts_with(was_text) && is_ids.starts_with(was_ids),
            };
            if is_same {
                return None;
            }
            let why = texts(was_text, is_text);
            let pairs = was_ids.iter().zip(*is_ids);
            let token = pairs.take_while(|(was, is)| was == is).count();
            Some(format!("{}, token {token}: {why}", name(was)))
        }
        (Step::Map(_, kind, was_map), Step::Map(_, is_kind, is_map)) if kind == is_kind => {
            maps(was_map, is_map).map(|why| format!("{}: {why}", name(was)))
        }
        _ => Some(format!("{}: expected, got {}", name(was), name(is))),
    }
}

/// Both texts from shortly before the first character that differs.
fn texts(was: &str, is: &str) -> String {
    const BEFORE: usize = 20;
    const LEN: usize = 60;
    let pairs = was.chars().zip(is.chars());
    let n_same = pairs.take_while(|(was, is)| was == is).count();
    let part = |text: &str| {
        let part = text.chars().skip(n_same.saturating_sub(BEFORE)).take(LEN);
        part.collect::<String>()
    };
    let (was, is) = (part(was), part(is));
    format!("at character {n_same} expected {was:?}, got {is:?}")
}

fn maps(was: &RgbImage, is: &RgbImage) -> Option<String> {
    if was.dimensions() != is.dimensions() {
        let ((w, h), (now_w, now_h)) = (was.dimensions(), is.dimensions());
        return Some(format!("expected {w}x{h} pixels, got {now_w}x{now_h}"));
    }
    let pairs = was.enumerate_pixels().zip(is.pixels());
    let mut off = pairs.filter_map(|((x, y, was), is)| {
        let by = was.0.iter().zip(is.0).map(|(was, is)| was.abs_diff(is));
        by.max().filter(|by| *by > 0).map(|by| (x, y, by))
    });
    let (x, y, first) = off.next()?;
    let (n, most) = off.fold((1, first), |(n, most), (.., by)| (n + 1, most.max(by)));
    let all = was.width() * was.height();
    Some(format!(
        "{n} of {all} pixels differ, by up to {most} of 255, the first at x {x}, y {y}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_stand_behind_their_turns() {
        let image = RgbImage::new(1, 1);
        let turns = ["a".to_owned(), "b".to_owned()];
        let maps = [
            (0, "depth", &image),
            (1, "depth", &image),
            (1, "segmentation", &image),
        ];
        let names: Vec<String> = steps(&turns, &[], maps.into_iter())
            .iter()
            .map(name)
            .collect();
        let expected = [
            "map 1 (depth)",
            "turn 1",
            "map 2 (depth)",
            "map 3 (segmentation)",
            "turn 2",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_difference_names_its_place() {
        let compared = |was, is, extent| {
            let step = |text| Step::Turn(2, text, &[][..]);
            compare(&step(was), &step(is), extent)
        };
        assert_eq!(compared("same", "same", Extent::Whole), None);
        assert_eq!(compared("sam", "same", Extent::Beginning), None);
        assert_eq!(
            compared("sam", "same", Extent::Whole).unwrap(),
            "turn 2, token 0: at character 3 expected \"sam\", got \"same\""
        );
        let ids = |ids| Step::Turn(1, "a", ids);
        let difference = compare(&ids(&[1, 2, 3]), &ids(&[1, 2, 4]), Extent::Whole).unwrap();
        assert!(difference.starts_with("turn 1, token 2: "), "{difference}");
        assert!(compare(&ids(&[1, 2]), &ids(&[1, 2, 4]), Extent::Beginning).is_none());
        let (black, mut other) = (RgbImage::new(3, 2), RgbImage::new(3, 2));
        assert_eq!(maps(&black, &other), None);
        other.put_pixel(1, 1, image::Rgb([0, 4, 0]));
        other.put_pixel(2, 1, image::Rgb([9, 4, 0]));
        assert_eq!(
            maps(&black, &other).unwrap(),
            "2 of 6 pixels differ, by up to 9 of 255, the first at x 1, y 1"
        );
        assert!(
            maps(&black, &RgbImage::new(2, 3))
                .unwrap()
                .ends_with("got 2x3")
        );
    }
}
