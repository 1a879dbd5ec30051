//! The values of the declared parameters, checked at start and while running.

use std::collections::BTreeMap;

use cooper_model::{Error, Result};
use serde::de::DeserializeOwned;

use super::names;
use super::parameters::{Changes, Parameter, camera_parameters, parameters};
use super::value::Value;

/// The values of all declared parameters, each of them acceptable.
#[derive(Clone, Debug)]
pub struct ParameterSet {
    declared: Vec<Parameter>,
    values: BTreeMap<String, Value>,
}

impl ParameterSet {
    /// The defaults, with `overrides` in their place; also the names among them that are not declared.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names every bad value and what its parameter accepts.
    pub fn at_start(overrides: &BTreeMap<String, Value>) -> Result<(Self, Vec<String>)> {
        let mut set = Self {
            declared: Vec::new(),
            values: BTreeMap::new(),
        };
        let mut problems = set.declare(parameters(), overrides);
        for camera in set.texts("cameras").unwrap_or_default() {
            problems.extend(set.declare(camera_parameters(&camera), overrides));
        }
        if !problems.is_empty() {
            return Err(Error::invalid("parameters", problems.join("; ")));
        }
        let unknown = overrides.keys().filter(|name| set.find(name).is_none());
        let unknown = unknown.cloned().collect();
        Ok((set, unknown))
    }

    fn declare(
        &mut self,
        declared: Vec<Parameter>,
        overrides: &BTreeMap<String, Value>,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for parameter in declared {
            let value = overrides.get(&parameter.name).unwrap_or(&parameter.default);
            let value = parameter.accepts.check(value).unwrap_or_else(|why| {
                problems.push(format!("{} {why}", parameter.name));
                parameter.default.clone()
            });
            self.values.insert(parameter.name.clone(), value);
            self.declared.push(parameter);
        }
        problems
    }

    /// All parameters, in the order of the documentation.
    pub fn declared(&self) -> &[Parameter] {
        &self.declared
    }

    /// The value of `name`, if it is declared.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// Whether `name` may become `value` now, while the node runs.
    ///
    /// # Errors
    /// Why not, in words that follow the parameter's name.
    pub fn check(&self, name: &str, value: &Value) -> std::result::Result<Value, String> {
        let parameter = self.find(name).ok_or("is not a parameter of this node")?;
        let value = parameter.accepts.check(value)?;
        if parameter.changes == Changes::AtStart && self.get(name) != Some(&value) {
            return Err("can be set at start only".into());
        }
        Ok(value)
    }

    /// Change `name` while the node runs.
    ///
    /// # Errors
    /// See [`ParameterSet::check`].
    pub fn set(&mut self, name: &str, value: &Value) -> std::result::Result<(), String> {
        let value = self.check(name, value)?;
        self.values.insert(name.into(), value);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Parameter> {
        self.declared
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The integer `name`.
    ///
    /// # Errors
    /// [`Error::Internal`] if no integer of that name is declared (as in the other readers).
    pub fn integer(&self, name: &str) -> Result<u64> {
        match self.get(name) {
            Some(Value::Integer(value)) => u64::try_from(*value).map_err(|_| undeclared(name)),
            _ => Err(undeclared(name)),
        }
    }

    /// The integer `name` as a count.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn count(&self, name: &str) -> Result<usize> {
        Ok(usize::try_from(self.integer(name)?).unwrap_or(usize::MAX))
    }

    /// The float `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.get(name) {
            Some(Value::Float(value)) => Ok(*value),
            _ => Err(undeclared(name)),
        }
    }

    /// The flag `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            Some(Value::Bool(value)) => Ok(*value),
            _ => Err(undeclared(name)),
        }
    }

    /// The string `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.get(name) {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(undeclared(name)),
        }
    }

    /// The list of strings `name`.
    ///
    /// # Errors
    /// See [`ParameterSet::integer`].
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        match self.get(name) {
            Some(Value::Texts(values)) => Ok(values.clone()),
            _ => Err(undeclared(name)),
        }
    }

    /// The choice `name` as its enum.
    ///
    /// # Errors
    /// [`Error::Internal`] if no parameter of that name takes the names of this enum.
    pub(super) fn choice<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        names::variant(self.text(name)?)
            .map_err(|why| Error::Internal(format!("the parameter {name}: {why}")))
    }

    /// The parameters `group.*` as the struct whose fields they are.
    ///
    /// # Errors
    /// [`Error::Internal`] if not every field is declared with its type.
    pub(super) fn group<T: DeserializeOwned>(&self, group: &str) -> Result<T> {
        let field = |leaf: &&'static str| {
            let name = format!("{group}.{leaf}");
            let value = self.get(&name).ok_or_else(|| undeclared(&name))?;
            Ok((*leaf, value))
        };
        let fields = names::declared::<T>().iter().map(field);
        let fields: BTreeMap<&str, &Value> = fields.collect::<Result<_>>()?;
        serde_json::to_value(fields)
            .and_then(serde_json::from_value)
            .map_err(|why| Error::Internal(format!("the parameters {group}.*: {why}")))
    }
}

