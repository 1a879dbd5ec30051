//! The declared parameters as ROS parameters: r2r serves them, [`ParameterSet`] checks them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cooper_model::engine::FlowProfile;
use cooper_model::{Error, Result};
use cooper_perception::config;
use cooper_perception::config::{ParameterSet, Value};
use cooper_perception::pipeline::Settings;
use r2r::indexmap::IndexMap;
use r2r::{Node, Parameter, ParameterValue, RosParams};

/// The node's parameters; clones share them.
#[derive(Clone, Debug)]
pub struct Parameters(Arc<Mutex<Declared>>);

/// The parameters that r2r's services hold.
#[derive(Clone, Debug)]
pub struct Declared {
    set: ParameterSet,
    /// The model's own values of parameters that were not set at start.
    from_model: BTreeMap<String, Value>,
}

impl Parameters {
    /// Read the values of the command line and of parameter files. Unknown names are logged and ignored, since a parameter
    /// file may serve several nodes.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] that names every invalid value and what its parameter accepts.
    pub fn at_start(node: &Node) -> Result<Self> {
        let mut given = node.params.lock().unwrap_or_else(PoisonError::into_inner);
        let mut overrides = BTreeMap::new();
        for (name, parameter) in given.iter() {
            overrides.insert(
                name.clone(),
                from_ros(&parameter.value)
                    .unwrap_or_else(|| Value::Text("a value of an unknown type".into())),
            );
        }
        let mut from_model = model_values(|name| overrides.get(name))?;
        from_model.retain(|name, _| !overrides.contains_key(name));
        overrides.extend(from_model.clone());
        let (set, unknown) = ParameterSet::at_start(&overrides)?;
        for name in unknown {
            tracing::warn!("ignoring unknown parameter {name}");
            given.shift_remove(&name);
        }
        Ok(Self(Arc::new(Mutex::new(Declared { set, from_model }))))
    }

    fn lock(&self) -> MutexGuard<'_, Declared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The parameters for r2r's parameter services.
    pub fn for_services(&self) -> Arc<Mutex<Declared>> {
        self.0.clone()
    }

    /// The current values.
    pub fn now(&self) -> ParameterSet {
        self.lock().set.clone()
    }

    /// Take the own values of the model in `model.dir`, with its `flow.profile`, for parameters that were never set.
    ///
    /// # Errors
    /// What is wrong in the model's `flow_config.json`.
    pub fn follow_model(&self) -> Result<()> {
        let set = self.now();
        let values = model_values(|name| set.get(name))?;
        self.lock().follow(values)
    }

    /// The current settings of requests.
    ///
    /// # Errors
    /// See [`config::settings`].
    pub fn settings(&self) -> Result<Settings> {
        config::settings(&self.lock().set)
    }

    /// The current value of the float `name`.
    ///
    /// # Errors
    /// [`Error::Internal`] if none of that name is declared.
    pub fn float(&self, name: &str) -> Result<f64> {
        self.lock().set.float(name)
    }

    /// The current value of the flag `name`.
    ///
    /// # Errors
    /// [`Error::Internal`] if none of that name is declared.
    pub fn flag(&self, name: &str) -> Result<bool> {
        self.lock().set.flag(name)
    }
}

/// The own values of the model in `model.dir`, or of the shipped one; `given` looks up the current parameters.
fn model_values<'v>(given: impl Fn(&str) -> Option<&'v Value>) -> Result<BTreeMap<String, Value>> {
    // An invalid profile is reported later with all other invalid values.
    let profile = match given("flow.profile") {
        Some(Value::Text(profile)) => profile.parse().unwrap_or_default(),
        _ => FlowProfile::default(),
    };
    let dir = match given("model.dir") {
        Some(Value::Text(dir)) if !dir.is_empty() => Some(dir.into()),
        _ => config::shipped_model(&std::env::var("AMENT_PREFIX_PATH").unwrap_or_default()),
    };
    let values = dir.map_or(Ok(Vec::new()), |dir| config::flow_of_model(&dir, profile))?;
    Ok(values.into_iter().collect())
}

impl Declared {
    fn follow(&mut self, values: BTreeMap<String, Value>) -> Result<()> {
        for (name, own) in &mut self.from_model {
            let is_untouched = self.set.get(name) == Some(own);
            if let (true, Some(value)) = (is_untouched, values.get(name)) {
                let set = self.set.set(name, value);
                set.map_err(|why| Error::invalid(format!("the model's {name}"), why))?;
                own.clone_from(value);
            }
        }
        Ok(())
    }
}

impl RosParams for Declared {
    fn register_parameters(
        &mut self,
        _prefix: &str,
        _parameter: Option<Parameter>,
        parameters: &mut IndexMap<String, Parameter>,
    ) -> r2r::Result<()> {
        for declared in self.set.declared() {
            let value = self.set.get(&declared.name).unwrap_or(&declared.default);
            let parameter = Parameter {
                value: to_ros(value),
                // r2r wants a static string; this runs once.
                description: declared.full_description().leak(),
            };
            parameters.insert(declared.name.clone(), parameter);
        }
        Ok(())
    }

