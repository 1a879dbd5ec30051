//! How large functions and files are.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Block, FnArg, ImplItemFn, ItemFn, Signature, TraitItemFn};

use super::sources::all_files;

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 60;
const MAX_ARGUMENTS: usize = 5;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that may be longer or take more arguments, as file and name, and why. Tests may be long: their tables are read
/// from top to bottom.
const LARGE_FUNCTIONS: &[(&str, &str, &str)] = &[(
    "crates/cooper-kernels/src/autograd.rs",
    "cpu_fwd",
    "candle's trait CustomOp3 says which arguments it has",
)];

#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    n_lines: usize,
    /// Without `self`.
    n_arguments: usize,
}

#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn of(text: &str) -> Vec<Function> {
        let mut found = Self::default();
        found.visit_file(&syn::parse_file(text).unwrap());
        found.0
    }

    fn add(&mut self, signature: &Signature, block: Option<&Block>) {
        let start = signature.span().start().line;
        let end = |span: Span| span.end().line;
        let end = end(block.map_or(signature.span(), Spanned::span));
        let arguments = signature.inputs.iter();
        self.0.push(Function {
            name: signature.ident.to_string(),
            n_lines: end + 1 - start,
            n_arguments: arguments
                .filter(|argument| matches!(argument, FnArg::Typed(_)))
                .count(),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.add(&item.sig, Some(&item.block));
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.add(&item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast TraitItemFn) {
        self.add(&item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }
}

#[test]
fn functions_are_small() {
    let mut found = Vec::new();
    for (path, text) in all_files() {
        let file = path.display().to_string();
        for function in Functions::of(&text) {
            let Function {
                name,
                n_lines,
                n_arguments,
            } = &function;
            let is_large = *n_lines > MAX_FUNCTION_LINES || *n_arguments > MAX_ARGUMENTS;
            let is_waived = LARGE_FUNCTIONS
                .iter()
                .any(|(f, n, _)| (*f, *n) == (&file, name));
            if is_large && !is_waived && file.contains("src/") {
                found.push(format!(
                    "{file}: {name}: {n_lines} lines, {n_arguments} arguments"
                ));
            }
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn files_are_small() {
    let mut found = Vec::new();
    for (path, text) in all_files() {
        let (file, n_lines) = (path.display().to_string(), text.lines().count());
        let is_waived = LONG_FILES.iter().any(|(waived, _)| *waived == file);
        if n_lines > MAX_FILE_LINES && !is_waived {
            found.push(format!("{file}: {n_lines} lines"));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_functions_lines_and_arguments_are_counted() {
    let text = "/// Documented.\n#[inline]\nfn f(a: u8, b: u8) {\n    g()\n}\n\
                impl A {\n    fn h(&self, c: u8) -> u8 {\n        c\n    }\n}\n\
                trait B {\n    fn i(self);\n}\n";
    let function = |name: &str, n_lines, n_arguments| Function {
        name: name.into(),
        n_lines,
        n_arguments,
    };
    let expected = [
        function("f", 3, 2),
        function("h", 3, 1),
        function("i", 1, 0),
    ];
    assert_eq!(Functions::of(text), expected);
}
