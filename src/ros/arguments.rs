//! The words of the command line that are not ROS's: rcl reads what follows `--ros-args`, and passes over all others.

/// What to do, by the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Run the node.
    Run,
    /// Print these words and end.
    Print(String),
    /// Refuse a word.
    Refuse(String),
}

const USAGE: &str = "\
cooper_node, the ROS 2 node of COOPER: depth, segmentation and answers about a camera's images

Usage: cooper_node [--ros-args ARGUMENTS...]
       cooper_node --help | --version

Arguments behind --ros-args, which ROS reads:
  -p NAME:=VALUE       set a parameter, such as model.dir:=/data/COOPER; docs/parameters.md has all
  --params-file FILE   set the parameters of a YAML file, such as config/cooper.yaml
  -r FROM:=TO          remap a topic, such as camera/image_raw:=/usb/image, or __node, or __ns
  --log-level LEVEL    debug, info, warn, error or fatal

docs/interfaces.md has the topics, services and the action. Ctrl-C ends the node.
";

/// Read the process's arguments, without the program's name.
pub fn read(arguments: impl IntoIterator<Item = String>) -> Invocation {
    let (mut is_ros, mut may_be_value) = (false, false);
    for argument in arguments {
        let is_value = std::mem::take(&mut may_be_value) && !argument.starts_with('-');
        match argument.as_str() {
            "--ros-args" => is_ros = true,
            "--" => is_ros = false,
            "-h" | "--help" => return Invocation::Print(USAGE.into()),
            "-V" | "--version" => {
                return Invocation::Print(format!("cooper_node {}\n", env!("CARGO_PKG_VERSION")));
            }
            // An option of ROS's, which may have a value.
            option if is_ros && option.starts_with('-') => may_be_value = true,
            _ if is_value => {}
            rule if !is_ros && is_old_rule(rule) => {}
            word => {
                return Invocation::Refuse(format!(
                    "expected --help, --version, or ROS's options behind --ros-args (such as -p NAME:=VALUE), got {word:?}"
                ));
            }
        }
    }
    Invocation::Run
}

/// Whether rcl takes a word before `--ros-args` for a remapping rule, with a warning, as it once was usual.
fn is_old_rule(word: &str) -> bool {
    let is_part_of_name = |c: char| c.is_ascii_alphanumeric() || "_/~:".contains(c);
    word.split_once(":=")
        .is_some_and(|(from, _)| !from.is_empty() && from.chars().all(is_part_of_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Invocation {
        read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_launch_passes_runs_the_node() {
        for line in [
            "",
            "--",
            "--ros-args",
            "--ros-args --log-level info --ros-args -r __node:=cooper -r __ns:=/r1 --params-file a.yaml -p model.dir:=/x",
            "--ros-args -r __node:=cooper -- --ros-args --log-level debug",
            "--ros-args --disable-stdout-logs --enclave /cooper -p flow.guidance_text:=-1.0",
            "__node:=cooper camera/image_raw:=/usb/image",
        ] {
            assert_eq!(of(line), Invocation::Run, "{line}");
        }
    }

    #[test]
    fn usage_and_version_are_printed() {
        for line in ["--help", "-h", "--ros-args -r a:=b --help"] {
            assert_eq!(of(line), Invocation::Print(USAGE.into()), "{line}");
        }
        for line in ["--version", "-V"] {
            let Invocation::Print(words) = of(line) else {
                panic!("{line}");
            };
            assert!(words.starts_with("cooper_node 0."), "{words}");
        }
    }

    #[test]
    fn other_words_are_refused() {
        for (line, word) in [
            ("-p model.dir:=/x", "-p"),
            ("model.dir:=/x", "model.dir:=/x"),
            ("--ros-args model.dir:=/x", "model.dir:=/x"),
            ("--ros-args -p a:=1 b:=2", "b:=2"),
            ("--ros-args -r a:=b -- model", "model"),
        ] {
            let Invocation::Refuse(why) = of(line) else {
                panic!("{line}");
            };
            assert!(why.ends_with(&format!("got {word:?}")), "{line}: {why}");
        }
    }
}
