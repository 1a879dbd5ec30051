//! JSON Schemas of the configurations, for editors and for the command line's help.

use schemars::JsonSchema;
use serde_json::Value;

/// The JSON Schema (draft 2020-12) of a stage's configuration: every key with its meaning and its default.
pub fn config_schema<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}
