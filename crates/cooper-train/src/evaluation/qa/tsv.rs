//! VLMEvalKit's tables: tab-separated, with images in base64.
//!
//! | column | meaning |
//! |---|---|
//! | `index` | the row's name |
//! | `image` | a PNG or JPEG in base64, or the index of a row that has it |
//! | `image_path` | where there is no `image`: a path below the folder of images |
//! | `question`, `hint`, `A` to `Z` | put together as VLMEvalKit does: hint, question, options, what to answer |
//! | `answer` | a letter if there are options; Q-SpatialBench's `(1.5, 'meters')` is a length |
//! | `answer_value`, `answer_unit` | a length, in Q-SpatialBench's own columns |
//! | `type`, `data_source` | SIBench: the form of the answer, and the set that it was taken from |
//! | `category`, `question_type`, `capability` | the kind, whichever is there |

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cooper_imaging::decode_rgb;
use cooper_model::reasoning::answers::{Truth, TruthHints};
use cooper_model::{Error, Result};
use csv::{ByteRecord, Position, Reader, ReaderBuilder};
use image::RgbImage;

use super::item::{ImageRef, QaItem, QaSet, Store};
use super::jsonl::Images;
use crate::evaluation::files::{Broken, folder_of};

/// A shorter `image` is the index of another row.
const LONGEST_INDEX: usize = 64;
/// SIBench's sources whose questions say themselves what to answer.
const SELF_EXPLAINING: [&str; 4] = [
    "SpatialBench",
    "SPAR-Bench",
    "Super-CLEVR-3D",
    "Omni3D-Bench",
];
/// Columns that may hold the kind, the first that is there.
const KINDS: [&str; 4] = ["category", "question_type", "capability", "l2-category"];

/// See [`QaSet::table`].
pub(super) fn read(path: &Path, folder: Option<&Path>) -> Result<QaSet> {
    let refuse = |why: String| Error::invalid(path.display().to_string(), why);
    let mut reader = open(path)?;
    let columns = Columns::new(reader.byte_headers().map_err(|e| refuse(e.to_string()))?);
    if !columns.0.contains_key("question") || !columns.0.contains_key("index") {
        let names: Vec<&String> = columns.0.keys().collect();
        return Err(refuse(format!(
            "expected columns index and question, got {names:?}"
        )));
    }
    let folder = folder.map_or_else(|| folder_of(path), Path::to_path_buf);
    let mut table = Table {
        columns: &columns,
        folder: &folder,
        rows_with_image: HashMap::new(),
        pending: Vec::new(),
        broken: Vec::new(),
    };
    let mut record = ByteRecord::new();
    for n in 1.. {
        match reader.read_byte_record(&mut record) {
            Ok(true) => table.add(n, &record),
            Ok(false) => break,
            Err(e) if e.is_io_error() => return Err(refuse(e.to_string())),
            Err(e) => table.broken.push(Broken {
                name: format!("row {n}"),
                why: e.to_string(),
            }),
        }
    }
    Ok(table.finish(path))
}

/// The image of the row that begins at byte `at`.
pub(super) fn image(path: &Path, at: u64) -> Result<RgbImage> {
    let refuse = |why: String| Error::invalid(path.display().to_string(), why);
    let mut reader = open(path)?;
    let headers = reader.byte_headers().map_err(|e| refuse(e.to_string()))?;
    let columns = Columns::new(headers);
    let mut position = Position::new();
    position.set_byte(at);
    let mut record = ByteRecord::new();
    let found = reader
        .seek(position)
        .and_then(|()| reader.read_byte_record(&mut record))
        .map_err(|e| refuse(e.to_string()))?;
    let row = columns.row(&record);
    let name = format!(
        "{}, index {}",
        path.display(),
        row.get("index").map_or("", String::as_str)
    );
    let text = row.get("image").filter(|_| found);
    let text = text.ok_or_else(|| Error::invalid(name.as_str(), "expected an image, got none"))?;
    let bytes = STANDARD
        .decode(text.trim())
        .map_err(|e| Error::invalid(name.as_str(), format!("expected an image in base64: {e}")))?;
    Ok(decode_rgb(&bytes, &name)?)
}

