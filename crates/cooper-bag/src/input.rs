//! The input: an MCAP file, the folder of a bag with such files, or a folder of images.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use cooper_imaging::{Error, MAP_ENDINGS, Result, is_map_name};

use super::damage::Damage;
use super::image_folder::{self, ImageFolder};
use super::mcap_file::{BagMessage, McapFile};
use super::topic::{self, Topic, TopicContent};

/// The files of an input.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// MCAP files, in order.
    Bag(Vec<PathBuf>),
    /// Images of one camera, in order.
    ImageFolder {
        /// The files.
        files: Vec<PathBuf>,
        /// How many files beside them are maps by their names, and left out.
        n_maps: usize,
        /// The camera's name.
        camera: String,
        /// Images a second.
        rate: f64,
    },
}

/// The contents of an input.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The topics by name.
    pub topics: BTreeMap<String, Topic>,
    /// What cannot be read.
    pub damage: Damage,
}

impl Input {
    /// Find out what `path` is. `camera` and `rate` are the camera's name and the images a second, for a folder of images.
    ///
    /// # Errors
    /// [`Error::Io`] if there is nothing; [`Error::InvalidInput`] if a folder holds neither kind of file, or only maps.
    pub fn find(path: &Path, camera: &str, rate: f64) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !kind.is_dir() {
            return Ok(Self::Bag(vec![path.into()]));
        }
        let bags = image_folder::list_files(path, &["mcap"])?;
        if !bags.is_empty() {
            return Ok(Self::Bag(bags));
        }
        let files = image_folder::list_files(path, &["png", "jpg", "jpeg"])?;
        if files.is_empty() {
            let why =
                "expected a folder with .mcap files or with .png and .jpg images, got neither";
            return Err(Error::invalid(path.display().to_string(), why));
        }
        let (maps, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|file| is_map_name(file));
        if files.is_empty() {
            let why = format!(
                "expected images of a camera, got only maps, whose names end in {}",
                MAP_ENDINGS.join(", ")
            );
            return Err(Error::invalid(path.display().to_string(), why));
        }
        Ok(Self::ImageFolder {
            files,
            n_maps: maps.len(),
            camera: camera.into(),
            rate,
        })
    }

    /// The files that are read.
    pub fn files(&self) -> &[PathBuf] {
        match self {
            Self::Bag(files) | Self::ImageFolder { files, .. } => files,
        }
    }

    /// What is left out of a folder of images.
    pub fn remark(&self) -> Option<String> {
        let Self::ImageFolder {
            n_maps: n @ 1.., ..
        } = self
        else {
            return None;
        };
        let (files, are) = match n {
            1 => ("file", "it is a map"),
            _ => ("files", "they are maps"),
        };
        let endings = MAP_ENDINGS.join(", ");
        Some(format!(
            "left out {n} {files} by name ({endings}): {are}, not a camera's images"
        ))
    }

    /// Read everything once, to know the topics before the work begins. Images of a folder are only counted.
    ///
    /// # Errors
    /// See [`Messages::next_message`].
    pub fn survey(&self) -> Result<Survey> {
        let mut survey = Survey::default();
        let mut messages = self.messages()?;
        if let Self::ImageFolder { files, .. } = self {
            if let Some(first) = messages.next_message()? {
                survey.note(&first);
                let times = survey.topics.values_mut().map(|topic| &mut topic.log_times);
                times.for_each(|times| times.resize(files.len(), 0));
            }
        } else {
            while let Some(message) = messages.next_message()? {
                survey.note(&message);
            }
        }
        survey.damage = messages.damage();
        Ok(survey)
    }

    /// Read the messages from the beginning.
    ///
    /// # Errors
    /// See [`McapFile::open`].
    pub fn messages(&self) -> Result<Messages> {
        Ok(match self {
            Self::Bag(files) => Messages::Bag {
                open: None,
                waiting: files.iter().cloned().collect(),
                damage: Damage::default(),
            },
            Self::ImageFolder {
                files,
                camera,
                rate,
                ..
            } => Messages::ImageFolder(ImageFolder::new(files.clone(), camera, *rate)),
        })
    }
}

impl Survey {
    fn note(&mut self, message: &BagMessage) {
        let channel = &message.channel;
        let topic = self.topics.entry(channel.topic.clone());
        let topic = topic.or_insert_with(|| Topic {
            type_name: topic::type_name(channel),
            message_encoding: channel.message_encoding.clone(),
            log_times: Vec::new(),
            content: TopicContent::Other,
        });
        topic.log_times.push(message.log_time);
        // The first image that can be read decides.
        if !matches!(topic.content, TopicContent::Image(_)) {
            topic.content = topic::inspect(message);
        }
    }
}

/// The messages of an input, one after another.
pub enum Messages {
    /// Messages of files that are opened in turn.
    Bag {
        /// The file that is being read.
        open: Option<Box<McapFile>>,
        /// The files behind it.
        waiting: VecDeque<PathBuf>,
        /// What could not be read of the files before it.
        damage: Damage,
    },
    /// Images of a folder.
    ImageFolder(ImageFolder),
}

impl Messages {
    /// The next message; none at the end.
    ///
    /// # Errors
    /// See [`McapFile::open`] and [`McapFile::next_message`].
    pub fn next_message(&mut self) -> Result<Option<BagMessage>> {
        let (open, waiting, damage) = match self {
            Self::ImageFolder(images) => return Ok(images.next_message()),
            Self::Bag {
                open,
                waiting,
                damage,
            } => (open, waiting, damage),
        };
        loop {
            if let Some(file) = open {
                if let Some(message) = file.next_message()? {
                    return Ok(Some(message));
                }
                damage.extend(file.damage());
            }
            let Some(path) = waiting.pop_front() else {
                *open = None;
                return Ok(None);
            };
            *open = Some(Box::new(McapFile::open(&path)?));
        }
    }

    /// What could not be read so far.
    pub fn damage(&self) -> Damage {
        match self {
            Self::ImageFolder(images) => images.damage().clone(),
            Self::Bag { open, damage, .. } => {
                let mut damage = damage.clone();
                if let Some(file) = open {
                    damage.extend(file.damage());
                }
                damage
            }
        }
    }
}
