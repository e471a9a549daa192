//! Every version of a record, by event time: what was so at a moment, as far as it was told.
//!
//! A version is a record or a deletion. It is sealed as rows are, its event time with it, and leads from an index by name, event time
//! and place. An answer rests on all versions of its key, for the one that is missing may be the one that is asked for: so each look
//! reads the bucket of the name in the index and compares it with the sum that memory knows, whether it finds anything or not.

use ldop_types::TimestampMs;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, params, types::ValueRef};

use super::{Body, Fault, LOOK_EVERY, Shape, Store, Tallies, damaged, take_apart};
use crate::copy::{
    Found,
    seal::{Name, Sealer},
    tally::{Total, bounds, weight_of_version},
};

/// Event time, place and row.
type Version = [i64; 3];

impl Store {
    /// The versions of some keys that held at a time, in the order of the names: of each the one with the latest event time not
    /// after it, of several the one that came last on the log; none where there was none yet, or it is a deletion.
    pub(super) fn as_of(
        &self,
        conn: &Connection,
        names: &[Name],
        time: TimestampMs,
        known: &[u64],
    ) -> Result<Vec<Option<Found>>, Fault> {
        let mut all = conn.prepare_cached("SELECT name, time, place, seq FROM history WHERE name BETWEEN ?1 AND ?2")?;
        let mut one = conn.prepare_cached("SELECT name, place, body FROM versions WHERE seq = ?1")?;
        let mut found = Vec::with_capacity(names.len());
        for (name, sum) in names.iter().zip(known) {
            let Some([held, place, seq]) = last_until(&mut all, name, time, *sum)? else {
                found.push(None);
                continue;
            };
            let row = one
                .query_row([seq], |row| Ok((row.get::<_, Name>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?)));
            let (of, at, mut body) = row.optional()?.ok_or_else(|| damaged("a version that is known is not there"))?;
            if (of, at) != (*name, place) {
                return Err(damaged("a version stands where another should"));
            }
            let opened = self.sealer.open(name, place, &mut body).and_then(|body| read(body, self.shape.many));
            let (told, record) = opened.ok_or_else(|| damaged("a version was altered"))?;
            if told != held {
                return Err(damaged("a version has another event time"));
            }
            found.push(record.map(|body| body.record.found(place)));
        }
        Ok(found)
    }
}

/// Reads all versions in the bucket of a name, compares them with the sum they should have, and gives the one that held.
fn last_until(
    all: &mut CachedStatement<'_>,
    name: &Name,
    time: TimestampMs,
    sum: u64,
) -> Result<Option<Version>, Fault> {
    let (first, last) = bounds(name);
    let mut rows = all.query([&first[..], &last[..]])?;
    let (mut found, mut held) = (0_u64, None);
    while let Some(row) = rows.next()? {
        let (of, version): (Name, Version) = (row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]);
        found = found.wrapping_add(weight_of_version(&of, version));
        // Of one key all stand in one partition, so the greater place is the later one.
        if of == *name && version[0] <= time.0 && held.is_none_or(|held| held < version) {
            held = Some(version);
        }
    }
    if found == sum { Ok(held) } else { Err(damaged("the history does not hold what was written")) }
}

/// The event time of a version, and the record where it is one.
fn read(body: &[u8], many: usize) -> Option<(i64, Option<Body<'_>>)> {
    if let Ok(deleted) = body.try_into() {
        return Some((i64::from_le_bytes(deleted), None));
    }
    let body = take_apart(body, many)?;
    Some((body.record.event_time.0, Some(body)))
}

/// Keeps a version, sealed; tells where.
pub(super) fn keep(conn: &Connection, name: &Name, time: i64, place: i64, sealed: &[u8]) -> Result<Version, Fault> {
    let mut keep = conn.prepare_cached("INSERT INTO versions(name, place, body) VALUES (?1, ?2, ?3)")?;
    keep.execute(params![name, place, sealed])?;
    let version = [time, place, conn.last_insert_rowid()];
    let mut lead = conn.prepare_cached("INSERT INTO history(name, time, place, seq) VALUES (?1, ?2, ?3, ?4)")?;
    lead.execute(params![name, version[0], version[1], version[2]])?;
    Ok(version)
}

/// Forgets the versions of a key that stand before a place on the log, and tells each.
pub(super) fn forget(conn: &Connection, name: &Name, before: i64, mut told: impl FnMut(Version)) -> Result<(), Fault> {
    let mut all = conn.prepare_cached("SELECT time, place, seq FROM history WHERE name = ?1 AND place < ?2")?;
    let versions = all.query_map(params![name, before], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    let versions: Vec<Version> = versions.collect::<Result<_, _>>()?;
    let mut unlead = conn.prepare_cached("DELETE FROM history WHERE name = ?1 AND time = ?2 AND place = ?3")?;
    let mut drop = conn.prepare_cached("DELETE FROM versions WHERE seq = ?1")?;
    for version in versions {
        if unlead.execute(params![name, version[0], version[1]])? != 1 || drop.execute([version[2]])? != 1 {
            return Err(damaged("a version that is known is not there"));
        }
        told(version);
    }
    Ok(())
}

/// Reads every version, and the index, which must lead to the same ones.
pub(super) fn look_at(
    conn: &Connection,
    sealer: &Sealer,
    shape: Shape,
    tallies: &mut Tallies,
    go_on: &dyn Fn() -> bool,
) -> Result<(), Fault> {
    if !shape.history {
        return Ok(());
    }
    let mut statement = conn.prepare("SELECT seq, name, place, body FROM versions")?;
    let mut rows = statement.query([])?;
    let mut opened = Vec::new();
    while let Some(row) = rows.next()? {
        if tallies.progress.history.entries % LOOK_EVERY == LOOK_EVERY - 1 && !go_on() {
            return Err(Fault::Stopped);
        }
        let (seq, name, place) = (row.get::<_, i64>(0)?, row.get::<_, Name>(1)?, row.get::<_, i64>(2)?);
        let ValueRef::Blob(body) = row.get_ref(3)? else { return Err(damaged("a version has no body")) };
        opened.clear();
        opened.extend_from_slice(body);
        let read = sealer.open(&name, place, &mut opened).and_then(|body| read(body, shape.many));
        let (time, _) = read.ok_or_else(|| damaged("a version was altered"))?;
        tallies.version(&name, [time, place, seq]);
    }
    let mut statement = conn.prepare("SELECT name, time, place, seq FROM history")?;
    let mut rows = statement.query([])?;
    let mut total = Total::default();
    while let Some(row) = rows.next()? {
        let (name, version): (Name, Version) = (row.get(0)?, [row.get(1)?, row.get(2)?, row.get(3)?]);
        total.add(weight_of_version(&name, version));
        if total.entries.is_multiple_of(LOOK_EVERY) && !go_on() {
            return Err(Fault::Stopped);
        }
    }
    if total == tallies.progress.history {
        Ok(())
    } else {
        Err(damaged("the index of the history does not lead to the versions"))
    }
}
