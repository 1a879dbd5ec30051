//! Which modules of a crate a module imports, from its syntax tree.
//!
//! An import is a path that leads into another module: in a `use`, a type, an expression or a macro's arguments. A
//! parent that re-exports from its children (`pub use child::Item`) does not import them, as long as it does not use
//! the item itself. Tests inside a file are left aside.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, ItemUse, Macro, Meta, UseTree, VisRestricted, Visibility};

use super::sources::Module;

/// A module's paths, still unresolved.
#[derive(Default)]
struct Found {
    /// With a leading `crate`, `self` or `super`, or the name of a child.
    paths: BTreeSet<Vec<String>>,
    /// What `pub use` gives another name in this module: the name, and the path that it stands for.
    re_exports: BTreeMap<String, Vec<String>>,
    /// How many inline modules are around the place that is visited.
    depth: usize,
}

/// For each module, those of the same crate that it imports.
pub fn imports(texts: &BTreeMap<Module, &str>) -> BTreeMap<Module, BTreeSet<Module>> {
    let found: BTreeMap<&Module, Found> = texts.iter().map(|(m, text)| (m, find(text))).collect();
    let resolved = found.iter().map(|(module, own)| {
        let targets = own.paths.iter().filter_map(|path| {
            let target = resolve(module, path, &found)?;
            (target != **module).then_some(target)
        });
        ((*module).clone(), targets.collect())
    });
    resolved.collect()
}

fn find(text: &str) -> Found {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(text).unwrap());
    found
}

/// The module that a path of `module` leads into; none if that is another crate.
fn resolve(module: &Module, path: &[String], found: &BTreeMap<&Module, Found>) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let (mut at, segments): (Module, _) = match first.as_str() {
        "crate" => (Vec::new(), rest),
        "self" => (module.clone(), rest),
        "super" => (module.split_last()?.1.to_vec(), rest),
        // A path through a child. A name alone may be a variable, so it only counts as a re-exported item.
        _ => {
            let is_child = path.len() > 1 && found.contains_key(&child(module, first));
            let re_exported = found.get(module)?.re_exports.get(first);
            let is_re_export = re_exported.is_some_and(|of| of != path);
            if !is_child && !is_re_export {
                return None;
            }
            (module.clone(), path)
        }
    };
    for segment in segments {
        let child = child(&at, segment);
        if segment == "super" {
            at.pop()?;
        } else if found.contains_key(&child) {
            at = child;
        } else if let Some(path) = found.get(&at)?.re_exports.get(segment) {
            return resolve(&at, path, found).or(Some(at));
        } else if segment != "self" {
            break;
        }
    }
    Some(at)
}

fn child(module: &Module, name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

impl Found {
    fn add(&mut self, mut path: Vec<String>) {
        // `super` of an inline module is this file.
        let n_supers = path.iter().take_while(|segment| *segment == "super");
        let n_inside = n_supers.count().min(self.depth);
        if n_inside > 0 {
            path.splice(..n_inside, ["self".to_owned()]);
        }
        self.paths.insert(path);
    }

    /// All paths in the arguments of a macro or an attribute.
    fn scan(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        // A colon pair behind the path says that it goes on.
        let mut n_colons = 0;
        for token in tokens {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    n_colons += 1;
                }
                TokenTree::Ident(ident) if n_colons == 2 => {
                    path.push(ident.to_string());
                    n_colons = 0;
                }
                other => {
                    self.add(std::mem::take(&mut path));
                    n_colons = 0;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Group(group) => self.scan(group.stream()),
                        _ => {}
                    }
                }
            }
        }
        self.add(path);
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_test(item) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_re_export = !matches!(item.vis, Visibility::Inherited) && self.depth == 0;
        for (path, name) in flat(&item.tree) {
            let from_below = !matches!(path[0].as_str(), "crate" | "super");
            if is_re_export {
                self.re_exports.insert(name, path.clone());
            }
            if !(is_re_export && from_below) {
                self.add(path);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments = path.segments.iter();
        self.add(segments.map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        self.scan(call.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.scan(list.tokens.clone());
        }
    }

    /// The path in `pub(in path)` is no import.
    fn visit_vis_restricted(&mut self, _: &'ast VisRestricted) {}
}

/// The paths of a `use` with the name that each has here.
fn flat(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    let leaf = |name: String, alias: String| vec![(vec![name], alias)];
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let below = flat(&path.tree).into_iter();
            let joined = below.map(|(mut path, name)| {
                path.insert(0, first.clone());
                let is_itself = name == "self";
                (path, if is_itself { first.clone() } else { name })
            });
            joined.collect()
        }
        UseTree::Name(name) => leaf(name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(rename) => leaf(rename.ident.to_string(), rename.rename.to_string()),
        UseTree::Glob(_) => leaf("*".into(), "*".into()),
        UseTree::Group(group) => group.items.iter().flat_map(flat).collect(),
    }
}

fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}
