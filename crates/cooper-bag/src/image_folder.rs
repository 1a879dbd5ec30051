//! A folder of images as the recording of one camera: in the order of their names, evenly in time.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cooper_imaging::{Error, FrameHeader, Raster, Result, load_rgb};
use mcap::{Channel, Message, Schema};

use super::damage::Damage;
use super::mcap_file::BagMessage;
use super::messages::Image;
use super::schemas;

/// Images that are read one by one, as messages of a camera.
pub struct ImageFolder {
    files: Vec<PathBuf>,
    n_read: usize,
    /// Images a second.
    rate: f64,
    channel: Arc<Channel<'static>>,
    frame_id: String,
    damage: Damage,
}

impl ImageFolder {
    /// The images of `files` as messages of `camera`: image n, from 1, at n / `rate` seconds.
    pub fn new(files: Vec<PathBuf>, camera: &str, rate: f64) -> Self {
        let schema = Schema {
            id: 1,
            name: schemas::IMAGE.name.into(),
            encoding: schemas::ENCODING.into(),
            data: schemas::IMAGE.schema().into_bytes().into(),
        };
        Self {
            files,
            n_read: 0,
            rate,
            channel: Arc::new(Channel {
                id: 1,
                topic: image_topic(camera),
                schema: Some(Arc::new(schema)),
                message_encoding: schemas::MESSAGE_ENCODING.into(),
                metadata: BTreeMap::new(),
            }),
            frame_id: format!("{camera}_optical_frame"),
            damage: Damage::default(),
        }
    }

    /// The next image; none at the end. Files that are no images are skipped and noted in [`ImageFolder::damage`].
    pub fn next_message(&mut self) -> Option<BagMessage> {
        loop {
            let path = self.files.get(self.n_read)?;
            self.n_read += 1;
            let image = match load_rgb(path) {
                Ok(image) => image,
                Err(error) => {
                    self.damage.add(error.to_string());
                    continue;
                }
            };
            // It saturates after 584 years.
            let nanos = (self.n_read as f64 * 1e9 / self.rate) as u64;
            let header = FrameHeader {
                stamp_secs: i32::try_from(nanos / 1_000_000_000).unwrap_or(i32::MAX),
                stamp_nanos: (nanos % 1_000_000_000) as u32,
                frame_id: self.frame_id.clone(),
            };
            return Some(Message {
                channel: self.channel.clone(),
                sequence: u32::try_from(self.n_read - 1).unwrap_or(u32::MAX),
                log_time: nanos,
                publish_time: nanos,
                data: Image::new(Raster::rgb(&image), &header).write().into(),
            });
        }
    }

    /// What could not be read so far.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }
}

/// The topic of a camera's images.
fn image_topic(camera: &str) -> String {
    format!("/{camera}/image_raw")
}

/// The files of a folder whose names end in one of `extensions`, in the order of their names; numbers in them count
/// as numbers. Files whose names begin with a dot are left out.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read.
pub fn list_files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let failed = |e| Error::io(folder, e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !is_hidden && path.is_file() && extensions.iter().any(|known| extension == *known) {
            files.push(path);
        }
    }
    files.sort_by(|a, b| by_number(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(files)
}

/// The order of names in which `9` comes before `10`; of equal numbers, the plain order decides.
fn by_number(a: &str, b: &str) -> Ordering {
    let (mut rest_a, mut rest_b) = (a, b);
    while let (Some(first_a), Some(first_b)) = (rest_a.chars().next(), rest_b.chars().next()) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, number_b) = (digits(&mut rest_a), digits(&mut rest_b));
            number_a
                .len()
                .cmp(&number_b.len())
                .then(number_a.cmp(number_b))
        } else {
            rest_a = &rest_a[first_a.len_utf8()..];
            rest_b = &rest_b[first_b.len_utf8()..];
            first_a.cmp(&first_b)
        };
        if order.is_ne() {
            return order;
        }
    }
    rest_a.len().cmp(&rest_b.len()).then(a.cmp(b))
}

/// Take the number at the beginning, without its leading zeros.
fn digits<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let (number, behind) = rest.split_at(end.unwrap_or(rest.len()));
    *rest = behind;
    number.trim_start_matches('0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_numbers() {
        let mut names = ["b2", "a10.png", "a9.png", "a09.png", "a", "a9b", "b10"];
        names.sort_by(|a, b| by_number(a, b));
        assert_eq!(
            names,
            ["a", "a09.png", "a9.png", "a9b", "a10.png", "b2", "b10"]
        );
    }
}
