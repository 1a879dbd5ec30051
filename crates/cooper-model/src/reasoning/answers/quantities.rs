//! Numbers and lengths in an answer: digits, words, units, ranges.

/// A unit of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it all.
pub enum LengthUnit {
    Meter,
    Centimeter,
    Millimeter,
    Foot,
    Inch,
    Kilometer,
    Yard,
    Mile,
}

impl LengthUnit {
    /// How many centimetres it has.
    ///
    /// Source: Q-SpatialBench in VLMEvalKit, which does not know the last three.
    pub fn cm(self) -> f64 {
        match self {
            Self::Meter => 100.0,
            Self::Centimeter => 1.0,
            Self::Millimeter => 0.1,
            Self::Foot => 30.48,
            Self::Inch => 2.54,
            Self::Kilometer => 100_000.0,
            Self::Yard => 91.44,
            Self::Mile => 160_934.4,
        }
    }

    /// A unit's word, for example `m`, `meters` or `feet`.
    pub fn parse(word: &str) -> Option<Self> {
        let word = word.trim().trim_end_matches('.').to_lowercase();
        Some(match word.as_str() {
            "m" | "meter" | "meters" | "metre" | "metres" => Self::Meter,
            "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => Self::Centimeter,
            "mm" | "millimeter" | "millimeters" | "millimetre" | "millimetres" => Self::Millimeter,
            "ft" | "foot" | "feet" => Self::Foot,
            "in" | "inch" | "inches" => Self::Inch,
            "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => Self::Kilometer,
            "yd" | "yard" | "yards" => Self::Yard,
            "mi" | "mile" | "miles" => Self::Mile,
            _ => return None,
        })
    }

    /// The unit of a text that is a length and nothing else.
    pub fn ending(text: &str) -> Option<Self> {
        let text = text.trim();
        let end = text.find(|c: char| c.is_alphabetic())?;
        let is_number = text[..end]
            .chars()
            .all(|c| c.is_ascii_digit() || " .,-–".contains(c));
        let has_digit = text[..end].contains(|c: char| c.is_ascii_digit());
        Self::parse(&text[end..]).filter(|_| is_number && has_digit)
    }
}

/// A number in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// What it says.
    pub value: f64,
    /// Its first byte.
    pub start: usize,
    /// The byte behind it.
    pub end: usize,
}

/// All numbers in digits: `3`, `-2.5`, `.5`, `1,200`; not those inside words.
pub fn numbers(text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let end = number_end(bytes, at);
        if end == at {
            at += 1;
            continue;
        }
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let before_sign = at.checked_sub(2).map(|i| bytes[i]);
        let in_word = before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        // In `2-3` and `A-3` the line joins; elsewhere it is a sign.
        let joined = before_sign.is_some_and(|b| b.is_ascii_alphanumeric());
        // `2.0.0` is no number.
        let goes_on =
            bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        let negative = before == Some(b'-') && !joined;
        let digits: String = text[at..end].chars().filter(|c| *c != ',').collect();
        if let (false, Ok(value)) = (in_word || goes_on, digits.parse::<f64>()) {
            found.push(Found {
                value: if negative { -value } else { value },
                start: at,
                end,
            });
        }
        at = end;
    }
    found
}

/// The end of the digits that begin at `start`, `start` itself if there are none.
fn number_end(bytes: &[u8], start: usize) -> usize {
    let digits = |from: usize| {
        let rest = bytes[from..].iter();
        from + rest.take_while(|b| b.is_ascii_digit()).count()
    };
    let mut end = digits(start);
    // Thousands: a comma between a digit and exactly three more.
    while end > start && bytes.get(end) == Some(&b',') && digits(end + 1) == end + 4 {
        end += 4;
    }
    if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
        end = digits(end + 1);
    }
    end
}

/// The last number in digits, else the last one in words.
pub fn last_number(text: &str) -> Option<f64> {
    const WORDS: [&str; 21] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ];
    let in_words = || {
        let lower = text.to_lowercase();
        let mut words = lower.rsplit(|c: char| !c.is_alphanumeric());
        words.find_map(|word| match word {
            "none" => Some(0.0),
            word => WORDS.iter().position(|w| *w == word).map(|i| i as f64),
        })
    };
    numbers(text)
        .last()
        .map(|found| found.value)
        .or_else(in_words)
}

/// How many: the last number, if it is whole and not negative.
pub fn count(answer: &str) -> Option<f64> {
    last_number(answer).filter(|n| *n >= 0.0 && n.fract() == 0.0)
}

/// A length in metres; a number without a unit is metres. See [`parse_length_cm`].
pub fn length_m(answer: &str) -> Option<f64> {
    parse_length_cm(answer, LengthUnit::Meter).map(|cm| cm / 100.0)
}

