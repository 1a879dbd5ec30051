//! The tags of a turn, read by a pure function.

use crate::engine::MapKind;

/// What a turn asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `<answer>…</answer>`: its content, untrimmed.
    Answer(String),
    /// `<depth-estimation>…</depth-estimation>` or `<segmentation>…</segmentation>`: the whole tag as written.
    Draw(MapKind, String),
    /// Neither an answer nor a request for a map.
    Nothing,
}

/// Read a turn: the first answer wins, then the first depth tag, then the first segmentation tag.
///
/// Source: COOPER `inferencer.py`, `interleave_reason_tool_condition`.
pub fn parse_turn(text: &str) -> Step {
    if let Some((_, content)) = tag(text, "answer") {
        return Step::Answer(content.to_string());
    }
    for kind in [MapKind::Depth, MapKind::Segmentation] {
        if let Some((whole, _)) = tag(text, tag_name(kind)) {
            return Step::Draw(kind, whole.to_string());
        }
    }
    Step::Nothing
}

/// The protocol's tag that asks for a map.
pub fn tag_name(kind: MapKind) -> &'static str {
    match kind {
        MapKind::Depth => "depth-estimation",
        MapKind::Segmentation => "segmentation",
    }
}

/// The short answer: what is boxed last, else the content itself; trimmed.
pub fn short_answer(content: &str) -> String {
    boxed(content).unwrap_or(content).trim().to_string()
}

/// The first `<name>content</name>`, as (whole, content).
fn tag<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let start = text.find(&open)?;
    let content = &text[start + open.len()..];
    let n = content.find(&close)?;
    let end = start + open.len() + n + close.len();
    Some((&text[start..end], &content[..n]))
}

/// The content of the last `\boxed{…}` whose braces balance.
fn boxed(text: &str) -> Option<&str> {
    const OPEN: &str = "\\boxed{";
    text.rmatch_indices(OPEN).find_map(|(start, _)| {
        let content = &text[start + OPEN.len()..];
        let mut depth = 1;
        for (i, c) in content.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return Some(&content[..i]);
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Step) {
        assert_eq!(parse_turn(text), expected, "{text:?}");
    }

    #[test]
    fn turns_are_read_by_their_first_tag() {
        let draw = |kind, whole: &str| Step::Draw(kind, whole.into());
        check(
            "<think> a </think>\n<depth-estimation>x</depth-estimation>",
            draw(MapKind::Depth, "<depth-estimation>x</depth-estimation>"),
        );
        check(
            "<segmentation>1\n2</segmentation> <segmentation>3</segmentation>",
            draw(MapKind::Segmentation, "<segmentation>1\n2</segmentation>"),
        );
        check(
            "<segmentation>s</segmentation><depth-estimation>d</depth-estimation>",
            draw(MapKind::Depth, "<depth-estimation>d</depth-estimation>"),
        );
        check(
            "<depth-estimation>d</depth-estimation><answer> 1\n2 </answer><answer>3</answer>",
            Step::Answer(" 1\n2 ".into()),
        );
    }

    #[test]
    fn broken_tags_ask_for_nothing() {
        for text in [
            "",
            "<think> no tag",
            "<answer>open",
            "closed</answer>",
            "</answer><answer>",
            "< answer>x</answer>",
            "<segmentation>x</depth-estimation>",
        ] {
            check(text, Step::Nothing);
        }
    }

    #[test]
    fn the_box_is_the_short_answer() {
        for (content, expected) in [
            (" \\boxed{1.5} ", "1.5"),
            ("so \\boxed{1} then \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
            (" left ", "left"),
            ("\\boxed{open", "\\boxed{open"),
            ("", ""),
        ] {
            assert_eq!(short_answer(content), expected);
        }
    }
}
