//! Embeds the folder `schemas/`, which `ldop init` and `ldop demo` write out.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

#[expect(clippy::disallowed_methods, reason = "cargo hands its settings to build scripts this way")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../schemas").canonicalize()?;
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut code =
        String::from("/// Path and bytes of each file of `schemas/`.\npub static FILES: &[(&str, &[u8])] = &[\n");
    for file in files {
        let name = file.strip_prefix(&root)?.to_str().ok_or("a name that is not UTF-8")?.replace('\\', "/");
        writeln!(code, "    ({name:?}, include_bytes!({:?})),", file.to_str().ok_or("a path that is not UTF-8")?)?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(std::env::var("OUT_DIR")?).join("schemas.rs"), code)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
