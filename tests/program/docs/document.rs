//! The documents of the repository, their code apart from their prose.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Fail with everything that is wrong at once.
#[track_caller]
pub fn check(wrong: &[String]) {
    assert!(wrong.is_empty(), "in the documents:\n{}", wrong.join("\n"));
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document, its code apart from its prose.
pub struct Document {
    /// From the root.
    pub path: PathBuf,
    pub text: String,
    /// Prose with inline code, a paragraph each.
    paragraphs: Vec<String>,
    /// Inline code.
    pub spans: Vec<String>,
    /// Lines of fenced blocks; one that ends with a backslash is joined to the next.
    lines: Vec<String>,
}

impl Document {
    fn read(path: PathBuf) -> Self {
        let text = std::fs::read_to_string(root().join(&path)).unwrap();
        let (mut paragraphs, mut lines) = (vec![String::new()], Vec::new());
        let (mut fenced, mut joined) = (false, String::new());
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                fenced = !fenced;
            } else if fenced {
                joined += line.trim_end_matches('\\');
                if !line.ends_with('\\') {
                    lines.push(std::mem::take(&mut joined));
                }
            } else if line.is_empty() {
                paragraphs.push(String::new());
            } else {
                *paragraphs.last_mut().unwrap() += &format!("{line}\n");
            }
        }
        assert!(!fenced, "{}: a block of code has no end", path.display());
        let spans = paragraphs.iter().flat_map(|paragraph| {
            let parts: Vec<&str> = paragraph.split('`').collect();
            assert!(
                parts.len() % 2 == 1,
                "{}: an odd number of backticks in\n{paragraph}",
                path.display()
            );
            parts
                .into_iter()
                .skip(1)
                .step_by(2)
                .map(|code| code.replace('\n', " "))
                .collect::<Vec<_>>()
        });
        let spans = spans.collect();
        Self {
            path,
            text,
            paragraphs,
            spans,
            lines,
        }
    }

    /// Everything that is code, as shell words.
    pub fn commands(&self) -> impl Iterator<Item = Vec<String>> {
        self.lines
            .iter()
            .chain(&self.spans)
            .map(|line| shell_words(line))
    }

    /// Targets of links and images.
    pub fn links(&self) -> Vec<String> {
        let mut found = Vec::new();
        for paragraph in &self.paragraphs {
            // Brackets inside of inline code are no links.
            let prose: String = paragraph
                .split('`')
                .step_by(2)
                .collect::<Vec<_>>()
                .join("code");
            found.extend(
                prose
                    .split("](")
                    .skip(1)
                    .filter_map(|rest| rest.split([')', ' ']).next())
                    .map(str::to_owned),
            );
        }
        found
    }

    /// Anchors of the headings, as hosting sites and mdBook make them.
    pub fn anchors(&self) -> BTreeSet<String> {
        let headings = self
            .paragraphs
            .iter()
            .flat_map(|paragraph| paragraph.lines())
            .filter(|line| line.starts_with('#'));
        let slug = |heading: &str| {
            let kept = heading.trim_start_matches('#').trim().to_lowercase();
            let kept = kept
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        };
        headings.map(slug).collect()
    }
}

/// The files below a folder whose names end so, from the root.
pub fn files_below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.strip_prefix(root()).unwrap().to_path_buf());
            }
        }
    }
    found.sort();
    found
}

pub fn documents() -> Vec<Document> {
    let mut paths: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(PathBuf::from)
        .into();
    paths.extend(files_below("docs", ".md"));
    paths.extend(files_below("models", "README.md"));
    paths.extend(files_below("crates", "README.md"));
    assert!(paths.len() > 20, "{paths:?}");
    paths.into_iter().map(Document::read).collect()
}

/// Words as a shell splits them, without comments.
pub fn shell_words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                word.get_or_insert_default();
                quote = Some(c);
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None if c == '#' && word.is_none() => break,
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}
