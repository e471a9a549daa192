//! Temporary folders.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Once,
};

use tempfile::TempDir;

/// A temporary folder, removed on drop.
///
/// A killed test process cannot clean up, nor does Rust drop statics; so each folder carries its owner's process id, and
/// the next test process sweeps away those whose owner is gone.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// Makes a folder.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new() -> io::Result<Self> {
        static SWEPT: Once = Once::new();
        let base = std::env::temp_dir().join("ldop-tests");
        fs::create_dir_all(&base)?;
        SWEPT.call_once(|| sweep(&base));
        let prefix = format!("{}-", std::process::id());
        Ok(Self(tempfile::Builder::new().prefix(&prefix).tempdir_in(base)?))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A path in the folder.
    #[must_use]
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }
}

/// Removes folders whose owner is gone. Best effort: what cannot be removed is left.
fn sweep(base: &Path) {
    let Ok(folders) = fs::read_dir(base) else { return };
    for folder in folders.flatten() {
        let name = folder.file_name();
        let owner = name.to_str().and_then(|n| n.split('-').next()).filter(|id| id.bytes().all(|b| b.is_ascii_digit()));
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            drop(fs::remove_dir_all(folder.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_a_process_that_is_gone_is_swept() {
        let base = Scratch::new().unwrap();
        let (gone, mine) = (base.join("4194305-abc"), base.join(format!("{}-abc", std::process::id())));
        for folder in [&gone, &mine] {
            fs::create_dir(folder).unwrap();
        }
        sweep(base.path());
        assert!(!gone.exists() && mine.exists());
    }
}
