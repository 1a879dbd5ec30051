//! Names that a type declares once, for serde: those of an enum's variants and of a struct's fields.

use serde::de::value::{Error as NameError, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};

/// The names of an enum's variants or of a struct's fields, in the order of their declaration; none of other types.
pub(super) fn declared<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names = Names(&[]);
    // Fails in any case: it is asked for its names only.
    let _ = T::deserialize(&mut names);
    names.0
}

/// The variant of this name.
///
/// # Errors
/// Which names there are.
pub(super) fn variant<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    let name: StrDeserializer<'_, NameError> = name.into_deserializer();
    T::deserialize(name).map_err(|error| error.to_string())
}

/// The name of an enum's unit variant; empty for other values.
pub(super) fn name(variant: impl Serialize) -> String {
    match serde_json::to_value(variant) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::new(),
    }
}

/// Takes the names that a type hands to its deserializer.
struct Names(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Names {
    type Error = NameError;

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NameError> {
        self.0 = variants;
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, NameError> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, NameError> {
        Err(NameError::custom("there is no value"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use cooper_model::engine::{DtypeChoice, FlowParams, Quantization};
    use cooper_model::reasoning::Mode;

    use super::*;

    #[test]
    fn names_are_those_of_the_declaration() {
        let modes = ["interleaved", "text", "perception", "direct"];
        assert_eq!(declared::<Mode>(), modes);
        assert_eq!(declared::<DtypeChoice>(), ["auto", "f32", "bf16", "f16"]);
        assert_eq!(declared::<FlowParams>()[0], "time_points");
        assert!(declared::<String>().is_empty());
    }

    #[test]
    fn a_name_is_read_back_and_another_is_refused() {
        for text in declared::<Mode>() {
            assert_eq!(name(variant::<Mode>(text).unwrap()), *text);
        }
        let refusal = variant::<Mode>("thinking").unwrap_err();
        assert!(
            refusal.contains("expected one of `interleaved`"),
            "{refusal}"
        );
    }

    #[test]
    fn quantisations_have_one_name_each() {
        for text in declared::<Quantization>() {
            let quantization: Quantization = variant(text).unwrap();
            assert_eq!(
                (quantization.name(), text.parse()),
                (*text, Ok(quantization))
            );
        }
        for text in declared::<DtypeChoice>() {
            assert_eq!(text.parse(), variant::<DtypeChoice>(text));
        }
    }
}
