//! Writes the seeds of every target into a folder, one folder for each: `cargo run -p ldop-fuzz --example corpus fuzz/corpus`

use std::{env, fs, io, path::PathBuf};

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).map_or_else(|| PathBuf::from("fuzz/corpus"), PathBuf::from);
    for target in ldop_fuzz::TARGETS {
        let folder = folder.join(target.name);
        fs::create_dir_all(&folder)?;
        for (n, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:03}")), seed)?;
        }
    }
    Ok(())
}
