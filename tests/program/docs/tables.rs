//! Tables that are generated from the code, and the form of the whole. `COOPER_BLESS=1 cargo test` writes the tables.

use std::fmt::Write as _;

use cooper_perception::config::interfaces::{INTERFACES, Interface, Kind, Quality};
use cooper_perception::config::{Changes, Parameter, camera_parameters, parameters};

use super::document::{files_below, root};

fn parameter_table() -> String {
    let mut table = String::from(
        "| parameter | default | accepts | while running | meaning |\n|---|---|---|---|---|\n",
    );
    for parameter in parameters().into_iter().chain(camera_parameters("N")) {
        let Parameter {
            name,
            default,
            accepts,
            changes,
            description,
        } = parameter;
        let running = match changes {
            Changes::Running => "yes",
            Changes::NextLoad => "at the next load",
            Changes::AtStart => "at start",
        };
        writeln!(
            table,
            "| `{name}` | `{default}` | {accepts} | {running} | {description} |"
        )
        .unwrap();
    }
    table
}

fn interface_table(kinds: &[Kind]) -> String {
    let mut table =
        String::from("| name | type | quality of service | meaning |\n|---|---|---|---|\n");
    for interface in INTERFACES.iter().filter(|i| kinds.contains(&i.kind)) {
        let Interface {
            name,
            type_name,
            quality,
            description,
            ..
        } = interface;
        let quality = match quality {
            Quality::Sensor => "sensor data, 1".to_string(),
            Quality::Reliable(depth) => format!("reliable, {depth}"),
            Quality::Latched(depth) => format!("reliable, transient local, {depth}"),
            Quality::Default => "default".to_string(),
        };
        writeln!(
            table,
            "| `{name}` | {type_name} | {quality} | {description} |"
        )
        .unwrap();
    }
    table
}

/// The document with its tables made anew.
fn with_tables(text: &str, tables: &[(&str, String)]) -> String {
    let mut wanted = text.to_owned();
    for (name, table) in tables {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end {name} -->"));
        let start = wanted.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let stop = start + wanted[start..].find(&end).unwrap();
        wanted.replace_range(start..stop, table);
    }
    wanted
}

#[test]
fn the_tables_are_the_codes() {
    let interfaces = [
        ("subscribed", interface_table(&[Kind::Subscribed])),
        ("published", interface_table(&[Kind::Published])),
        ("services", interface_table(&[Kind::Service, Kind::Action])),
    ];
    let parameters = [("parameters", parameter_table())];
    for (file, tables) in [
        ("docs/interfaces.md", &interfaces[..]),
        ("docs/parameters.md", &parameters[..]),
    ] {
        let path = root().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let wanted = with_tables(&text, tables);
        if std::env::var_os("COOPER_BLESS").is_some() {
            std::fs::write(&path, &wanted).unwrap();
        } else {
            let first = wanted
                .lines()
                .zip(text.lines())
                .find(|(wanted, got)| wanted != got);
            assert!(wanted == text, "{file}: (expected, got) = {first:#?}");
        }
    }
}

#[test]
fn every_figure_is_measured() {
    let text = std::fs::read_to_string(root().join("docs/performance.md")).unwrap();
    let is_placeholder = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    assert_eq!(
        text.split_whitespace().find(is_placeholder),
        None,
        "a figure that nobody has measured"
    );
}

#[test]
fn the_readme_is_short() {
    let n_lines = std::fs::read_to_string(root().join("README.md"))
        .unwrap()
        .lines()
        .count();
    assert!(
        n_lines <= 250,
        "README.md: expected at most 250 lines, got {n_lines}"
    );
}

#[test]
fn every_chapter_is_in_the_summary() {
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    for path in files_below("docs", ".md") {
        let chapter = path.strip_prefix("docs").unwrap().display().to_string();
        assert!(
            chapter == "SUMMARY.md" || summary.contains(&format!("({chapter})")),
            "docs/SUMMARY.md lacks {chapter}"
        );
    }
}
