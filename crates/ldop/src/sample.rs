//! The folder `schemas/` of the repository, as it was when the program was built.

use std::{fs, path::Path};

use crate::failure::Failure;

include!(concat!(env!("OUT_DIR"), "/schemas.rs"));

/// Writes the sample dictionary, schemas, catalogue and agreements into a folder. Files that are there are replaced.
///
/// # Errors
///
/// [`Failure::File`]
pub fn write(folder: &Path) -> Result<usize, Failure> {
    for (name, bytes) in FILES {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Failure::file("make folder", parent))?;
        }
        fs::write(&path, bytes).map_err(Failure::file("write", &path))?;
    }
    Ok(FILES.len())
}