    fn get_parameter(&mut self, name: &str) -> r2r::Result<ParameterValue> {
        self.set.get(name).map(to_ros).ok_or_else(|| unknown(name))
    }

    fn set_parameter(&mut self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        self.check_parameter(name, value)?;
        let value = from_ros(value).ok_or_else(|| unknown(name))?;
        self.set.set(name, &value).map_err(|why| invalid(name, why))
    }

    fn check_parameter(&self, name: &str, value: &ParameterValue) -> r2r::Result<()> {
        if self.set.get(name).is_none() {
            return Err(unknown(name));
        }
        let value = from_ros(value)
            .ok_or_else(|| invalid(name, "cannot be unset: expected a value, got none".into()))?;
        self.set
            .check(name, &value)
            .map(drop)
            .map_err(|why| invalid(name, why))
    }
}

fn unknown(name: &str) -> r2r::Error {
    r2r::Error::InvalidParameterName { name: name.into() }
}

/// r2r puts `Parameter <name> conversion failed: ` before this.
fn invalid(name: &str, why: String) -> r2r::Error {
    r2r::Error::ParameterValueConv {
        name: name.into(),
        msg: why,
    }
}

fn to_ros(value: &Value) -> ParameterValue {
    match value.clone() {
        Value::Bool(value) => ParameterValue::Bool(value),
        Value::Integer(value) => ParameterValue::Integer(value),
        Value::Float(value) => ParameterValue::Double(value),
        Value::Text(value) => ParameterValue::String(value),
        Value::Floats(values) => ParameterValue::DoubleArray(values),
        Value::Texts(values) => ParameterValue::StringArray(values),
    }
}

/// A ROS value as a [`Value`]; integers in a list become floats.
fn from_ros(value: &ParameterValue) -> Option<Value> {
    match value.clone() {
        ParameterValue::Bool(value) => Some(Value::Bool(value)),
        ParameterValue::Integer(value) => Some(Value::Integer(value)),
        ParameterValue::Double(value) => Some(Value::Float(value)),
        ParameterValue::String(value) => Some(Value::Text(value)),
        ParameterValue::DoubleArray(values) => Some(Value::Floats(values)),
        ParameterValue::IntegerArray(values) => Some(Value::Floats(
            values.into_iter().map(|value| value as f64).collect(),
        )),
        ParameterValue::StringArray(values) => Some(Value::Texts(values)),
        ParameterValue::BoolArray(_) | ParameterValue::ByteArray(_) | ParameterValue::NotSet => {
            None
        }
    }
}

/// A parameter in seconds as a time limit; 0 is none.
pub fn limit(seconds: f64) -> Option<std::time::Duration> {
    (seconds > 0.0).then(|| std::time::Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Declared {
        Declared {
            set: ParameterSet::at_start(&BTreeMap::new()).unwrap().0,
            from_model: BTreeMap::new(),
        }
    }

    #[test]
    fn an_error_names_the_parameter_and_what_it_accepts() {
        let error = declared()
            .set_parameter("flow.time_points", &ParameterValue::Integer(0))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("flow.time_points") && error.contains("from 2 to 1000, got 0"),
            "{error}"
        );
        assert!(
            declared()
                .set_parameter("nonsense", &ParameterValue::Integer(0))
                .is_err()
        );
        assert!(
            declared()
                .set_parameter("seed", &ParameterValue::NotSet)
                .is_err()
        );
    }

    #[test]
    fn another_model_changes_only_unset_parameters() {
        let mut declared = declared();
        let own_values = |points, text| {
            let points = ("flow.time_points".to_string(), Value::Integer(points));
            BTreeMap::from([points, ("flow.guidance_text".into(), Value::Float(text))])
        };
        declared.from_model = own_values(50, 4.0);
        declared
            .set
            .set("flow.guidance_text", &Value::Float(2.0))
            .unwrap();
        declared.follow(own_values(3, 1.0)).unwrap();
        assert_eq!(declared.set.integer("flow.time_points").unwrap(), 3);
        assert_eq!(declared.set.float("flow.guidance_text").unwrap(), 2.0);
        let error = declared.follow(own_values(1, 1.0)).unwrap_err().to_string();
        assert!(
            error.starts_with("the model's flow.time_points: accepts"),
            "{error}"
        );
    }

    #[test]
    fn integers_are_accepted_as_floats() {
        let mut declared = declared();
        declared
            .set_parameter("continuous.rate", &ParameterValue::Integer(3))
            .unwrap();
        assert_eq!(
            declared.get_parameter("continuous.rate").unwrap(),
            ParameterValue::Double(3.0)
        );
        declared
            .set_parameter(
                "flow.guidance_interval",
                &ParameterValue::IntegerArray(vec![0, 1]),
            )
            .unwrap();
    }
}
