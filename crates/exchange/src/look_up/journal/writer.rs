//! The thread that writes the journal.

use std::{
    collections::{HashMap, VecDeque},
    fs, io, mem,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, Sender},
    },
};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::{error, warn};

use super::{
    Config, NotWritten, Shared, Unshipped,
    segment::{self, Kind, Segment},
};

/// Commands taken together.
const BATCH: usize = 512;

/// What the thread is told to do.
#[derive(Debug)]
pub enum Command {
    Write { kind: Kind, id: [u8; 16], event: Vec<u8>, done: Option<oneshot::Sender<Result<(), NotWritten>>> },
    Shipped(u64),
    Spare(io::Result<Segment>),
    Close,
    Settle(Sender<()>),
}

/// What an earlier process left.
#[derive(Debug, Default)]
pub struct Recovered {
    pub unshipped: Vec<Unshipped>,
    pub files: Vec<PathBuf>,
    pub last_sequence: u64,
    pub next_number: u64,
}

/// A file that is not written to any more.
struct Sealed {
    path: PathBuf,
    number: u64,
    last_sequence: u64,
}

/// Askings without an outcome on the log, and the file each is in.
#[derive(Default)]
struct Open {
    files: HashMap<[u8; 16], u64>,
    /// How many are in each file, so that nobody has to go through all of them.
    counts: HashMap<u64, usize>,
}

impl Open {
    fn insert(&mut self, id: [u8; 16], file: u64) {
        self.files.insert(id, file);
        *self.counts.entry(file).or_default() += 1;
    }

    fn remove(&mut self, id: &[u8; 16]) {
        if let Some(file) = self.files.remove(id)
            && let Some(count) = self.counts.get_mut(&file)
        {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&file);
            }
        }
    }

    fn contains(&self, id: &[u8; 16]) -> bool {
        self.files.contains_key(id)
    }

    fn is_any_in(&self, file: u64) -> bool {
        self.counts.contains_key(&file)
    }
}

/// Handed to the disk with the next write.
struct Pending {
    sequence: u64,
    kind: Kind,
    id: [u8; 16],
    event: Vec<u8>,
    done: Option<oneshot::Sender<Result<(), NotWritten>>>,
}

pub struct Writer {
    config: Config,
    shared: Arc<Shared>,
    commands: Sender<Command>,
    sequence: u64,
    /// Of the last event that is to be shipped.
    last_event: u64,
    shipped: u64,
    next_number: u64,
    active: Option<(u64, Segment)>,
    spare: Option<Segment>,
    preparing: bool,
    sealed: Vec<Sealed>,
    open: Open,
    /// Outcomes that are not on the log yet.
    closing: VecDeque<(u64, [u8; 16])>,
    buffer: Vec<u8>,
    pending: Vec<Pending>,
}

impl Writer {
    pub fn new(config: Config, shared: Arc<Shared>, commands: Sender<Command>, recovered: Recovered) -> Self {
        let last_sequence = recovered.last_sequence;
        // Number 0 is nobody's: the outcomes of what was left stand in no file.
        let sealed = recovered.files.into_iter().map(|path| Sealed { path, number: 0, last_sequence }).collect();
        let mut writer = Self {
            config,
            shared,
            commands,
            sequence: last_sequence,
            last_event: last_sequence,
            shipped: if recovered.unshipped.is_empty() { last_sequence } else { 0 },
            next_number: recovered.next_number.max(1),
            active: None,
            spare: None,
            preparing: false,
            sealed,
            open: Open::default(),
            closing: VecDeque::new(),
            buffer: Vec::new(),
            pending: Vec::new(),
        };
        writer.clear_away();
        writer
    }