fn open(path: &Path) -> Result<Reader<std::fs::File>> {
    let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
    Ok(ReaderBuilder::new()
        .delimiter(b'\t')
        .flexible(true)
        .from_reader(file))
}

/// Where each column is.
struct Columns(BTreeMap<String, usize>);

type Row = BTreeMap<String, String>;

impl Columns {
    fn new(headers: &ByteRecord) -> Self {
        let name = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
        let columns = headers.iter().map(name).zip(0..);
        Self(columns.collect())
    }

    /// The cells that hold something; pandas writes `nan` where there is nothing.
    fn row(&self, record: &ByteRecord) -> Row {
        let cell = |(name, i): (&String, &usize)| {
            let text = String::from_utf8_lossy(record.get(*i)?);
            let is_there = !text.trim().is_empty() && text.trim() != "nan";
            is_there.then(|| (name.clone(), text.into_owned()))
        };
        self.0.iter().filter_map(cell).collect()
    }
}

/// A question whose image may come in a later row.
struct Pending {
    item: QaItem,
    image: PendingImage,
}

enum PendingImage {
    Known(ImageRef),
    OfRow(String),
}

struct Table<'a> {
    columns: &'a Columns,
    folder: &'a Path,
    /// Where the rows with images of their own begin, by index.
    rows_with_image: HashMap<String, u64>,
    pending: Vec<Pending>,
    broken: Vec<Broken>,
}

impl Table<'_> {
    fn add(&mut self, n: usize, record: &ByteRecord) {
        let mut row = self.columns.row(record);
        let at = record.position().map_or(0, Position::byte);
        let index = row.remove("index").unwrap_or_else(|| n.to_string());
        let index = index.trim().to_owned();
        let name = format!("index {index}");
        let image = self.image(&mut row, &index, at);
        match image.and_then(|image| Ok((image, item(name.clone(), &row)?))) {
            Ok((image, item)) => self.pending.push(Pending { item, image }),
            Err(why) => self.broken.push(Broken { name, why }),
        }
    }

    fn image(
        &mut self,
        row: &mut Row,
        index: &str,
        at: u64,
    ) -> std::result::Result<PendingImage, String> {
        match (row.remove("image"), row.get("image_path")) {
            (Some(image), _) if image.trim().len() > LONGEST_INDEX => {
                self.rows_with_image.insert(index.to_owned(), at);
                Ok(PendingImage::Known(ImageRef::Row(at)))
            }
            (Some(reference), _) => Ok(PendingImage::OfRow(reference.trim().to_owned())),
            (None, Some(path)) => one_path(path)
                .map(|path| PendingImage::Known(ImageRef::File(self.folder.join(path)))),
            (None, None) => Err("expected an image in `image` or `image_path`, got none".into()),
        }
    }

    fn finish(mut self, path: &Path) -> QaSet {
        let mut images = Images::default();
        let mut items = Vec::new();
        for Pending { item, image } in self.pending {
            let image = match image {
                PendingImage::Known(image) => Some(image),
                PendingImage::OfRow(index) => self
                    .rows_with_image
                    .get(&index)
                    .map(|at| ImageRef::Row(*at)),
            };
            match image {
                Some(image) => items.push(QaItem {
                    image_idx: images.number(image),
                    ..item
                }),
                None => self.broken.push(Broken {
                    name: item.name,
                    why: "expected an image or the index of a row with one, got neither".into(),
                }),
            }
        }
        QaSet {
            items,
            images: images.list,
            broken: self.broken,
            store: Store::Table(path.into()),
        }
    }
}

