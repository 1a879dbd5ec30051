//! The keys of a training configuration for `--help`, from its JSON Schema: names, meanings, values, defaults.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A line for each key, `data[].weight` for those of list members.
pub(super) fn keys(schema: &Value) -> String {
    let mut text = String::from("Configuration, in YAML (defaults in brackets):\n\n");
    add_object(&mut text, schema, "", schema);
    text
}

fn add_object(text: &mut String, root: &Value, prefix: &str, object: &Value) {
    let properties = properties(object).into_iter().flatten();
    let (objects, leaves): (Vec<_>, Vec<_>) = properties
        .map(|(key, property)| (format!("{prefix}{key}"), property))
        .partition(|(_, property)| nested(root, property).is_some());
    for (name, property) in leaves {
        let meaning = description(property) + &values(root, property);
        let default = default(property);
        // Writing into a text cannot fail.
        let _ = writeln!(text, "  {name:<40} {meaning}{default}");
    }
    for (name, property) in objects {
        let Some((suffix, object)) = nested(root, property) else {
            continue;
        };
        let _ = writeln!(text, "\n {name}{suffix}: {}", description(property));
        add_object(text, root, &format!("{name}{suffix}."), object);
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

/// The object that a key holds, `[]` before it if the key holds a list of them.
fn nested<'s>(root: &'s Value, property: &'s Value) -> Option<(&'static str, &'s Value)> {
    let schema = resolved(root, property);
    if properties(schema).is_some() {
        return Some(("", schema));
    }
    let item = resolved(root, schema.get("items")?);
    properties(item).map(|_| ("[]", item))
}

/// What a reference or an optional value stands for.
fn resolved<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    if let Some(Value::String(reference)) = schema.get("$ref") {
        let target = reference.strip_prefix('#').and_then(|p| root.pointer(p));
        return target.map_or(schema, |target| resolved(root, target));
    }
    let options = schema.get("anyOf").and_then(Value::as_array);
    let is_value = |option: &&Value| option["type"] != "null";
    match options.and_then(|options| options.iter().find(is_value)) {
        Some(value) => resolved(root, value),
        None => schema,
    }
}

fn description(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('\n', " ")
}

/// The values of a key that has only a few, or whose list members have.
fn values(root: &Value, property: &Value) -> String {
    let mut schema = resolved(root, property);
    if let Some(items) = schema.get("items") {
        schema = resolved(root, items);
    }
    let plain = schema.get("enum").and_then(Value::as_array);
    let described = schema.get("oneOf").and_then(Value::as_array);
    let names = plain.into_iter().flatten().chain(
        described
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("const")),
    );
    let names: Vec<&str> = names.filter_map(Value::as_str).collect();
    match names[..] {
        [] => String::new(),
        _ => format!(" ({})", names.join(", ")),
    }
}

/// The default of a key, if there is one worth printing.
fn default(property: &Value) -> String {
    let shown = match &property["default"] {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match shown.as_str() {
        "" | "{}" | "[]" => String::new(),
        list if list.starts_with('[') => format!(" {list}"),
        _ => format!(" [{shown}]"),
    }
}

#[cfg(test)]
mod tests {
    use cooper_train::training::config_schema;
    use cooper_train::training::grpo::GrpoTraining;
    use cooper_train::training::supervised::SupervisedTraining;
    use cooper_train::training::vae::VaeTraining;
    use cooper_train::training::vit::VitTraining;

    use super::*;

    fn schemas() -> [Value; 4] {
        [
            config_schema::<VaeTraining>(),
            config_schema::<VitTraining>(),
            config_schema::<SupervisedTraining>(),
            config_schema::<GrpoTraining>(),
        ]
    }

    #[test]
    fn every_key_has_a_meaning_and_no_other_is_allowed() {
        for schema in schemas() {
            let definitions = schema["$defs"].as_object().unwrap().values();
            for object in definitions.chain([&schema]) {
                let Some(properties) = properties(object) else {
                    continue;
                };
                assert_eq!(object["additionalProperties"], false, "{object:#}");
                for (key, property) in properties {
                    assert!(!description(property).is_empty(), "{key}");
                }
            }
        }
    }

    #[test]
    fn a_line_has_the_meaning_the_values_and_the_default() {
        let help = schemas().map(|schema| keys(&schema));
        let [vae, vit, supervised, grpo] = &help;
        for (help, parts) in [
            (vae, ["  loss.kl ", "[0.001]"]),
            (vit, ["  map_share ", "0 to 0.5. [0.0]"]),
            (supervised, ["  run.optimizer.betas ", " [0.9,0.95]"]),
            (
                supervised,
                ["  run.schedule.decay ", "(linear, cosine) [linear]"],
            ),
            (supervised, ["  data[].scenes.scenes.width ", "[128]"]),
            (supervised, ["  data[].jsonl.depth_scale.lo ", "metres"]),
            (supervised, ["  data[].jsonl.flip ", "0 to 1. [0.5]"]),
            (grpo, ["  flow.guidance_interval ", "[0.0,1.0]"]),
            (grpo, ["  data[].scenes.kinds ", "(nearer, left_right,"]),
            (grpo, ["  data[].jsonl.file ", "Required."]),
        ] {
            let line = help.lines().find(|line| line.starts_with(parts[0]));
            assert!(
                line.is_some_and(|l| l.contains(parts[1])),
                "{parts:?}: {help}"
            );
        }
    }
}
