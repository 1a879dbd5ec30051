//! Names of topics, services and parameters, launch arguments, and the fields of requests.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cooper_perception::config::interfaces::{INTERFACES, Interface};
use cooper_perception::config::{Parameter, camera_parameters, parameters};

use super::document::{check, documents, files_below, root, shell_words};

/// Endings by which a dotted name is a file and no parameter.
const FILE_ENDINGS: [&str; 11] = [
    "exr",
    "gguf",
    "json",
    "jsonl",
    "npy",
    "png",
    "py",
    "rs",
    "safetensors",
    "tsv",
    "yaml",
];

/// A name as `~/N/…` or `~/…`, or resolved for the node `cooper` and any camera.
fn interface(name: &str) -> Option<&'static Interface> {
    let private = name
        .strip_prefix("/cooper/")
        .or_else(|| name.strip_prefix("~/"))?;
    INTERFACES
        .iter()
        .find(|interface| match interface.name.strip_prefix("~/N") {
            // A camera's name may have several parts.
            Some(rest) => private
                .strip_suffix(rest)
                .is_some_and(|camera| !camera.is_empty()),
            None => interface.name.strip_prefix("~/") == Some(private),
        })
}

fn is_parameter(name: &str) -> bool {
    let of_camera = name
        .strip_prefix("cameras.")
        .and_then(|rest| rest.split_once('.'))
        .map(|(_, rest)| rest);
    let known =
        |all: Vec<Parameter>, name: &str| all.iter().any(|parameter| parameter.name == name);
    known(parameters(), name)
        || of_camera.is_some_and(|rest| known(camera_parameters("N"), &format!("cameras.N.{rest}")))
}

/// Whether a word in code means a parameter: dotted, of one of the groups, and no file.
fn names_a_parameter(word: &str) -> bool {
    let Some((group, rest)) = word.split_once('.') else {
        return false;
    };
    let groups: BTreeSet<_> = parameters()
        .iter()
        .filter_map(|p| Some(p.name.split_once('.')?.0.to_owned()))
        .collect();
    let plain = rest
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "_./".contains(c));
    let ending = rest.rsplit('.').next().unwrap_or_default();
    (groups.contains(group) || group == "cameras")
        && plain
        && !rest.is_empty()
        && !FILE_ENDINGS.contains(&ending)
}

/// The fields that a request or goal may have: the interface file up to its first `---`.
fn request_fields(type_name: &str) -> BTreeSet<String> {
    let (_, rest) = type_name.split_once('/').unwrap();
    let kind = rest.split('/').next().unwrap();
    let text = std::fs::read_to_string(root().join(format!("{rest}.{kind}"))).unwrap();
    let request = text
        .lines()
        .take_while(|line| *line != "---")
        .filter(|line| !line.starts_with('#'));
    request
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect()
}

/// What is wrong with a call of a service or action: its name, its type, the fields of what is sent.
fn wrong_in_call(words: &[String]) -> Vec<String> {
    let Some(at) = words.iter().position(|word| word.starts_with("/cooper/")) else {
        return Vec::new();
    };
    let (Some(interface), Some(type_name)) = (interface(&words[at]), words.get(at + 1)) else {
        return Vec::new(); // Names alone are checked elsewhere.
    };
    if interface.type_name != type_name {
        return vec![format!(
            "{}: expected the type {}, got {type_name}",
            words[at], interface.type_name
        )];
    }
    let Some(sent) = words
        .get(at + 2)
        .filter(|_| type_name.starts_with("cooper_perception/"))
    else {
        return Vec::new();
    };
    let Ok(sent) = serde_yaml::from_str::<serde_yaml::Mapping>(sent) else {
        return vec![format!("{type_name}: expected YAML, got {sent}")];
    };
    let fields = request_fields(type_name);
    let unknown = sent
        .keys()
        .filter_map(|key| key.as_str())
        .filter(|key| !fields.contains(*key));
    unknown
        .map(|key| format!("{type_name}: there is no field {key}"))
        .collect()
}

