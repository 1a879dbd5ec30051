//! Files and folders that appear under their name complete, or not at all.

use std::fs::{File, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile, TempDir};

use crate::error::{Error, Result};

/// A file that is written beside its path and takes its place when it is committed. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl NewFile {
    /// Start a file for `path`, whose folder exists.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be written.
    pub fn create(path: &Path) -> Result<Self> {
        let file = Builder::new()
            .prefix(&hidden(path))
            .suffix(".part")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder_of(path))
            .map_err(|e| Error::io(path, e))?;
        Ok(Self {
            file,
            path: path.into(),
        })
    }

    /// Put the file in its place, replacing an older one, when it is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be; then nothing is left of it, and the older one stays.
    pub fn commit(self) -> Result<()> {
        let Self { file, path } = self;
        let failed = |e| Error::io(&path, e);
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(())
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Seek for NewFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

/// Replace the file at `path`: a reader sees the old file or the new one, never a part.
///
/// # Errors
/// [`Error::Io`] if it cannot be written; then the old one stays.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = NewFile::create(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    file.commit()
}

/// A folder that is filled beside its path and takes its place when it is committed. Dropped before, it leaves nothing.
#[derive(Debug)]
pub struct NewFolder {
    folder: TempDir,
    path: PathBuf,
}

impl NewFolder {
    /// Start a folder for `path`; the folders above are created, and what a killed program left is deleted.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let failed = |e| Error::io(path, e);
        let parent = folder_of(path);
        std::fs::create_dir_all(parent).map_err(failed)?;
        // Always the same name: gigabytes of a killed program must not pile up.
        let name = hidden(path) + "part";
        let _ = std::fs::remove_dir_all(parent.join(&name));
        let folder = Builder::new()
            .prefix(&name)
            .rand_bytes(0)
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(parent)
            .map_err(failed)?;
        Ok(Self {
            folder,
            path: path.into(),
        })
    }

    /// Where to write until then.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Put the folder in its place, replacing an older one, when its files are on the disk.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be; then nothing is left of it.
    pub fn commit(self) -> Result<()> {
        let Self { folder, path } = self;
        let failed = |e| Error::io(&path, e);
        for entry in std::fs::read_dir(folder.path()).map_err(failed)? {
            let file = File::open(entry.map_err(failed)?.path()).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        let _ = std::fs::remove_dir_all(&path);
        std::fs::rename(folder.path(), &path).map_err(failed)?;
        // It has its name now, and is not deleted when dropped.
        let _ = folder.keep();
        Ok(())
    }
}

/// The folder of a file, `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn hidden(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    format!(".{}.", name.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_replaces_another_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "old").unwrap();
        let mut new = NewFile::create(&path).unwrap();
        new.write_all(b"half").unwrap();
        assert_eq!(names(dir.path()).len(), 2);
        drop(new);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write_file(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a"]);
        // As readable as any other new file.
        let usual = dir.path().join("usual");
        std::fs::write(&usual, "").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&usual));
    }

    #[test]
    fn a_folder_replaces_another_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/run");
        let new = NewFolder::create(&path).unwrap();
        std::fs::write(new.path().join("file"), "1").unwrap();
        drop(new);
        assert!(names(&dir.path().join("deep")).is_empty());
        for content in ["1", "2"] {
            std::fs::create_dir_all(dir.path().join("deep/.run.part/left")).unwrap();
            let new = NewFolder::create(&path).unwrap();
            assert!(names(new.path()).is_empty());
            std::fs::write(new.path().join("file"), content).unwrap();
            new.commit().unwrap();
            assert_eq!(std::fs::read_to_string(path.join("file")).unwrap(), content);
        }
        assert_eq!(names(&dir.path().join("deep")), ["run"]);
    }

    #[test]
    fn the_folder_of_a_bare_name_is_here() {
        assert_eq!(folder_of(Path::new("a")), Path::new("."));
        assert_eq!(folder_of(Path::new("b/a")), Path::new("b"));
    }
}
