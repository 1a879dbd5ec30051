//! Command lines of `cooper` against the program's own help, and of `cargo` against the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use super::document::{check, documents, files_below, shell_words};

/// The program's own help, each text asked for once.
#[derive(Default)]
struct Help(BTreeMap<Vec<String>, BTreeSet<String>>);

impl Help {
    /// The options of a subcommand; none where there is no such subcommand.
    fn options(&mut self, subcommand: &[String]) -> &BTreeSet<String> {
        self.0.entry(subcommand.to_vec()).or_insert_with(|| {
            let run = Command::new(env!("CARGO_BIN_EXE_cooper"))
                .args(subcommand)
                .arg("--help")
                .output()
                .unwrap();
            let help = String::from_utf8(run.stdout).unwrap();
            let lines = help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with('-'));
            let words = lines
                .flat_map(|line| line.split([' ', ',', '[', '=']))
                .filter(|word| word.starts_with('-'));
            words.map(str::to_owned).collect()
        })
    }
}

/// The words after `cooper`, up to what belongs to the shell.
fn arguments_of_cooper(words: &[String]) -> Option<&[String]> {
    let is_cooper = |word: &String| {
        word == "cooper"
            || word.ends_with("release/cooper")
            || word.ends_with("cooper_perception/cooper")
    };
    let rest = &words[words.iter().position(is_cooper)? + 1..];
    let end = rest
        .iter()
        .position(|word| ["|", "||", "&&", ";", ">", "2>"].contains(&word.as_str()));
    Some(&rest[..end.unwrap_or(rest.len())])
}

/// The subcommand, of two words for `eval` and `train`; a word in capitals stands for any.
fn subcommand(arguments: &[String]) -> Vec<String> {
    let is_name = |word: &&String| word.chars().all(|c| c.is_ascii_lowercase());
    let n_words = match arguments.first().map(String::as_str) {
        Some("eval" | "train") => 2,
        _ => 1,
    };
    arguments
        .iter()
        .take(n_words)
        .take_while(is_name)
        .cloned()
        .collect()
}

#[test]
fn command_lines_are_those_of_the_help() {
    let mut help = Help::default();
    let (mut n_commands, mut wrong) = (0, Vec::new());
    for document in documents() {
        for words in document.commands() {
            let Some(arguments) = arguments_of_cooper(&words) else {
                continue;
            };
            let subcommand = subcommand(arguments);
            let options = help.options(&subcommand);
            let told = |what: &str| {
                format!(
                    "{}: `{}`: there is no {what}",
                    document.path.display(),
                    words.join(" ")
                )
            };
            if options.is_empty() {
                wrong.push(told(&format!("`cooper {}`", subcommand.join(" "))));
            }
            let is_option = |word: &&String| {
                word.starts_with('-')
                    && word[1..].starts_with(|c: char| c == '-' || c.is_alphabetic())
            };
            let given = arguments
                .iter()
                .filter(is_option)
                .filter_map(|word| word.split('=').next());
            wrong.extend(given.filter(|option| !options.contains(*option)).map(told));
            n_commands += usize::from(!subcommand.is_empty());
        }
    }
    check(&wrong);
    assert!(n_commands > 60, "{n_commands}");
}

/// Packages, tests, benches and examples that a `cargo` command names and that do not exist.
fn unknown_targets(words: &[String], sources: &[String]) -> Vec<String> {
    let Some(at) = words.iter().position(|word| word == "cargo") else {
        return Vec::new();
    };
    let exists = |option: &str, name: &str| {
        let ends = |ending: &str| {
            sources
                .iter()
                .any(|path| format!("/{path}").ends_with(ending))
        };
        match option {
            "-p" => ends(&format!("/crates/{name}/src/lib.rs")),
            "--test" => {
                ends(&format!("/tests/{name}.rs")) || ends(&format!("/tests/{name}/main.rs"))
            }
            "--bench" => ends(&format!("/benches/{name}.rs")),
            "--example" => ends(&format!("/examples/{name}.rs")),
            _ => true,
        }
    };
    let named = words[at..]
        .windows(2)
        .filter(|pair| !exists(&pair[0], &pair[1]));
    named
        .map(|pair| format!("{} {}", pair[0], pair[1]))
        .collect()
}

#[test]
fn targets_of_cargo_exist() {
    let folders = ["benches", "crates", "examples", "tests"];
    let sources = folders.iter().flat_map(|folder| files_below(folder, ".rs"));
    let sources: Vec<_> = sources.map(|path| path.display().to_string()).collect();
    let (mut n_commands, mut wrong) = (0, Vec::new());
    for document in documents() {
        for words in document
            .commands()
            .filter(|words| words.iter().any(|word| word == "cargo"))
        {
            let unknown = unknown_targets(&words, &sources);
            wrong.extend(
                unknown
                    .iter()
                    .map(|what| format!("{}: there is no {what}", document.path.display())),
            );
            n_commands += 1;
        }
    }
    check(&wrong);
    assert!(n_commands > 15, "{n_commands}");
}

#[test]
fn words_are_split_as_a_shell_does() {
    assert_eq!(shell_words("a 'b c' \"d # e\" # f"), ["a", "b c", "d # e"]);
    assert_eq!(
        subcommand(&shell_words("eval qa --modes text")),
        ["eval", "qa"]
    );
    assert_eq!(subcommand(&shell_words("train STAGE --help")), ["train"]);
    assert!(subcommand(&shell_words("--help")).is_empty());
}
