//! A parameter's value and what it must be, as plain data: no ROS is needed to read or check either.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// A parameter's value.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number; an integer is accepted where a float is meant.
    Float(f64),
    /// A string.
    Text(String),
    /// A list of numbers.
    Floats(Vec<f64>),
    /// A list of strings.
    Texts(Vec<String>),
}

impl fmt::Display for Value {
    /// As written in YAML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Floats(values) => write!(f, "{values:?}"),
            Self::Texts(values) => write!(f, "{values:?}"),
        }
    }
}

/// What a parameter accepts.
#[derive(Clone, Debug)]
pub enum Accepts {
    /// `true` or `false`.
    Bool,
    /// A whole number in a range.
    Integer(RangeInclusive<i64>),
    /// A number in a range.
    Float(RangeInclusive<f64>),
    /// Two numbers of a range, the first not above the second.
    Interval(RangeInclusive<f64>),
    /// Any string.
    Text,
    /// A string that this function can read; its error says what is accepted.
    Read(&'static str, fn(&str) -> Result<(), String>),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// Different names that can begin a topic.
    TopicNames,
}

impl Accepts {
    /// The type's name as ROS writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Integer(_) => "integer",
            Self::Float(_) => "double",
            Self::Interval(_) => "double array",
            Self::Text | Self::Read(..) | Self::Choice(_) => "string",
            Self::TopicNames => "string array",
        }
    }

    /// Check `value` and bring it into this parameter's own type.
    ///
    /// # Errors
    /// What is accepted and what was found instead.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        let refusal = || format!("accepts {self}, got {value}");
        let accepted = match (self, value) {
            (Self::Bool, Value::Bool(_)) => true,
            (Self::Integer(range), Value::Integer(value)) => range.contains(value),
            (Self::Float(range), Value::Float(value)) => range.contains(value),
            (Self::Float(_), Value::Integer(value)) => {
                return self
                    .check(&Value::Float(*value as f64))
                    .map_err(|_| refusal());
            }
            (Self::Interval(range), Value::Floats(values)) => match values.as_slice() {
                [low, high] => low <= high && range.contains(low) && range.contains(high),
                _ => false,
            },
            (Self::Text, Value::Text(_)) => true,
            (Self::Read(_, read), Value::Text(text)) => read(text).is_ok(),
            (Self::Choice(choices), Value::Text(text)) => choices.contains(&text.as_str()),
            (Self::TopicNames, Value::Texts(names)) => are_topic_names(names),
            _ => false,
        };
        if accepted {
            Ok(value.clone())
        } else {
            Err(refusal())
        }
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer(range) if *range.end() == i64::MAX => {
                write!(f, "an integer from {}", range.start())
            }
            Self::Integer(range) => {
                write!(f, "an integer from {} to {}", range.start(), range.end())
            }
            Self::Float(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Interval(range) => write!(
                f,
                "two numbers from {} to {}, the first not above the second",
                range.start(),
                range.end()
            ),
            Self::Text => f.write_str("a string"),
            Self::Read(accepted, _) => f.write_str(accepted),
            Self::Choice(choices) => f.write_str(&choices.join(", ")),
            Self::TopicNames => f.write_str(
                "a list of different names of letters, digits, _ and /, each beginning with a letter or _",
            ),
        }
    }
}

fn are_topic_names(names: &[String]) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && !part.contains("__")
    };
    let mut sorted = names.to_vec();
    sorted.sort();
    sorted.dedup();
    !names.is_empty()
        && sorted.len() == names.len()
        && names.iter().all(|name| name.split('/').all(is_part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accepts: &Accepts, value: Value, accepted: bool) {
        assert_eq!(
            accepts.check(&value).is_ok(),
            accepted,
            "{accepts}: {value}"
        );
    }

    #[test]
    fn numbers_are_held_to_their_range() {
        check(&Accepts::Integer(1..=3), Value::Integer(3), true);
        check(&Accepts::Integer(1..=3), Value::Integer(4), false);
        check(&Accepts::Integer(1..=3), Value::Float(2.0), false);
        check(&Accepts::Float(0.0..=1.0), Value::Float(f64::NAN), false);
        check(&Accepts::Float(0.0..=1.0), Value::Float(1.0), true);
        let interval = Accepts::Interval(0.0..=1.0);
        check(&interval, Value::Floats(vec![0.0, 1.0]), true);
        check(&interval, Value::Floats(vec![0.6, 0.4]), false);
        check(&interval, Value::Floats(vec![0.5]), false);
    }

    #[test]
    fn an_integer_is_accepted_where_a_float_is_meant() {
        let float = Accepts::Float(0.0..=30.0);
        assert_eq!(float.check(&Value::Integer(30)), Ok(Value::Float(30.0)));
        assert!(float.check(&Value::Integer(31)).is_err());
    }

    #[test]
    fn camera_names_can_begin_a_topic() {
        let names = |names: &[&str]| Value::Texts(names.iter().map(ToString::to_string).collect());
        check(&Accepts::TopicNames, names(&["left", "front/right"]), true);
        for wrong in [
            &["/left"][..],
            &["le ft"],
            &["a", "a"],
            &[],
            &["1st"],
            &["a__b"],
            &[""],
        ] {
            check(&Accepts::TopicNames, names(wrong), false);
        }
    }

    #[test]
    fn a_refusal_says_what_is_accepted_and_what_was_given() {
        let refusal = Accepts::Choice(&["raw", "compressed"]).check(&Value::Text("gif".into()));
        assert_eq!(refusal, Err("accepts raw, compressed, got \"gif\"".into()));
    }
}