/// The length in a text, in centimetres; `unit` is that of a number without one.
///
/// Looked for in this order: Q-SpatialBench's `scalar{…}` and `distance_unit{…}`, the first number with a unit of
/// length, the first number. Ranges (`2-3 m`, `2 to 3 m`) are averaged. None below or at 0.
pub fn parse_length_cm(text: &str, unit: LengthUnit) -> Option<f64> {
    let braced = braced(text);
    let cm = braced.or_else(|| {
        let numbers = numbers(text);
        let with_unit = numbers
            .iter()
            .enumerate()
            .find_map(|(i, number)| Some((i, unit_behind(&text[number.end..])?)));
        let (i, unit) = with_unit.or_else(|| (!numbers.is_empty()).then_some((0, unit)))?;
        Some(range_or_one(text, &numbers, i) * unit.cm())
    })?;
    (cm > 0.0 && cm.is_finite()).then_some(cm)
}

/// Number `i`, or the mean of a range that ends with it or begins with it.
fn range_or_one(text: &str, numbers: &[Found], i: usize) -> f64 {
    let joins = |a: &Found, b: &Found| {
        let between = text[a.end..b.start].trim();
        ["-", "–", "—", "~", "to", "and"].contains(&between)
    };
    let number = numbers[i];
    let before = i
        .checked_sub(1)
        .map(|j| numbers[j])
        .filter(|a| joins(a, &number));
    let after = numbers.get(i + 1).copied().filter(|b| joins(&number, b));
    match before.or(after) {
        // The sign of the second number is the line between the two.
        Some(other) => (number.value.abs() + other.value.abs()) / 2.0,
        None => number.value,
    }
}

/// The unit that follows a number.
fn unit_behind(rest: &str) -> Option<LengthUnit> {
    let rest = rest.trim_start_matches([' ', '-', '\u{a0}']);
    let end = rest
        .find(|c: char| !c.is_alphabetic())
        .unwrap_or(rest.len());
    let (word, behind) = rest.split_at(end);
    // `2 in the room` has no inches.
    let is_preposition =
        word == "in" && behind.trim_start().starts_with(|c: char| c.is_alphabetic());
    LengthUnit::parse(word).filter(|_| !is_preposition)
}

/// `\scalar{2 to 3} \distance_unit{feet}`: the last of each.
fn braced(text: &str) -> Option<f64> {
    let content = |name: &str| {
        let start = text.rfind(name)? + name.len();
        let end = text[start..].find('}')?;
        Some(&text[start..start + end])
    };
    let scalars = numbers(content("scalar{")?);
    let unit = LengthUnit::parse(content("distance_unit{")?)?;
    let sum: f64 = scalars.iter().map(|found| found.value.abs()).sum();
    (!scalars.is_empty()).then(|| sum / scalars.len() as f64 * unit.cm())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<f64>) {
        let cm = parse_length_cm(text, LengthUnit::Meter);
        match (cm, expected) {
            (Some(cm), Some(expected)) => assert!((cm - expected).abs() < 1e-9, "{text}: {cm}"),
            _ => assert_eq!(cm, expected, "{text}"),
        }
    }

    #[test]
    fn units_are_converted() {
        check("2 m", Some(200.0));
        check("35cm", Some(35.0));
        check("It is about 3 feet away.", Some(91.44));
        check("10 inches", Some(25.4));
        check("12 mm", Some(1.2));
        check("1.5-meter gap", Some(150.0));
        check("0.002 km", Some(200.0));
        check("2.5", Some(250.0));
        check("2 in the room", Some(200.0));
        check("2 in.", Some(5.08));
        check("1,200 mm", Some(120.0));
    }

    #[test]
    fn ranges_are_averaged() {
        check("2-3 m", Some(250.0));
        check("between 2 and 3 meters", Some(250.0));
        check("2 to 4 feet", Some(91.44));
        check("2m – 3m", Some(200.0));
        check("about 1–2", Some(150.0));
    }

    #[test]
    fn the_number_with_a_unit_wins_and_the_braces_before_all() {
        check(
            "Of the 3 boxes the red one is 80 cm wide, or 2.6 ft.",
            Some(80.0),
        );
        check(
            "First 5 m, but \\scalar{4} \\distance_unit{feet}",
            Some(121.92),
        );
        check("scalar{1-2} distance_unit{m}", Some(150.0));
    }

    #[test]
    fn what_is_no_length_is_none() {
        for text in ["", "far", "-2 m", "0 m", "m", "B2", "2.0.0"] {
            check(text, None);
        }
    }

    #[test]
    fn numbers_are_found_outside_words() {
        let values = |text| numbers(text).iter().map(|n| n.value).collect::<Vec<_>>();
        assert_eq!(
            values("a -3, 4.5. B2 1,200 and 1,2; .5"),
            [-3.0, 4.5, 1200.0, 1.0, 2.0, 0.5]
        );
        assert_eq!(values("2-3 x-7"), [2.0, 3.0, 7.0]);
    }

    #[test]
    fn counts_are_whole() {
        assert_eq!(count("There are three."), Some(3.0));
        assert_eq!(count("2.5"), None);
        assert_eq!(length_m("about 35 cm"), Some(0.35));
    }
}
