//! The README's tables against the code. `COOPER_BLESS=1 cargo test --test docs` writes them anew.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;

use cooper_perception::config::interfaces::{INTERFACES, Interface, Kind, Quality};
use cooper_perception::config::{Changes, Parameter, camera_parameters, parameters};

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

#[test]
fn the_readmes_tables_are_the_codes() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let mut wanted = readme.clone();
    for (name, table) in [
        ("subscribed", interface_table(&[Kind::Subscribed])),
        ("published", interface_table(&[Kind::Published])),
        ("services", interface_table(&[Kind::Service, Kind::Action])),
        ("parameters", parameter_table()),
    ] {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end {name} -->"));
        let start = wanted.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let stop = start + wanted[start..].find(&end).unwrap();
        wanted.replace_range(start..stop, &table);
    }
    let measured = readme.split("## Measured").nth(1).unwrap();
    let measured = measured.split("\n## ").next().unwrap();
    let unmeasured = measured.split_whitespace().find(|word| {
        word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    });
    assert_eq!(unmeasured, None, "a figure that nobody has measured");
    if std::env::var_os("COOPER_BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    } else {
        let first = wanted
            .lines()
            .zip(readme.lines())
            .find(|(wanted, got)| wanted != got);
        assert!(wanted == readme, "README.md: (expected, got) = {first:#?}");
    }
}

#[test]
fn the_readmes_files_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let mut n_links = 0;
    for link in readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        if !link.starts_with("http") && !link.starts_with('#') {
            assert!(
                root.join(link).exists(),
                "README.md links to {link}, which does not exist"
            );
            n_links += 1;
        }
    }
    assert!(n_links > 5, "{n_links}");
}
