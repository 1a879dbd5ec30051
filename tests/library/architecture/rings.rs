//! No two files of a crate import each other, nor through a longer ring.

use std::collections::{BTreeMap, BTreeSet};

use super::imports::imports;
use super::sources::{Module, modules_by_crate};

/// The rings of modules that import each other, and the imports in each.
fn rings(texts: &BTreeMap<Module, &str>) -> Vec<Vec<(Module, Module)>> {
    let imports = imports(texts);
    let reached: BTreeMap<&Module, BTreeSet<&Module>> = imports
        .keys()
        .map(|from| (from, reachable(from, &imports)))
        .collect();
    let mut rings = Vec::new();
    let mut seen: BTreeSet<&Module> = BTreeSet::new();
    for (module, targets) in &reached {
        if !targets.contains(module) || seen.contains(*module) {
            continue;
        }
        let is_in_ring = |other: &&&Module| reached[**other].contains(module);
        let ring: BTreeSet<&Module> = targets.iter().filter(is_in_ring).copied().collect();
        let edges = ring.iter().flat_map(|from| {
            let inside = imports[*from].iter().filter(|to| ring.contains(to));
            inside.map(|to| ((*from).clone(), to.clone()))
        });
        rings.push(edges.collect());
        seen.extend(ring);
    }
    rings
}

/// The modules that `from` imports, those that they import, and so on.
fn reachable<'a>(
    from: &Module,
    imports: &'a BTreeMap<Module, BTreeSet<Module>>,
) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut waiting: Vec<&Module> = imports[from].iter().collect();
    while let Some(module) = waiting.pop() {
        if reached.insert(module) {
            waiting.extend(&imports[module]);
        }
    }
    reached
}

#[test]
fn no_two_files_import_each_other() {
    let mut found = Vec::new();
    for (name, modules) in modules_by_crate() {
        let texts = modules.iter().map(|(m, s)| (m.clone(), s.text.as_str()));
        for ring in rings(&texts.collect()) {
            found.push(format!("a ring in {name}:"));
            found.extend(ring.iter().map(|(from, to)| {
                format!("  {} imports {}", modules[from].file, modules[to].file)
            }));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// The modules that are in a ring, of a crate of these files.
#[track_caller]
fn check(files: &[(&str, &str)], expected: &[&str]) {
    let module = |path: &str| -> Module {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts.map(ToString::to_string).collect()
    };
    let texts = files.iter().map(|(path, text)| (module(path), *text));
    let rings = rings(&texts.collect());
    let found: BTreeSet<String> = rings.iter().flatten().map(|(m, _)| m.join("/")).collect();
    let expected = expected.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn two_files_that_import_each_other_are_found() {
    check(
        &[("a", "use crate::b::B;"), ("b", "use super::a::A;")],
        &["a", "b"],
    );
    check(&[("a", "use crate::b::B;"), ("b", "")], &[]);
    check(
        &[
            ("a", "fn f() -> super::b::B { g() }"),
            ("b", "use crate::{a, c};"),
        ],
        &["a", "b"],
    );
    check(
        &[
            ("a", "fn f() { assert_eq!(1, crate::b::G); }"),
            ("b", "use super::a;"),
        ],
        &["a", "b"],
    );
    check(
        &[
            ("a", "#[arg(value = super::b::f)] struct A;"),
            ("b", "use super::a;"),
        ],
        &["a", "b"],
    );
}

#[test]
fn longer_rings_are_found() {
    let ring = [
        ("a", "use crate::b;"),
        ("b", "use crate::c;"),
        ("c", "use crate::a;"),
    ];
    check(&ring, &["a", "b", "c"]);
    check(&ring[..2], &[]);
}

#[test]
fn re_exports_lead_to_the_file_of_the_item() {
    let parent = (
        "",
        "mod a; mod b; pub use a::A; pub use self::b::{B, C as D};",
    );
    check(
        &[parent, ("a", "use crate::B;"), ("b", "use super::D;")],
        &[],
    );
    check(
        &[parent, ("a", "use crate::D;"), ("b", "use crate::A;")],
        &["a", "b"],
    );
}

#[test]
fn a_parent_that_uses_its_child_is_in_a_ring_with_it() {
    let child = ("p/c", "use super::Item;");
    check(
        &[("p", "mod c; pub use c::C; pub struct Item;"), child],
        &[],
    );
    check(
        &[("p", "mod c; use c::C; pub struct Item;"), child],
        &["p", "p/c"],
    );
    check(
        &[("p", "mod c; fn f() { c::g() } pub struct Item;"), child],
        &["p", "p/c"],
    );
    check(
        &[("p", "mod c; pub use c::C; pub struct Item(C);"), child],
        &["p", "p/c"],
    );
}

#[test]
fn what_is_no_import_makes_no_ring() {
    let b = ("b", "use super::a::A;");
    check(&[("a", "pub(in crate::b) fn f() {}"), b], &[]);
    check(
        &[
            ("a", "#[cfg(test)] mod tests { use super::super::b::B; }"),
            b,
        ],
        &[],
    );
    check(
        &[
            ("a", "/// See [`crate::b::B`].\nfn f() { other::b::g() }"),
            b,
        ],
        &[],
    );
    check(&[("a", "mod inner { use super::A; }"), b], &[]);
}
