//! How matrices are quantised: blocks of small integers with scales, as in llama.cpp.
//!
//! All that names quantisations asks this file: options and parameters, files, plans and reports.

use std::str::FromStr;

use candle_core::quantized::GgmlDType;

use super::attention::KeyPrecision;

/// How the transformer's matrices are quantised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Quantization {
    /// Not at all.
    #[default]
    None,
    /// 8 bits, a scale for 32 numbers (Q8_0).
    Q8_0,
    /// 4 bits, scales for 256 numbers (Q4_K). A matrix whose rows are not whole blocks of 256 takes Q8_0.
    Q4K,
    /// 5 bits, as [`Self::Q4K`] (Q5_K). On a CPU candle multiplies it: we have no kernels for it.
    Q5K,
}

impl Quantization {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Q8_0, Self::Q4K, Self::Q5K];
    /// Their names.
    pub const NAMES: &[&str] = &["none", "q8_0", "q4k", "q5k"];

    /// `none`, or the type as options and parameters spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Q8_0 => "q8_0",
            Self::Q4K => "q4k",
            Self::Q5K => "q5k",
        }
    }

    fn dtype(self) -> Option<GgmlDType> {
        match self {
            Self::None => None,
            Self::Q8_0 => Some(GgmlDType::Q8_0),
            Self::Q4K => Some(GgmlDType::Q4K),
            Self::Q5K => Some(GgmlDType::Q5K),
        }
    }

    /// The number of a type in a GGUF file; none if no quantisation uses it.
    pub(crate) fn gguf_type(dtype: GgmlDType) -> Option<u32> {
        match dtype {
            GgmlDType::Q8_0 => Some(8),
            GgmlDType::Q4K => Some(12),
            GgmlDType::Q5K => Some(13),
            _ => None,
        }
    }

    /// The precision for keys and values of attention between such matrices.
    pub fn key_precision(self) -> KeyPrecision {
        match self {
            Self::None => KeyPrecision::Full,
            _ => KeyPrecision::Reduced,
        }
    }

    /// The block type for a matrix with rows of `width` numbers; none if it is not quantised.
    pub fn block_dtype(self, width: usize) -> Option<GgmlDType> {
        let types = self.dtype().map(|dtype| [dtype, GgmlDType::Q8_0]);
        let is_whole = |dtype: &GgmlDType| width.is_multiple_of(dtype.block_size());
        types.into_iter().flatten().find(is_whole)
    }

    /// The quantisation of a file whose matrices have these types.
    ///
    /// # Errors
    /// If there is none that has all of them.
    pub(crate) fn of_types(
        types: impl IntoIterator<Item = GgmlDType>,
    ) -> std::result::Result<Self, String> {
        let mut found = Self::None;
        for dtype in types {
            let known = Self::ALL.into_iter().find(|q| q.dtype() == Some(dtype));
            let Some(quantization) = known else {
                let expected = Self::NAMES[1..].join(" or ");
                return Err(format!("expected matrices in {expected}, got {dtype:?}"));
            };
            // Rows that are not whole blocks have Q8_0 in every file.
            match (found, quantization) {
                (Self::None | Self::Q8_0, _) => found = quantization,
                (_, Self::Q8_0) => {}
                _ if found == quantization => {}
                _ => {
                    let (one, other) = (found.name(), quantization.name());
                    return Err(format!(
                        "expected matrices in {one} alone, got {other} as well"
                    ));
                }
            }
        }
        Ok(found)
    }
}

impl FromStr for Quantization {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|choice| choice.name() == text);
        let expected = || Self::NAMES.join(", ");
        found.ok_or_else(|| format!("expected one of {}, got `{text}`", expected()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_all() {
        assert_eq!(
            Quantization::ALL.map(Quantization::name),
            Quantization::NAMES
        );
        for quantization in Quantization::ALL {
            assert_eq!(quantization.name().parse(), Ok(quantization));
            let numbers = quantization.dtype().map(Quantization::gguf_type);
            assert!(numbers.is_none_or(|number| number.is_some()));
        }
        assert!("q2".parse::<Quantization>().is_err());
    }

    #[test]
    fn a_file_says_how_it_is_quantised() {
        use GgmlDType::{Q4K, Q5K, Q6K, Q8_0};
        let check = |types: &[GgmlDType], expected| {
            let found = Quantization::of_types(types.iter().copied());
            assert_eq!(found, Ok(expected), "{types:?}");
        };
        check(&[], Quantization::None);
        check(&[Q8_0, Q8_0], Quantization::Q8_0);
        check(&[Q8_0, Q4K, Q8_0], Quantization::Q4K);
        check(&[Q5K, Q8_0], Quantization::Q5K);
        let error = Quantization::of_types([Q5K, Q4K]).unwrap_err();
        assert!(error.contains("in q5k alone, got q4k"), "{error}");
        let error = Quantization::of_types([Q4K, Q6K]).unwrap_err();
        assert!(error.contains("got Q6K"), "{error}");
    }
}
