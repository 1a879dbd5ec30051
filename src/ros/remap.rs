//! Relative names resolved: namespace, then the remapping rules of the command line.
//!
//! rcl resolves the name of each endpoint, but r2r does not expose the result, which diagnostics report.

/// The node's name and namespace, and its remapping rules.
#[derive(Clone, Debug, Default)]
pub struct Names {
    node: String,
    namespace: String,
    rules: Vec<(String, String)>,
}

impl Names {
    /// Read the `-r from:=to` rules in the process's arguments, for a node of this name in this namespace.
    pub fn new(node: &str, namespace: &str, arguments: impl IntoIterator<Item = String>) -> Self {
        let mut names = Self {
            node: node.into(),
            namespace: namespace.trim_end_matches('/').into(),
            rules: Vec::new(),
        };
        for rule in rules(arguments) {
            let Some((from, to)) = rule.split_once(":=") else {
                continue;
            };
            let from = match from.split_once(':') {
                Some((rule_node, from)) if rule_node == node => from,
                Some(_) => continue,
                None => from,
            };
            if !from.starts_with("__") {
                let rule = (names.expand(from), names.expand(to));
                names.rules.push(rule);
            }
        }
        names
    }

    /// The full name that `name` has in the graph.
    pub fn resolve(&self, name: &str) -> String {
        let name = self.expand(name);
        let rule = self.rules.iter().find(|(from, _)| *from == name);
        rule.map_or(name, |(_, to)| to.clone())
    }

    fn expand(&self, name: &str) -> String {
        let Self {
            node, namespace, ..
        } = self;
        match name.strip_prefix("~/") {
            Some(private) => format!("{namespace}/{node}/{private}"),
            None if name.starts_with('/') => name.into(),
            None => format!("{namespace}/{name}"),
        }
    }
}

/// The arguments that follow `-r` or `--remap` between `--ros-args` and `--`.
fn rules(arguments: impl IntoIterator<Item = String>) -> Vec<String> {
    let (mut rules, mut in_ros_args, mut is_rule) = (Vec::new(), false, false);
    for argument in arguments {
        match argument.as_str() {
            "--ros-args" => in_ros_args = true,
            "--" => in_ros_args = false,
            "-r" | "--remap" if in_ros_args => is_rule = true,
            _ if is_rule => {
                rules.push(argument);
                is_rule = false;
            }
            _ => {}
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Names {
        Names::new(
            "cooper",
            "/robot",
            arguments.iter().map(ToString::to_string),
        )
    }

    #[test]
    fn relative_names_are_in_the_namespace() {
        let names = names(&[]);
        assert_eq!(names.resolve("camera/image_raw"), "/robot/camera/image_raw");
        assert_eq!(names.resolve("~/answer"), "/robot/cooper/answer");
        assert_eq!(names.resolve("/diagnostics"), "/diagnostics");
        assert_eq!(Names::new("cooper", "/", []).resolve("a"), "/a");
    }

    #[test]
    fn rules_of_other_nodes_are_ignored() {
        let arguments = [
            "node",
            "-r",
            "no:=/no",
            "--ros-args",
            "-r",
            "camera/image_raw:=/usb/image",
            "-r",
            "other:a:=/b",
        ];
        let names = names(&arguments);
        assert_eq!(names.resolve("camera/image_raw"), "/usb/image");
        assert_eq!(names.resolve("a"), "/robot/a");
        assert_eq!(names.resolve("no"), "/robot/no");
    }
}
