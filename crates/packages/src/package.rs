//! A folder that is being filled.
//!
//! Data files are written under another name and get theirs when they are whole and on the disk; only then the state says so, in one
//! step, with the token to go on behind them. Whatever ends the program, what the state tells is there, and what it does not tell
//! is written anew.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    Error, deletion,
    file::{Format, Writer, hex},
    layout::{Column, Kind, Layout},
    manifest::{self, Call, DataFile, Manifest, Of, VERSION, how_to_read},
};

/// Name of the state of an export that is not finished.
pub const STATE: &str = "export.partial.json";
/// Ending of files that are not whole.
const UNFINISHED: &str = ".partial";

/// What the state of an export holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// To go on behind the last whole file, as hexadecimal digits; empty: from the beginning.
    resume_token: String,
    layout: Layout,
    manifest: Manifest,
}

/// A package that is being written.
pub struct Package {
    dir: PathBuf,
    format: Format,
    records_per_file: u64,
    state: Option<State>,
    open: Option<Writer>,
    /// Over what this call has given.
    hash: Sha256,
    records: u64,
}

/// What is known when a call begins.
pub struct Begun {
    /// What is exported.
    pub of: Of,
    /// The call; how many records of it are in the package is not known yet.
    pub call: Call,
}

impl Package {
    /// Opens a folder: a new one, or one with an export of this agreement and format that was cut.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`], [`Error::Other`], [`Error::File`]
    pub fn open(dir: &Path, agreement: &str, format: Format, records_per_file: u64) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(Error::file("make", dir))?;
        if dir.join(manifest::FILE).exists() {
            return Err(Error::Exists(dir.join(manifest::FILE)));
        }
        let file = dir.join(STATE);
        let state = match fs::read(&file) {
            Ok(text) => {
                let read = serde_json::from_slice::<State>(&text).map_err(io::Error::from);
                Some(read.map_err(Error::file("read", &file))?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::file("read", &file)(error)),
        };
        if let Some(State { manifest, .. }) = &state
            && (manifest.of.agreement != agreement || manifest.format != format)
        {
            let told = |agreement: &str, format: Format| format!("agreement {agreement} as {}", format.ending());
            return Err(Error::Other {
                path: dir.to_owned(),
                found: told(&manifest.of.agreement, manifest.format),
                asked: told(agreement, format),
            });
        }
        let package =
            Self { dir: dir.to_owned(), format, records_per_file, state, open: None, hash: Sha256::new(), records: 0 };
        package.clear()?;
        Ok(package)
    }

