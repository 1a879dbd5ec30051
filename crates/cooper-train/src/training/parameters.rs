//! The weights of a file as variables, some of them frozen.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use cooper_model::{Error, Result};

use super::model_directory::load_finite;

/// Named weights, f32 on the CPU, in the order of their names.
#[derive(Debug)]
pub struct Parameters {
    vars: BTreeMap<String, Var>,
    trained: Vec<String>,
}

impl Parameters {
    /// Read a safetensors file. Names that match one of `frozen` (`*` stands for anything) are not trained,
    /// nor are position tables, which are fixed.
    ///
    /// # Errors
    /// [`Error::Weights`] if the file cannot be read or holds NaN; [`Error::InvalidInput`] for a pattern that matches nothing,
    /// or if nothing is left to train.
    pub fn read(file: &Path, frozen: &[String]) -> Result<Self> {
        Self::new(load_finite(file)?, frozen)
    }

    /// As [`Self::read`], of tensors in memory.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn new(
        tensors: impl IntoIterator<Item = (String, Tensor)>,
        frozen: &[String],
    ) -> Result<Self> {
        let mut vars = BTreeMap::new();
        for (name, tensor) in tensors {
            vars.insert(name, Var::from_tensor(&tensor.to_dtype(DType::F32)?)?);
        }
        for pattern in frozen {
            if !vars.keys().any(|name| matches(pattern, name)) {
                let why = format!("expected names of weights, got `{pattern}`, which matches none");
                return Err(Error::invalid("freeze", why));
            }
        }
        let is_frozen = |name: &str| {
            name.ends_with("pos_embed.pos_embed") || frozen.iter().any(|p| matches(p, name))
        };
        let trained: Vec<String> = vars
            .keys()
            .filter(|name| !is_frozen(name))
            .cloned()
            .collect();
        if trained.is_empty() {
            return Err(Error::invalid(
                "freeze",
                "expected a weight left to train, got none",
            ));
        }
        Ok(Self { vars, trained })
    }

    /// For building a network on these weights: gradients reach the trained ones only.
    pub fn builder(&self) -> VarBuilder<'static> {
        let trained = |name: &String| self.trained.binary_search(name).is_ok();
        let tensors: HashMap<String, Tensor> = self
            .vars
            .iter()
            .map(|(name, var)| {
                let tensor = if trained(name) {
                    var.as_tensor().clone()
                } else {
                    var.as_detached_tensor()
                };
                (name.clone(), tensor)
            })
            .collect();
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
    }

    /// The trained weights, by name.
    pub fn trained(&self) -> impl Iterator<Item = (&String, &Var)> {
        self.trained.iter().map(|name| (name, &self.vars[name]))
    }

    /// All weights, by name.
    pub fn all(&self) -> impl Iterator<Item = (&String, &Var)> {
        self.vars.iter()
    }

    /// One weight.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.vars.get(name)
    }

    /// Numbers that are trained.
    pub fn n_trained(&self) -> usize {
        self.trained().map(|(_, var)| var.elem_count()).sum()
    }
}

/// Whether `name` has the form of `pattern`, in which `*` stands for any text.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_names() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("vit_model.*", "vit_model.x.weight", true),
            ("vit_model.*", "connector.fc1.weight", false),
            ("*_moe_gen*", "layers.0.q_proj_moe_gen.weight", true),
            ("*_moe_gen*", "layers.0.q_proj.weight", false),
            ("*layers.*.weight", "x.layers.1.q.weight", true),
            ("*ab", "ab", true),
            ("ab*ab", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