/// Launch files and arguments of ours that do not exist.
fn wrong_in_launch(words: &[String]) -> Vec<String> {
    if !words
        .windows(2)
        .any(|pair| pair == ["launch", "cooper_perception"])
    {
        return Vec::new();
    }
    let read = |path: &PathBuf| std::fs::read_to_string(root().join(path)).unwrap();
    let launch: String = files_below("launch", ".py").iter().map(read).collect();
    let exists = |word: &&String| match word.split_once(":=") {
        Some((argument, _)) => launch.contains(&format!("\"{argument}\"")),
        None => !word.ends_with(".launch.py") || root().join("launch").join(word).exists(),
    };
    words
        .iter()
        .filter(|word| !exists(word))
        .map(|word| format!("there is no {word}"))
        .collect()
}

/// Topics, services and parameters that words of a command name.
fn names_in_command(words: &[String]) -> Vec<(&str, bool)> {
    let is_topic = |word: &&str| {
        word.starts_with("/cooper/") && !word.contains(['…', 'N', '{']) && !word.ends_with('/')
    };
    let values = words
        .iter()
        .map(|word| word.rsplit(":=").next().unwrap_or_default());
    let topics = values
        .filter(is_topic)
        .map(|name| (name, interface(name).is_some()));
    let set = words
        .windows(2)
        .filter(|pair| pair[0] == "-p")
        .filter_map(|pair| Some(pair[1].split_once(":=")?.0));
    topics
        .chain(set.map(|name| (name, is_parameter(name))))
        .collect()
}

/// Names of the node and parameters in inline code.
fn names_in_span(span: &str) -> Vec<(&str, bool)> {
    let words = span
        .split_whitespace()
        .map(|word| word.trim_end_matches([',', ':', '=', ';']));
    let complete = words.filter(|word| !word.contains('…') && !word.ends_with('/'));
    let name = |word| match word {
        _ if str::starts_with(word, "~/") => Some((word, interface(word).is_some())),
        _ if names_a_parameter(word) => Some((word, is_parameter(word))),
        _ => None,
    };
    complete.filter_map(name).collect()
}

#[test]
fn names_of_ros_exist() {
    let (mut n_names, mut wrong) = (0, Vec::new());
    for document in documents() {
        let commands: Vec<_> = document.commands().collect();
        let named = commands.iter().flat_map(|words| names_in_command(words));
        for (name, exists) in
            named.chain(document.spans.iter().flat_map(|span| names_in_span(span)))
        {
            if !exists {
                wrong.push(format!("{}: there is no {name}", document.path.display()));
            }
            n_names += 1;
        }
        for words in commands
            .iter()
            .filter(|words| words.iter().any(|word| word == "ros2"))
        {
            let found = [wrong_in_call(words), wrong_in_launch(words)].concat();
            wrong.extend(
                found
                    .iter()
                    .map(|what| format!("{}: {what}", document.path.display())),
            );
        }
    }
    check(&wrong);
    assert!(n_names > 150, "{n_names}");
}

#[test]
fn wrong_names_are_found() {
    assert!(
        interface("/cooper/camera/points").is_some() && interface("/cooper/camera/point").is_none()
    );
    assert!(interface("~/N/depth/image").is_some() && interface("~/N/image").is_none());
    assert!(names_a_parameter("flow.steps") && !is_parameter("flow.steps"));
    assert!(is_parameter("cameras.front.scale.source") && !names_a_parameter("trace.json"));
    let call = |request| {
        shell_words(&format!(
            "ros2 service call /cooper/ask cooper_perception/srv/Ask \"{request}\""
        ))
    };
    assert!(wrong_in_call(&call("{question: 'Why?', seed: -1}")).is_empty());
    assert_eq!(
        wrong_in_call(&call("{query: 'Why?'}")),
        ["cooper_perception/srv/Ask: there is no field query"]
    );
    assert_eq!(
        wrong_in_launch(&shell_words(
            "ros2 launch cooper_perception cooper.launch.py image:=/a"
        )),
        ["there is no image:=/a"]
    );
}