fn undeclared(name: &str) -> Error {
    Error::Internal(format!(
        "the parameter {name} is not declared with this type"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(pairs: &[(&str, Value)]) -> BTreeMap<String, Value> {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.clone()))
            .collect()
    }

    #[test]
    fn every_default_is_acceptable() {
        let (set, unknown) = ParameterSet::at_start(&BTreeMap::new()).unwrap();
        assert!(unknown.is_empty());
        for parameter in set.declared() {
            assert_eq!(
                parameter.accepts.check(&parameter.default),
                Ok(parameter.default.clone()),
                "{}",
                parameter.name
            );
            assert!(parameter.description.ends_with('.'), "{}", parameter.name);
        }
    }

    #[test]
    fn the_shipped_file_holds_every_parameter_with_its_default() {
        // Those of `flow` are told but not set: a model has its own.
        let text = include_str!("../../config/cooper.yaml")
            .replace("    #flow:", "    flow:")
            .replace("    #  ", "      ");
        let file: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        for Parameter { name, default, .. } in parameters() {
            if name == "use_sim_time" {
                continue;
            }
            let start = &file["/**"]["ros__parameters"];
            let value = name.split('.').fold(start, |tree, part| &tree[part]);
            let expected: serde_yaml::Value = serde_yaml::from_str(&default.to_string()).unwrap();
            assert_eq!(value, &expected, "{name}");
        }
    }

    #[test]
    fn all_bad_values_are_told_at_once() {
        let bad = overrides(&[
            ("flow.time_points", Value::Integer(1)),
            ("model.device", Value::Text("tpu".into())),
        ]);
        let told = ParameterSet::at_start(&bad).unwrap_err().to_string();
        assert!(
            told.contains("flow.time_points accepts an integer from 2 to 1000, got 1"),
            "{told}"
        );
        assert!(
            told.contains("model.device accepts auto, cpu, cuda:N or metal:N"),
            "{told}"
        );
    }

    #[test]
    fn each_camera_has_its_parameters() {
        let given = overrides(&[
            ("cameras", Value::Texts(vec!["left".into()])),
            ("cameras.left.transport", Value::Text("compressed".into())),
            ("cameras.right.transport", Value::Text("raw".into())),
        ]);
        let (set, unknown) = ParameterSet::at_start(&given).unwrap();
        assert_eq!(set.text("cameras.left.transport").unwrap(), "compressed");
        assert_eq!(unknown, ["cameras.right.transport"]);
    }

    #[test]
    fn what_may_not_change_is_refused_by_name() {
        let (mut set, _) = ParameterSet::at_start(&BTreeMap::new()).unwrap();
        set.set("continuous.rate", &Value::Integer(2)).unwrap();
        assert_eq!(set.float("continuous.rate").unwrap(), 2.0);
        assert!(
            set.set("limits.queue", &Value::Integer(3))
                .unwrap_err()
                .contains("start")
        );
        set.set("model.dir", &Value::Text("x".into())).unwrap();
        assert!(set.set("modle.dir", &Value::Text("x".into())).is_err());
    }
}