    /// Removes files that were not whole; refuses what is none of ours.
    fn clear(&self) -> Result<(), Error> {
        let known = |name: &str| {
            let files = self.state.iter().flat_map(|state| &state.manifest.files);
            name == STATE || files.into_iter().any(|file| file.name == name)
        };
        for entry in fs::read_dir(&self.dir).map_err(Error::file("read", &self.dir))? {
            let path = entry.map_err(Error::file("read", &self.dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if known(name) {
                continue;
            }
            let is_part = name.starts_with("part-") && name.ends_with(&format!(".{}", self.format.ending()));
            // One that is whole, and of which the state says nothing: the program ended in between.
            if name.ends_with(UNFINISHED) || (is_part && self.state.is_some()) {
                fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            } else {
                return Err(Error::Exists(path));
            }
        }
        Ok(())
    }

    /// The token to go on with; none: from the beginning.
    #[must_use]
    pub fn resume_token(&self) -> Option<Vec<u8>> {
        let token = &self.state.as_ref()?.resume_token;
        let pair = |at| u8::from_str_radix(token.get(at..at + 2)?, 16).ok();
        let token: Option<Vec<u8>> = (0..token.len()).step_by(2).map(pair).collect();
        token.filter(|token| !token.is_empty())
    }

    /// Records in whole files.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.manifest.records)
    }

    /// Begins with what a call gives; `schema` is the JSON Schema columns are derived from, where the export begins.
    /// What of the call before is not in whole files comes again.
    ///
    /// # Errors
    ///
    /// [`Error::Other`]: what comes is not what the package has a part of. [`Error::File`]
    pub fn begin(&mut self, begun: Begun, schema: Option<&serde_json::Value>) -> Result<(), Error> {
        self.open = None;
        (self.hash, self.records) = (Sha256::new(), 0);
        self.clear()?;
        let Begun { of, call } = begun;
        // Of one that has no whole file nothing is left to go on with.
        self.state.take_if(|state| state.manifest.files.is_empty());
        match &mut self.state {
            Some(state) => {
                if state.manifest.of != of {
                    let told =
                        |of: &Of| format!("{} version {} from the {}", of.agreement, of.agreement_version, of.source);
                    let (found, asked) = (told(&state.manifest.of), told(&of));
                    return Err(Error::Other { path: self.dir.clone(), found, asked });
                }
                state.manifest.calls.push(call);
            }
            None => {
                let mut layout = Layout::of(&of.granted_fields, schema);
                let deletion_field = (of.source == "log").then(|| deletion::field(&of.granted_fields));
                let columns = deletion_field.iter().map(|name| Column { name: name.clone(), kind: Kind::Boolean });
                layout.columns.extend(columns);
                let manifest = Manifest {
                    manifest_version: VERSION,
                    started: call.started.clone(),
                    of,
                    format: self.format,
                    table: (self.format != Format::Jsonl).then(|| layout.clone()),
                    deletion_field,
                    how_to_read: Vec::new(),
                    schema_versions: Vec::new(),
                    records: 0,
                    files: Vec::new(),
                    calls: vec![call],
                    stream_hash: None,
                    finished: String::new(),
                };
                self.state = Some(State { resume_token: String::new(), layout, manifest });
            }
        }
        self.save()
    }

    /// Writes a record, or the key of one that is no more.
    ///
    /// # Errors
    ///
    /// Those of [`Writer`].
    ///
    /// # Panics
    ///
    /// No call has begun.
    pub fn put(&mut self, payload: &[u8], schema_version: u32, is_deletion: bool) -> Result<(), Error> {
        let state = self.state.as_mut().expect("a call has begun");
        let writer = match &mut self.open {
            Some(writer) => writer,
            none => {
                let path = self.dir.join(format!("{}{UNFINISHED}", name(&state.manifest)));
                none.insert(Writer::create(path, self.format, &state.layout)?)
            }
        };
        match &state.manifest.deletion_field {
            Some(field) if is_deletion => writer.put(&deletion::mark(payload, field))?,
            _ => writer.put(payload)?,
        }
        self.hash.update((payload.len() as u64).to_be_bytes());
        self.hash.update(payload);
        self.records += 1;
        if let Err(at) = state.manifest.schema_versions.binary_search(&schema_version) {
            state.manifest.schema_versions.insert(at, schema_version);
        }
        Ok(())
    }

    /// Everything up to a token was put. Ends the file where it is full.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Format`]
    pub fn reached(&mut self, resume_token: &[u8]) -> Result<(), Error> {
        if self.open.as_ref().is_some_and(|writer| writer.records() >= self.records_per_file) {
            self.end_file()?;
            if let Some(state) = &mut self.state {
                state.resume_token = hex(resume_token);
            }
            self.save()?;
        }
        Ok(())
    }

    /// Ends the package: everything came. Gives the manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Differs`]: the hub gave something else. [`Error::File`], [`Error::Format`]
    ///
    /// # Panics
    ///
    /// No call has begun.
    pub fn finish(mut self, records: u64, hash: &[u8], now: String) -> Result<Manifest, Error> {
        let came: [u8; 32] = self.hash.clone().finalize().into();
        if records != self.records || *hash != came {
            let told = |records: u64, hash: &[u8]| format!("{records} records with hash {}", hex(hash));
            return Err(Error::Differs { told: told(records, hash), came: told(self.records, &came) });
        }
        self.end_file()?;
        let mut manifest = self.state.take().expect("a call has begun").manifest;
        let layout = manifest.table.clone().unwrap_or_else(|| Layout::of(&[], None));
        if let Some(last) = manifest.calls.last_mut() {
            last.stream_hash = Some(hex(&came));
        }
        let is_cut = manifest.calls.iter().rev().skip(1).any(|call| call.records > 0);
        manifest.stream_hash = (!is_cut).then(|| hex(&came));
        manifest.how_to_read = how_to_read(&manifest, &layout, is_cut);
        manifest.finished = now;
        write_whole(&self.dir, manifest::FILE, &manifest)?;
        let state = self.dir.join(STATE);
        fs::remove_file(&state).map_err(Error::file("remove", state))?;
        sync(&self.dir)?;
        Ok(manifest)
    }

    fn end_file(&mut self) -> Result<(), Error> {
        let (Some(writer), Some(State { manifest, .. })) = (self.open.take(), &mut self.state) else { return Ok(()) };
        let name = name(manifest);
        let written = writer.finish()?;
        let (from, to) = (self.dir.join(format!("{name}{UNFINISHED}")), self.dir.join(&name));
        fs::rename(&from, &to).map_err(Error::file("rename", from))?;
        manifest.records += written.records;
        let call = manifest.calls.len().saturating_sub(1);
        if let Some(last) = manifest.calls.last_mut() {
            last.records += written.records;
        }
        let (bytes, sha256) = (written.bytes, written.sha256);
        let (records, rewritten) = (written.records, written.rewritten);
        manifest.files.push(DataFile { name, bytes, sha256, records, rewritten, call });
        sync(&self.dir)
    }

    fn save(&self) -> Result<(), Error> {
        match &self.state {
            Some(state) => write_whole(&self.dir, STATE, state),
            None => Ok(()),
        }
    }
}

/// Name of the next data file.
fn name(manifest: &Manifest) -> String {
    format!("part-{:05}.{}", manifest.files.len() + 1, manifest.format.ending())
}

/// Writes a file that is there whole or not at all.
fn write_whole(dir: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let (beside, path) = (dir.join(format!("{name}{UNFINISHED}")), dir.join(name));
    let write = || {
        let mut text = serde_json::to_vec_pretty(value)?;
        text.push(b'\n');
        fs::write(&beside, text)?;
        fs::File::open(&beside)?.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().map_err(Error::file("write", &path))?;
    sync(dir)
}

fn sync(dir: &Path) -> Result<(), Error> {
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::file("write", dir))
}
