//! Sorts more names than memory should hold: runs of them are sorted and written aside, then merged.
//!
//! Indexes of a new file are filled in their own order, which is several times as fast as in the order of the log, and it is
//! known then which record of a key is the latest.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use super::seal::Name;

/// Bytes of a run.
const RUN_BYTES: usize = 36_000_000;

/// What goes with a name: as many numbers.
pub(super) type Value<const N: usize> = [i64; N];

/// A name and what goes with it.
pub(super) type Entry<const N: usize> = (Name, Value<N>);

/// Entries to be sorted.
pub(super) struct Runs<const N: usize> {
    /// Where runs are written; none of the files stays under its name.
    aside: PathBuf,
    run: usize,
    current: Vec<Entry<N>>,
    written: Vec<BufReader<File>>,
}

impl<const N: usize> Runs<N> {
    pub(super) fn new(aside: &Path) -> Self {
        let run = RUN_BYTES / size_of::<Entry<N>>();
        Self { aside: aside.to_owned(), run, current: Vec::new(), written: Vec::new() }
    }

    pub(super) fn push(&mut self, entry: Entry<N>) -> io::Result<()> {
        if self.current.len() == self.run {
            self.write_aside()?;
        }
        self.current.push(entry);
        Ok(())
    }

    fn write_aside(&mut self) -> io::Result<()> {
        self.current.sort_unstable();
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&self.aside)?;
        // It lives as long as it is open: nothing is left behind by a crash.
        fs::remove_file(&self.aside)?;
        let mut writer = BufWriter::with_capacity(1 << 16, file);
        for (name, value) in self.current.drain(..) {
            writer.write_all(&name)?;
            for number in value {
                writer.write_all(&number.to_le_bytes())?;
            }
        }
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.written.push(BufReader::with_capacity(1 << 16, file));
        Ok(())
    }

    /// All entries in order, those of equal names by what goes with them.
    pub(super) fn sorted(mut self) -> io::Result<Sorted<N>> {
        self.current.sort_unstable();
        let mut sorted = Sorted { current: self.current.into_iter(), written: self.written, next: BinaryHeap::new() };
        for source in 0..=sorted.written.len() {
            sorted.refill(source)?;
        }
        Ok(sorted)
    }
}

/// Entries in order.
pub(super) struct Sorted<const N: usize> {
    current: std::vec::IntoIter<Entry<N>>,
    written: Vec<BufReader<File>>,
    next: BinaryHeap<Reverse<(Entry<N>, usize)>>,
}

impl<const N: usize> Sorted<N> {
    /// The next entry.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry<N>>> {
        let Some(Reverse((entry, source))) = self.next.pop() else { return Ok(None) };
        self.refill(source)?;
        Ok(Some(entry))
    }

    fn refill(&mut self, source: usize) -> io::Result<()> {
        let entry = match self.written.get_mut(source) {
            None => self.current.next(),
            Some(file) => {
                let mut name = Name::default();
                match file.read_exact(&mut name) {
                    Ok(()) => {
                        let mut value = [0; N];
                        for number in &mut value {
                            let mut bytes = [0; size_of::<i64>()];
                            file.read_exact(&mut bytes)?;
                            *number = i64::from_le_bytes(bytes);
                        }
                        Some((name, value))
                    }
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
                    Err(error) => return Err(error),
                }
            }
        };
        self.next.extend(entry.map(|entry| Reverse((entry, source))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn entries_come_out_in_order_whatever_was_written_aside(
            entries in proptest::collection::vec((0_u8..9, any::<[i64; 3]>()), 0..60), run in 1_usize..20,
        ) {
            let dir = tempfile::tempdir().expect("folder");
            let mut runs = Runs { run, ..Runs::new(&dir.path().join("run")) };
            let mut entries: Vec<Entry<3>> = entries.into_iter().map(|(name, value)| ([name; 16], value)).collect();
            for entry in &entries {
                runs.push(*entry).expect("pushed");
            }
            prop_assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0);
            let mut sorted = runs.sorted().expect("sorted");
            let mut found = Vec::new();
            while let Some(entry) = sorted.next().expect("read") {
                found.push(entry);
            }
            entries.sort_unstable();
            prop_assert_eq!(found, entries);
        }
    }
}
