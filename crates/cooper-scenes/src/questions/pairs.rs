//! Questions about two objects.

use rand::rngs::StdRng;

use super::super::sampling::{chance, whole};
use super::choices::Grain;
use super::draft::Draft;
use super::facts;
use super::question::QuestionKind;
use super::thing::{Thing, Things};

/// Two ranges are told apart if they differ by this,
const RANGE_M: f64 = 0.3;
/// and by this share of the larger one.
const RANGE_SHARE: f64 = 0.08;
/// Two columns are told apart if they differ by this share of the width.
const COLUMN_SHARE: f64 = 0.06;
/// Two heights are told apart if they differ by this.
const HEIGHT_M: f64 = 0.15;
/// How finely the distance between two objects is written.
const DISTANCE: Grain = Grain {
    step: 0.1,
    decimals: 1,
};

/// Words and facts of a comparison.
struct Comparison {
    kind: QuestionKind,
    /// `nearer`, for the object with the smaller number, and `farther`.
    words: [&'static str; 2],
    /// Completes `Which`.
    which: [&'static str; 2],
    /// Completes `Is the red box`, up to the other object.
    than: &'static [&'static str],
    fact: fn(&Things, &Thing) -> String,
    /// The number of a fact that is compared, as it is written there.
    number: fn(&Things, &Thing) -> String,
}

const NEARER: Comparison = Comparison {
    kind: QuestionKind::Nearer,
    words: ["nearer", "farther"],
    which: ["is nearer", "is farther away"],
    than: &["nearer or farther than", "nearer or farther away than"],
    fact: facts::range,
    number: |_, thing| format!("{:.1}", thing.nearest_m),
};

const LEFT_RIGHT: Comparison = Comparison {
    kind: QuestionKind::LeftRight,
    words: ["left", "right"],
    which: ["is on the left", "is on the right"],
    than: &["left or right of", "to the left or to the right of"],
    fact: left_right_fact,
    number: |things, thing| format!("{:02}", facts::percent_place(things, thing)[0]),
};

const ABOVE_BELOW: Comparison = Comparison {
    kind: QuestionKind::AboveBelow,
    words: ["lower", "higher"],
    which: ["is lower", "is higher"],
    than: &["higher or lower than", "lower or higher than"],
    fact: facts::height,
    number: |_, thing| format!("{:.1}", thing.height_m.unwrap_or_default()),
};

fn left_right_fact(things: &Things, thing: &Thing) -> String {
    facts::place(things, thing) + "."
}

/// All that can be asked about two objects, given by their indices.
pub(super) fn about(things: &Things, pair: [usize; 2], rng: &mut StdRng) -> Vec<Draft> {
    let [a, b] = pair.map(|i| &things.all[i]);
    let ranges = [a.nearest_m, b.nearest_m];
    let columns = [a.centroid.x, b.centroid.x];
    // Two that are not known differ by nothing.
    let heights = match [a.height_m, b.height_m] {
        [Some(a), Some(b)] => [a, b],
        _ => [0.0; 2],
    };
    let least_range = (RANGE_SHARE * ranges[0].max(ranges[1])).max(RANGE_M);
    let least_columns = COLUMN_SHARE * f64::from(things.size.0);
    let mut drafts = vec![distance(things, shuffled(pair, rng), rng)];
    for (comparison, numbers, least) in [
        (&NEARER, ranges, least_range),
        (&LEFT_RIGHT, columns, least_columns),
        (&ABOVE_BELOW, heights, HEIGHT_M),
    ] {
        if (numbers[0] - numbers[1]).abs() >= least {
            let smaller = pair[usize::from(numbers[1] < numbers[0])];
            drafts.push(comparison.ask(things, shuffled(pair, rng), smaller, rng));
        }
    }
    drafts
}

/// The order in which two objects are named says nothing.
fn shuffled([a, b]: [usize; 2], rng: &mut StdRng) -> [usize; 2] {
    if chance(rng, 0.5) { [a, b] } else { [b, a] }
}

impl Comparison {
    /// `smaller` is the one of `pair` with the smaller number.
    fn ask(&self, things: &Things, pair: [usize; 2], smaller: usize, rng: &mut StdRng) -> Draft {
        let [x, y] = pair.map(|i| things.all[i].the());
        let wording = whole(rng, 0, 3);
        let (open, stem, right, wrong);
        if wording < 2 {
            // Which object?
            let end = whole(rng, 0, 1);
            let which = self.which[end];
            open = match wording {
                0 => format!("Which {which}, {x} or {y}?"),
                _ => format!("Which of {x} and {y} {which}?"),
            };
            stem = format!("Which {which}?");
            let is_first = (pair[0] == smaller) == (end == 0);
            (right, wrong) = if is_first { (x, y) } else { (y, x) };
        } else {
            // Which word?
            open = format!("Is {x} {} {y}?", self.than[wording % 2]);
            stem = open.clone();
            let end = usize::from(pair[0] != smaller);
            (right, wrong) = (self.words[end].into(), self.words[1 - end].into());
        }
        let [a, b] = pair.map(|i| &things.all[i]);
        let [fact_a, fact_b] = [a, b].map(|o| (self.fact)(things, o));
        let [number_a, number_b] = [a, b].map(|o| (self.number)(things, o));
        let compared = self.words[usize::from(pair[0] != smaller)];
        Draft {
            kind: self.kind,
            open,
            stem,
            right,
            wrong: vec![wrong],
            estimate: None,
            value: None,
            unit: None,
            objects: pair.into(),
            // Both numbers side by side before the word that follows from them: a small model learns to compare so.
            thought: format!("{fact_a} {fact_b} {number_a}, {number_b}: {compared}."),
        }
    }
}

fn distance(things: &Things, pair: [usize; 2], rng: &mut StdRng) -> Draft {
    let [a, b] = pair.map(|i| &things.all[i]);
    let value = (a.center_in_camera - b.center_in_camera).norm();
    let facts = [a, b].map(|o| facts::position(things, o)).join(" ");
    let (x, y) = (a.the(), b.the());
    let open = match whole(rng, 0, 2) {
        0 => format!("How far apart are {x} and {y}?"),
        1 => format!("How far is {x} from {y}?"),
        _ => format!("What is the distance between {x} and {y}?"),
    };
    Draft {
        kind: QuestionKind::ObjectDistance,
        stem: open.clone(),
        open,
        right: DISTANCE.format(value),
        wrong: DISTANCE.wrong(value, rng),
        estimate: Some(DISTANCE.estimate(value, rng)),
        value: Some(value),
        unit: Some("m"),
        objects: pair.into(),
        thought: format!("{facts} {}", legs(a, b)),
    }
}

/// `0.4 left, 0.6 right: 1.0. 2.3, 3.1: 0.8.`: how far two centres are apart sideways and in depth, in metres, computed
/// from the numbers as they are written.
fn legs(a: &Thing, b: &Thing) -> String {
    let rounded = |m: f64| (m * 10.0).round() / 10.0;
    let lateral = [a, b].map(|o| rounded(o.center_in_camera.x));
    let depth = [a, b].map(|o| rounded(o.center_in_camera.z));
    let leg = |[a, b]: [f64; 2]| (a - b).abs();
    let [side_a, side_b] = [a, b].map(facts::side);
    format!(
        "{:.1} {side_a}, {:.1} {side_b}: {:.1}. {:.1}, {:.1}: {:.1}.",
        lateral[0].abs(),
        lateral[1].abs(),
        leg(lateral),
        depth[0],
        depth[1],
        leg(depth)
    )
}
