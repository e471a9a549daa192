//! Whether a package is what its manifest says, without a hub: everything that is wrong, at once.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use ldop_types::Text;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::{
    deletion,
    file::{Format, Read, hex, read},
    layout::Layout,
    manifest::{self, DataFile, Manifest, VERSION},
    package::STATE,
};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and what can be done.
    pub message: Text,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The manifest, where it can be read.
    pub manifest: Option<Manifest>,
    /// Everything that is wrong; nothing: the package is what its manifest says.
    pub problems: Vec<Problem>,
}

struct Checking<'d> {
    dir: &'d Path,
    problems: Vec<Problem>,
}

impl Checking<'_> {
    fn tell(&mut self, file: &str, vi: impl Into<String>, en: impl Into<String>) {
        self.problems.push(Problem { file: self.dir.join(file), message: Text::new(vi.into(), en.into()) });
    }
}

/// Checks the package in a folder.
#[must_use]
pub fn check(dir: &Path) -> Checked {
    let mut checking = Checking { dir, problems: Vec::new() };
    if dir.join(STATE).exists() {
        checking.tell(
            STATE,
            "gói chưa xuất xong; chạy lại cùng lệnh `ldop export` để xuất tiếp",
            "the export is not finished; the same `ldop export` goes on with it",
        );
    }
    let manifest = match fs::read(dir.join(manifest::FILE)) {
        Ok(text) => serde_json::from_slice::<Manifest>(&text).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    let manifest = match manifest {
        Ok(manifest) if manifest.manifest_version <= VERSION => manifest,
        Ok(manifest) => {
            let version = manifest.manifest_version;
            checking.tell(
                manifest::FILE,
                format!("phiên bản {version}, mới hơn bản ldop này đọc được ({VERSION}); dùng bản mới hơn"),
                format!("version {version}, newer than this release reads ({VERSION}); use a newer one"),
            );
            return Checked { manifest: None, problems: checking.problems };
        }
        Err(error) => {
            checking.tell(
                manifest::FILE,
                format!("không đọc được tệp kê khai ({error}); xuất lại"),
                format!("the manifest cannot be read ({error}); export anew"),
            );
            return Checked { manifest: None, problems: checking.problems };
        }
    };
    checking.whole(&manifest);
    Checked { manifest: Some(manifest), problems: checking.problems }
}

impl Checking<'_> {
    fn whole(&mut self, manifest: &Manifest) {
        let layout = manifest.table.clone().unwrap_or_else(|| Layout::of(&[], None));
        if manifest.table.is_none() && manifest.format != Format::Jsonl {
            self.tell(
                manifest::FILE,
                "thiếu mô tả cột của bảng; xuất lại",
                "the columns of the table are missing; export anew",
            );
            return;
        }
        let fields = manifest.of.granted_fields.iter().chain(&manifest.deletion_field);
        let granted: BTreeSet<&str> = fields.map(String::as_str).collect();
        let mut hashes: Vec<Option<Sha256>> = manifest.calls.iter().map(|_| Some(Sha256::new())).collect();
        let mut names = BTreeSet::new();
        let (mut records, mut by_call) = (0_u64, vec![0_u64; manifest.calls.len()]);
        for file in &manifest.files {
            let is_plain = Path::new(&file.name).file_name().is_some_and(|name| name == file.name.as_str());
            if !is_plain || !names.insert(file.name.as_str()) || file.call >= by_call.len() {
                self.tell(
                    manifest::FILE,
                    format!("mục tệp {:?} không hợp lệ; xuất lại", file.name),
                    format!("the entry of file {:?} is none; export anew", file.name),
                );
                continue;
            }
            records += file.records;
            by_call[file.call] += file.records;
            let hash = &mut hashes[file.call];
            if manifest.format != Format::Jsonl || file.rewritten > 0 {
                // As they came, the records are not there any more.
                *hash = None;
            }
            self.file(manifest, &layout, &granted, file, hash);
        }
        if records != manifest.records || !manifest.calls.iter().map(|call| call.records).eq(by_call) {
            self.tell(
                manifest::FILE,
                "số bản ghi kê khai không bằng tổng các tệp; xuất lại",
                "the numbers of records do not add up; export anew",
            );
        }
        for (call, hash) in manifest.calls.iter().zip(hashes) {
            if let (Some(told), Some(hash)) = (&call.stream_hash, hash)
                && hex(&hash.finalize()) != *told
            {
                self.tell(
                    manifest::FILE,
                    format!(
                        "các bản ghi không phải những bản ghi trung tâm đã cấp ở lượt {}; xuất lại",
                        call.exchange_id
                    ),
                    format!("the records are not those the hub gave in exchange {}; export anew", call.exchange_id),
                );
            }
        }
        if manifest.calls.last().is_none_or(|call| call.stream_hash.is_none()) {
            self.tell(
                manifest::FILE,
                "không có xác nhận của trung tâm rằng đã cấp đủ; xuất lại",
                "the hub's word that everything was given is missing; export anew",
            );
        }
        self.strangers(&names);
    }

    fn file(
        &mut self,
        manifest: &Manifest,
        layout: &Layout,
        granted: &BTreeSet<&str>,
        file: &DataFile,
        hash: &mut Option<Sha256>,
    ) {
        let path = self.dir.join(&file.name);
        match sha256(&path) {
            Err(error) => {
                self.tell(
                    &file.name,
                    format!("không đọc được ({error}); chép lại gói"),
                    format!("cannot be read ({error}); copy the package again"),
                );
                *hash = None;
                return;
            }
            Ok((bytes, found)) if bytes != file.bytes || found != file.sha256 => self.tell(
                &file.name,
                format!("đã bị thay đổi: {bytes} byte, SHA-256 {found}, kê khai {} byte, {}; chép lại gói", file.bytes, file.sha256),
                format!(
                    "was altered: {bytes} bytes, SHA-256 {found}; the manifest says {} bytes, {}; copy the package again",
                    file.bytes, file.sha256
                ),
            ),
            Ok(_) => {}
        }
        let (mut count, mut strange) = (0_u64, BTreeSet::new());
        let done = read(&path, manifest.format, layout, &mut |read| {
            count += 1;
            let record = match read {
                Read::Line(line) => {
                    if let Some(hash) = hash {
                        let given = deletion::unmark(line, manifest.deletion_field.as_deref());
                        hash.update((given.len() as u64).to_be_bytes());
                        hash.update(given);
                    }
                    let record = serde_json::from_slice::<Map<String, Value>>(line);
                    record.map_err(|_| format!("record {count} is no JSON object"))?
                }
                Read::Record(record) => record,
            };
            strange.extend(record.into_iter().map(|(name, _)| name).filter(|name| !granted.contains(name.as_str())));
            Ok(())
        });
        if let Err(error) = done {
            self.tell(
                &file.name,
                format!("không đọc được đến hết ({error}); chép lại gói"),
                format!("cannot be read to its end ({error}); copy the package again"),
            );
            *hash = None;
            return;
        }
        if count != file.records {
            self.tell(
                &file.name,
                format!("có {count} bản ghi, kê khai {}; chép lại gói", file.records),
                format!("has {count} records, the manifest says {}; copy the package again", file.records),
            );
        }
        if !strange.is_empty() {
            let strange: Vec<&str> = strange.iter().map(String::as_str).collect();
            self.tell(
                &file.name,
                format!("có trường không được cấp: {}; xuất lại", strange.join(", ")),
                format!("has fields that are not granted: {}; export anew", strange.join(", ")),
            );
        }
    }

    /// Files of which the manifest says nothing.
    fn strangers(&mut self, names: &BTreeSet<&str>) {
        let entries = match fs::read_dir(self.dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.tell(
                    "",
                    format!("không đọc được thư mục ({error})"),
                    format!("the folder cannot be read ({error})"),
                );
                return;
            }
        };
        let mut found: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        found.sort();
        for name in found {
            if name != manifest::FILE && name != STATE && !names.contains(name.as_str()) {
                self.tell(
                    &name,
                    "không thuộc gói này; đưa ra khỏi thư mục",
                    "is no part of the package; take it out of the folder",
                );
            }
        }
    }
}

fn sha256(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 256 << 10]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hex(&hash.finalize()))),
            read => {
                hash.update(&chunk[..read]);
                bytes += read as u64;
            }
        }
    }
}