    pub fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut next = Some(first);
            for _ in 0..BATCH {
                match next.take() {
                    Some(Command::Close) => {
                        self.flush();
                        self.close();
                        return;
                    }
                    Some(command) => self.take(command),
                    None => break,
                }
                next = commands.try_recv().ok();
            }
            if let Some(command) = next {
                if matches!(command, Command::Close) {
                    self.flush();
                    self.close();
                    return;
                }
                self.take(command);
            }
            self.flush();
            self.clear_away();
            self.prepare_spare();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Write { kind, id, event, done } => self.write(kind, id, event, done),
            Command::Shipped(sequence) => {
                self.shipped = self.shipped.max(sequence);
                while self.closing.front().is_some_and(|(sequence, _)| *sequence <= self.shipped) {
                    let (_, id) = self.closing.pop_front().expect("there is a front");
                    self.open.remove(&id);
                }
                // Spares the next start from shipping again; a start without it ships twice.
                let body = self.shipped.to_le_bytes();
                if self
                    .active
                    .as_ref()
                    .is_some_and(|(_, active)| active.has_room(self.buffer.len() + segment::size_of(body.len())))
                {
                    self.sequence += 1;
                    segment::encode(self.sequence, Kind::Shipped, &body, &mut self.buffer);
                }
            }
            Command::Spare(made) => {
                self.preparing = false;
                match made {
                    Ok(spare) => self.spare = Some(spare),
                    Err(error) => warn!(%error, "no room made ahead for the journal of look-ups"),
                }
            }
            Command::Close => {}
            Command::Settle(done) => {
                self.flush();
                self.clear_away();
                let _ = done.send(());
            }
        }
    }

    fn write(
        &mut self,
        kind: Kind,
        id: [u8; 16],
        event: Vec<u8>,
        done: Option<oneshot::Sender<Result<(), NotWritten>>>,
    ) {
        // An outcome of an asking that was refused here: nothing was asked for, nothing is told.
        if kind == Kind::Answered && !self.open.contains(&id) {
            return;
        }
        self.sequence += 1;
        let pending = Pending { sequence: self.sequence, kind, id, event, done };
        let size = segment::size_of(pending.event.len());
        if !self.active.as_ref().is_some_and(|(_, active)| active.has_room(self.buffer.len() + size)) {
            self.flush();
            if let Err(error) = self.roll(size) {
                self.shared.rest();
                warn!(%error, "the journal of look-ups has no room; look-ups are refused");
            }
        }
        match &self.active {
            Some((number, _)) => {
                if kind == Kind::Asked {
                    self.open.insert(id, *number);
                }
                segment::encode(pending.sequence, kind, &pending.event, &mut self.buffer);
                self.pending.push(pending);
            }
            None => self.settle(vec![pending], false),
        }
    }

    /// Writes what has come together, and makes it durable if somebody waits for that.
    fn flush(&mut self) {
        let pending = mem::take(&mut self.pending);
        if self.buffer.is_empty() {
            return;
        }
        let sync = pending.iter().any(|pending| pending.kind == Kind::Asked);
        let written = match &mut self.active {
            Some((_, active)) => active.write(&self.buffer).and_then(|()| if sync { active.sync() } else { Ok(()) }),
            None => Err(io::Error::other("no file")),
        };
        self.buffer.clear();
        if let Err(error) = &written {
            error!(%error, "the journal of look-ups cannot be written; look-ups are refused");
            self.shared.rest();
            // What the disk holds of it is not known any more, so nothing more goes there.
            self.seal();
        }
        self.settle(pending, written.is_ok());
    }

    fn settle(&mut self, pending: Vec<Pending>, is_written: bool) {
        let mut unshipped = Vec::with_capacity(pending.len());
        for Pending { sequence, kind, id, event, done } in pending {
            match kind {
                Kind::Asked if !is_written => {
                    self.open.remove(&id);
                    done.map(|done| done.send(Err(NotWritten)));
                    continue;
                }
                Kind::Asked => {
                    done.map(|done| done.send(Ok(())));
                }
                // Written or not, it goes to the log, and the file with the asking stays until it is there.
                Kind::Answered if self.open.contains(&id) => self.closing.push_back((sequence, id)),
                Kind::Answered | Kind::Shipped => continue,
            }
            self.last_event = sequence;
            unshipped.push(Unshipped { sequence, id: Bytes::copy_from_slice(&id), event: event.into() });
        }
        if !unshipped.is_empty() {
            self.shared.unshipped.lock().extend(unshipped);
            self.shared.news.notify_one();
        }
    }

    fn seal(&mut self) {
        if let Some((number, active)) = self.active.take() {
            self.sealed.push(Sealed { path: active.path, number, last_sequence: self.last_event });
        }
    }

    /// Goes on to another file.
    fn roll(&mut self, size: usize) -> io::Result<()> {
        self.seal();
        self.clear_away();
        if size + 64 > self.config.segment_bytes {
            return Err(io::Error::other("an asking larger than a file of the journal"));
        }
        let segment = match self.spare.take() {
            Some(spare) => spare,
            None => {
                if self.files() * self.config.segment_bytes + self.config.segment_bytes > self.config.max_bytes {
                    return Err(io::Error::other("everything up to its limit waits for the log"));
                }
                let number = self.next_number();
                Segment::create(&self.config.dir, number, self.config.segment_bytes)?
            }
        };
        let number = self.next_number();
        self.active = Some((number, segment));
        self.count_bytes();
        Ok(())
    }

    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn files(&self) -> usize {
        self.sealed.len() + usize::from(self.active.is_some()) + usize::from(self.spare.is_some() || self.preparing)
    }

    fn count_bytes(&self) {
        self.shared.bytes.store((self.files() * self.config.segment_bytes) as u64, Ordering::Relaxed);
    }

    /// Making a file takes many writes; callers are not to wait for that.
    fn prepare_spare(&mut self) {
        let wanted = self.active.as_ref().is_some_and(|(_, active)| active.is_half_full());
        let room = (self.files() + 1) * self.config.segment_bytes <= self.config.max_bytes;
        if !wanted || self.spare.is_some() || self.preparing || !room {
            return;
        }
        let number = self.next_number();
        let (dir, length, commands) = (self.config.dir.clone(), self.config.segment_bytes, self.commands.clone());
        let making = std::thread::Builder::new().name("look-up-spare".into()).spawn(move || {
            // Nobody is there to take it when the journal has ended; the next start removes it.
            let _ = commands.send(Command::Spare(Segment::create(&dir, number, length)));
        });
        self.preparing = making.is_ok();
    }

    /// Deletes files that hold nothing the log does not have.
    fn clear_away(&mut self) {
        let (open, shipped) = (&self.open, self.shipped);
        let before = self.sealed.len();
        self.sealed.retain(|file| {
            let is_needed = file.last_sequence > shipped || open.is_any_in(file.number);
            if is_needed {
                return true;
            }
            if let Err(error) = fs::remove_file(&file.path) {
                warn!(%error, path = %file.path.display(), "file of the journal of look-ups not removed");
            }
            false
        });
        if self.sealed.len() < before {
            self.shared.resting_until.store(0, Ordering::Relaxed);
        }
        self.count_bytes();
    }

    fn close(&mut self) {
        self.seal();
        if let Some(spare) = self.spare.take() {
            self.sealed.push(Sealed { path: spare.path, number: 0, last_sequence: 0 });
        }
        // Markers count for nothing.
        if self.shared.unshipped.lock().is_empty() {
            self.shipped = self.sequence;
        }
        self.clear_away();
    }
}
