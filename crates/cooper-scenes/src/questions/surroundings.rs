//! A robot's questions about a room: what is there, where it is, what it stands on, and how far the way ahead is free.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::super::sampling::{chance, whole};
use super::choices::Grain;
use super::draft::Draft;
use super::facts;
use super::question::QuestionKind;
use super::thing::{Thing, Things, UNKNOWN};

/// Half of the way's width.
const HALF_WAY_M: f64 = 0.3;
/// The share of the way's pixels that may be nearer than its free part: single ones are errors.
const SPECKS: f64 = 0.02;
/// The way is said to be free or blocked if its end is at least this share away from the asked distance.
const CLEAR_SHARE: f64 = 0.15;
/// Lengths of which it is asked whether they are free.
const LENGTHS_M: [f64; 4] = [0.5, 1.0, 1.5, 2.0];
/// How finely directions are written.
const DEGREES: f64 = 10.0;
const METRES: Grain = Grain {
    step: 0.1,
    decimals: 1,
};

/// All that can be asked about the room as a whole and the places of its things.
pub(super) fn about(things: &Things, rng: &mut StdRng) -> Vec<Draft> {
    let mut drafts = presences(things, rng);
    for (i, thing) in things.all.iter().enumerate() {
        if thing.is_unique {
            drafts.push(direction(things, (i, thing), rng));
            drafts.extend(support(things, (i, thing), rng));
        }
    }
    if let Some(end) = way(things) {
        drafts.extend(ahead(things, &end, rng));
    }
    drafts
}

fn pick(rng: &mut StdRng, wordings: &[&str]) -> String {
    wordings.choose(rng).copied().unwrap_or_default().into()
}

/// A draft without numbers; `right` and `wrong` are its words.
fn in_words(kind: QuestionKind, open: String, [right, wrong]: [&str; 2], thought: String) -> Draft {
    Draft {
        kind,
        stem: open.clone(),
        open,
        right: right.into(),
        wrong: vec![wrong.into()],
        estimate: None,
        value: None,
        unit: None,
        objects: Vec::new(),
        thought,
    }
}

fn yes_no(is_so: bool) -> [&'static str; 2] {
    if is_so { ["yes", "no"] } else { ["no", "yes"] }
}

/// One group that is there and one that is not.
fn presences(things: &Things, rng: &mut StdRng) -> Vec<Draft> {
    let is_there = |group: &usize| things.all.iter().any(|thing| thing.group == *group);
    let (there, missing): (Vec<_>, Vec<_>) = (0..things.groups.len()).partition(is_there);
    let asked = [there.choose(rng).copied(), missing.choose(rng).copied()];
    let asked: Vec<usize> = asked.into_iter().flatten().collect();
    asked
        .into_iter()
        .map(|group| presence(things, group, rng))
        .collect()
}

fn presence(things: &Things, group: usize, rng: &mut StdRng) -> Draft {
    let plural = things.groups[group].as_str();
    let open = pick(
        rng,
        &[
            "Are there any {}?",
            "Do you see any {}?",
            "Are {} in view?",
            "Can you see {}?",
            "Are there {} here?",
        ],
    );
    let found: Vec<usize> = (0..things.all.len())
        .filter(|i| things.all[*i].group == group)
        .collect();
    let places: Vec<String> = found
        .iter()
        .map(|&i| facts::place(things, &things.all[i]))
        .collect();
    let thought = match places.as_slice() {
        [] => format!("No {plural}."),
        places => places.join(", ") + ".",
    };
    let words = yes_no(!found.is_empty());
    Draft {
        objects: found,
        ..in_words(
            QuestionKind::Presence,
            open.replace("{}", plural),
            words,
            thought,
        )
    }
}

/// Where a thing is, in degrees from the optical axis.
fn direction(things: &Things, (i, thing): (usize, &Thing), rng: &mut StdRng) -> Draft {
    let open = pick(
        rng,
        &[
            "In which direction is {}?",
            "How many degrees to the side is {}?",
            "Where do I have to turn to face {}?",
            "At what angle is {}?",
        ],
    );
    let center = thing.center_in_camera;
    let degrees = center.x.atan2(center.z).to_degrees();
    let written = |degrees: f64| {
        let steps = (degrees.abs() / DEGREES).round() * DEGREES;
        let side = if degrees < 0.0 { "left" } else { "right" };
        match steps {
            0.0 => "0 degrees".to_string(),
            _ => format!("{steps:.0} degrees {side}"),
        }
    };
    let turned = if degrees.abs() < DEGREES {
        25.0
    } else {
        -degrees
    };
    Draft {
        objects: vec![i],
        ..in_words(
            QuestionKind::Direction,
            open.replace("{}", &thing.the()),
            [&written(degrees), &written(turned)],
            facts::position(things, thing),
        )
    }
}

