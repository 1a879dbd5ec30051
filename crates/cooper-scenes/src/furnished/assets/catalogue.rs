//! Furniture catalogues of Sweet Home 3D: `PluginFurnitureCatalog.properties` and the models that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cooper_imaging::{Error, Result};
use glam::{Mat3, Vec3};

use super::archive::Archive;

const PROPERTIES: &str = "PluginFurnitureCatalog.properties";
/// Where Debian's and Fedora's packages put the catalogues.
const INSTALLED: [&str; 2] = ["/usr/share/sweethome3d/furniture", "/usr/share/sweethome3d"];

/// A model as its catalogue describes it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Unique among all catalogues, for example `Scopia#bathroom3`.
    pub id: String,
    pub name: String,
    pub category: String,
    /// The path inside the archive.
    pub model: String,
    /// Width, depth and height in metres.
    pub size: Vec3,
    /// Its lowest point over the floor in metres, if it hangs.
    pub elevation: Option<f32>,
    /// What the model's axes are turned by before it is scaled to `size`.
    pub rotation: Mat3,
    pub archive: Archive,
}

/// All models of the catalogues in `folder`, or of the system's package, in a fixed order.
pub(super) fn read_all(folder: Option<&Path>) -> Result<Vec<Entry>> {
    let archives = match folder {
        Some(folder) => archives_in(folder)?,
        None => installed()?,
    };
    let mut entries = Vec::new();
    for archive in archives {
        let text = archive.open()?.read(PROPERTIES)?;
        entries.extend(parse(&text, &archive));
    }
    Ok(entries)
}

fn installed() -> Result<Vec<Archive>> {
    for folder in INSTALLED.map(Path::new) {
        if let Ok(archives) = archives_in(folder) {
            return Ok(archives);
        }
    }
    let why = format!(
        "expected catalogues (*.sh3f) in {}, got none: install them with `apt install sweethome3d-furniture`, or name a folder with *.sh3f files \
         (`--furniture DIR`, `furniture` in a configuration)",
        INSTALLED.join(" or ")
    );
    Err(Error::invalid("furniture", why))
}

fn archives_in(folder: &Path) -> Result<Vec<Archive>> {
    if folder.join(PROPERTIES).is_file() {
        return Ok(vec![Archive::Folder(folder.into())]);
    }
    let listing = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths: Vec<PathBuf> = listing.flatten().map(|file| file.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e == "sh3f"));
    paths.sort();
    if paths.is_empty() {
        let why = format!(
            "expected *.sh3f files or {PROPERTIES}, found none; `apt install sweethome3d-furniture` has some"
        );
        return Err(Error::invalid(folder.display().to_string(), why));
    }
    Ok(paths.into_iter().map(Archive::Zip).collect())
}

/// The models of a catalogue; incomplete ones are left out.
fn parse(bytes: &[u8], archive: &Archive) -> Vec<Entry> {
    // Properties are Latin-1.
    let text: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let mut models: BTreeMap<usize, BTreeMap<&str, String>> = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with('#')) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        if let Some((key, number)) = key.trim().split_once('#')
            && let Ok(number) = number.parse()
        {
            models
                .entry(number)
                .or_default()
                .insert(key, unescape(value.trim()));
        }
    }
    let entries = models.values().map(|model| entry(model, archive));
    entries.flatten().collect()
}

fn entry(model: &BTreeMap<&str, String>, archive: &Archive) -> Option<Entry> {
    let metres = |key| -> Option<f32> { Some(model.get(key)?.parse::<f32>().ok()? / 100.0) };
    let size = Vec3::new(metres("width")?, metres("depth")?, metres("height")?);
    let path = model.get("model")?;
    Some(Entry {
        id: model.get("id").unwrap_or(path).clone(),
        name: model.get("name")?.clone(),
        category: model.get("category").cloned().unwrap_or_default(),
        model: path.clone(),
        size: size.cmpgt(Vec3::ZERO).all().then_some(size)?,
        elevation: metres("elevation"),
        rotation: model
            .get("modelRotation")
            .and_then(|text| rotation(text))
            .unwrap_or(Mat3::IDENTITY),
        archive: archive.clone(),
    })
}

/// Nine numbers, rows first.
fn rotation(text: &str) -> Option<Mat3> {
    let numbers: Vec<f32> = text.split_whitespace().flat_map(str::parse).collect();
    let rows: [f32; 9] = numbers.try_into().ok()?;
    Some(Mat3::from_cols_array(&rows).transpose())
}

/// Replace `\uXXXX` by the character.
fn unescape(text: &str) -> String {
    let mut parts = text.split("\\u");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..4)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.and_then(char::from_u32) {
            Some(character) => {
                plain.push(character);
                plain += &part[4..];
            }
            None => plain += part,
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_and_incomplete_models_left_out() {
        let text = b"# comment\nid=all\nname#1=Caf\xe9 \\u20ac\nid#1=a#b\ncategory#1=Office\nmodel#1=/a/b.obj\n\
            width#1=50\ndepth#1=40.5\nheight#1=100\nelevation#1=20\nmodelRotation#1=0 0 1 0 1 0 -1 0 0\nname#2=half\n";
        let entries = parse(text, &Archive::Folder("/none".into()));
        assert_eq!(entries.len(), 1);
        let entry = &entries[0];
        assert_eq!(
            (entry.id.as_str(), entry.name.as_str()),
            ("a#b", "Caf\u{e9} \u{20ac}")
        );
        assert_eq!(entry.size, Vec3::new(0.5, 0.405, 1.0));
        assert_eq!(entry.elevation, Some(0.2));
        // The first row takes z to x.
        assert_eq!(entry.rotation * Vec3::Z, Vec3::X);
    }

    #[test]
    fn a_folder_without_furniture_is_named() {
        let error = read_all(Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere"), "{error}");
    }
}