/// A path, alone or as the only member of a list.
fn one_path(text: &str) -> std::result::Result<String, String> {
    let inner = text.trim().trim_matches(['[', ']']);
    let paths: Vec<&str> = inner
        .split(',')
        .map(|path| path.trim().trim_matches(['\'', '"']))
        .filter(|path| !path.is_empty())
        .collect();
    match paths[..] {
        [path] => Ok(path.to_owned()),
        _ => Err(format!("expected one image, got {}", paths.len())),
    }
}

/// The row's question, its image still to be numbered.
fn item(name: String, row: &Row) -> std::result::Result<QaItem, String> {
    let cell = |name: &str| row.get(name).map(|text| text.trim().to_owned());
    let question = cell("question").ok_or("expected a question, got none")?;
    let choices: Vec<String> = ('A'..='Z')
        .map_while(|letter| cell(&letter.to_string()))
        .collect();
    let hints = hints(&cell, choices)?;
    let kind = KINDS.iter().find_map(|name| cell(name));
    Ok(QaItem {
        name,
        image_idx: 0,
        question: prompt(&cell, question, &hints),
        kind: kind.unwrap_or_else(|| "all".into()),
        truth: Truth::new(hints)?,
    })
}

type Cell<'c> = dyn Fn(&str) -> Option<String> + 'c;

fn hints(cell: &Cell, choices: Vec<String>) -> std::result::Result<TruthHints, String> {
    let mut answer = cell("answer").unwrap_or_default();
    let mut unit = cell("answer_unit");
    let mut value = cell("answer_value").and_then(|value| value.parse().ok());
    if let Some((pair_value, pair_unit)) = pair(&answer) {
        (value, unit) = (Some(pair_value), Some(pair_unit));
    }
    if let (true, Some(value), Some(unit)) = (answer.is_empty(), value, &unit) {
        answer = format!("{value} {unit}");
    }
    if answer.is_empty() {
        return Err("expected an answer, got none".into());
    }
    Ok(TruthHints {
        answer,
        choices,
        value,
        unit,
        form: cell("type"),
    })
}

/// `(1.5, 'meters')`
fn pair(text: &str) -> Option<(f64, String)> {
    let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (value, unit) = inner.split_once(',')?;
    let unit = unit.trim().trim_matches(['\'', '"']);
    Some((value.trim().parse().ok()?, unit.to_owned()))
}

/// The question as it is asked: VLMEvalKit's order, in words of our own.
fn prompt(cell: &Cell, question: String, hints: &TruthHints) -> String {
    let mut prompt = String::new();
    if let Some(hint) = cell("hint") {
        prompt += &format!("Hint: {hint}\n");
    }
    if hints.choices.is_empty() {
        prompt += &question;
        let source = cell("data_source").unwrap_or_default();
        let explains_itself = SELF_EXPLAINING.contains(&source.as_str());
        if let (Some(form), false) = (&hints.form, explains_itself) {
            prompt += suffix(form);
        }
        return prompt;
    }
    prompt += &format!("Question: {question}\nOptions:\n");
    for (letter, choice) in ('A'..='Z').zip(&hints.choices) {
        prompt += &format!("{letter}. {choice}\n");
    }
    prompt + "Answer with the letter of the right option."
}

/// What SIBench asks for behind the question.
fn suffix(form: &str) -> &'static str {
    match form {
        "MCQ" => "\nChoose from the options and answer with the letter only.",
        "YN" => "\nAnswer with Yes or No only.",
        "Number" | "Number_Int" => "\nAnswer with a single number only.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_one_path_are_paths() {
        assert_eq!(one_path("a/b.png").unwrap(), "a/b.png");
        assert_eq!(one_path("['a b.png']").unwrap(), "a b.png");
        assert!(one_path("['a.png', 'b.png']").is_err());
    }

    #[test]
    fn pairs_are_lengths() {
        assert_eq!(pair("(1.5, 'meters')"), Some((1.5, "meters".into())));
        assert_eq!(pair("(A)"), None);
        assert_eq!(pair("1.5"), None);
    }
}