/// What a thing stands or lies on: what most pixels right below its outline show, at its depth.
fn support(things: &Things, (i, thing): (usize, &Thing), rng: &mut StdRng) -> Option<Draft> {
    let under = under(things, i)?;
    if things
        .all
        .get(usize::from(under))
        .is_some_and(|other| !other.is_unique)
    {
        return None;
    }
    let name = things.name_of(under)?;
    let others = things.all.iter().map(|other| other.name.as_str());
    let others = others.chain(things.surfaces.iter().map(String::as_str));
    let others: Vec<&str> = others
        .filter(|o| *o != name && *o != thing.name && *o != "ceiling")
        .collect();
    let wrong = others.choose(rng)?;
    let open = pick(
        rng,
        &[
            "What is under {}?",
            "What does {} stand on?",
            "What is {} on?",
            "On what is {}?",
        ],
    );
    Some(Draft {
        objects: vec![i],
        ..in_words(
            QuestionKind::Support,
            open.replace("{}", &thing.the()),
            [&format!("the {name}"), &format!("the {wrong}")],
            format!("{}, below it the {name}.", facts::place(things, thing)),
        )
    })
}

fn under(things: &Things, thing: usize) -> Option<u16> {
    let width = things.size.0 as usize;
    let mut votes: Vec<(u16, usize)> = Vec::new();
    let mut n = 0;
    for column in 0..width {
        let mut pixels = (column..things.shown.len()).step_by(width);
        let lowest = pixels.rfind(|p| usize::from(things.shown[*p]) == thing);
        let Some(lowest) = lowest else { continue };
        let Some(&shown) = things.shown.get(lowest + width) else {
            continue;
        };
        let [own, below] = [lowest, lowest + width].map(|p| f64::from(things.depth_m[p]));
        n += 1;
        let is_known = shown != UNKNOWN && own > 0.0 && below > 0.0;
        if is_known && (own - below).abs() < 0.15 * own {
            match votes.iter_mut().find(|(of, _)| *of == shown) {
                Some((_, votes)) => *votes += 1,
                None => votes.push((shown, 1)),
            }
        }
    }
    let (shown, votes) = votes.into_iter().max_by_key(|(_, votes)| *votes)?;
    let is_support = things.surface(shown).is_none_or(|name| name == "floor");
    (is_support && votes * 10 >= n * 6 && n >= 4).then_some(shown)
}

/// The end of the free way.
struct End {
    /// Along the optical axis.
    distance_m: f64,
    /// What is there, if it has a name.
    shown: u16,
}

/// How far a way of 2·[`HALF_WAY_M`] is free straight ahead: up to the nearest pixel in it that is neither floor nor ceiling.
fn way(things: &Things) -> Option<End> {
    let focal = things.focal_px;
    let middle = f64::from(things.size.0) / 2.0 - 0.5;
    let width = things.size.0 as usize;
    let is_open = |shown: u16| {
        let surface = things.surface(shown);
        surface.is_some_and(|name| name == "floor" || name == "ceiling")
    };
    let mut blocked: Vec<(f64, u16)> = Vec::new();
    let mut n = 0;
    for (i, (&depth, &shown)) in things.depth_m.iter().zip(&things.shown).enumerate() {
        let depth = f64::from(depth);
        let x = ((i % width) as f64 - middle) / focal * depth;
        if depth <= 0.0 || x.abs() > HALF_WAY_M {
            continue;
        }
        n += 1;
        if !is_open(shown) {
            blocked.push((depth, shown));
        }
    }
    blocked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let specks = (SPECKS * n as f64) as usize;
    let (distance_m, shown) = *blocked.get(specks)?;
    Some(End { distance_m, shown })
}

fn ahead(things: &Things, end: &End, rng: &mut StdRng) -> Vec<Draft> {
    let name = things.name_of(end.shown).unwrap_or("something");
    let distance_m = end.distance_m;
    let thought = format!("Ahead {name}, {distance_m:.1} m.");
    let open = pick(
        rng,
        &[
            "How far can I go straight ahead?",
            "How far is the way ahead free?",
            "What is the distance to the nearest thing straight ahead?",
            "How much free space is ahead?",
        ],
    );
    let how_far = Draft {
        right: METRES.format(distance_m),
        wrong: METRES.wrong(distance_m, rng),
        estimate: Some(METRES.estimate(distance_m, rng)),
        value: Some(distance_m),
        unit: Some("m"),
        ..in_words(QuestionKind::Ahead, open, ["", ""], thought.clone())
    };
    let mut drafts = vec![how_far];
    let asked = LENGTHS_M[whole(rng, 0, LENGTHS_M.len() - 1)];
    if (distance_m / asked - 1.0).abs() >= CLEAR_SHARE {
        let is_free = distance_m > asked;
        let (open, words) = match chance(rng, 0.5) {
            true => (
                pick(
                    rng,
                    &[
                        "Is the way ahead free for {} m?",
                        "Can I go {} m straight ahead?",
                        "Are the next {} m ahead free?",
                    ],
                ),
                yes_no(is_free),
            ),
            false => (
                pick(
                    rng,
                    &[
                        "Is the way ahead blocked within {} m?",
                        "Is anything within {} m straight ahead?",
                    ],
                ),
                yes_no(!is_free),
            ),
        };
        let open = open.replace("{}", &format!("{asked:.1}"));
        drafts.push(in_words(QuestionKind::Ahead, open, words, thought));
    }
    drafts
}
