//! Files beside the log that are written whole.

use std::{
    fs::{self, File},
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

/// Puts a file in the place of the one before, on disk when this returns: whoever reads it reads one of the two, whole.
/// Tells its size in bytes.
///
/// # Errors
///
/// It cannot be written beside the other, or not put in its place; the other stays as it is.
pub fn replace(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<u64> {
    // Named after the whole file name: two files that differ in their extension may be written at the same time.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = PathBuf::from(temporary);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
    write(&mut file)?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    let bytes = file.metadata()?.len();
    fs::rename(&temporary, path)?;
    // A bare name has an empty parent.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use io::Write as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_stays_as_it_is() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("it");
        assert_eq!(replace(&path, |file| file.write_all(b"one")).expect("written"), 3);
        let failed = replace(&path, |file| file.write_all(b"two").and(Err(io::Error::other("no"))));
        assert_eq!(failed.expect_err("refused").to_string(), "no");
        assert_eq!(fs::read(&path).expect("there"), b"one");
    }

    #[test]
    fn a_bare_name_is_one_in_the_working_folder() {
        let name = format!("a-bare-name-{}.txt", std::process::id());
        replace(Path::new(&name), |file| file.write_all(b"one")).expect("written");
        assert_eq!(fs::read(&name).expect("there"), b"one");
        fs::remove_file(&name).expect("removed");
    }
}
