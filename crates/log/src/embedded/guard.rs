//! Who may use a data directory, and whether it is fit for a log.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use super::OpenError;

/// File systems on which a lock or an fsync may not mean what it says.
const NETWORK: [&str; 16] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "fuse.ceph",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.sshfs",
    "gfs2",
    "glusterfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

/// The lock on a data directory; held until dropped. The kernel drops it when the process dies.
#[derive(Debug)]
pub(super) struct DirLock {
    _file: File,
}

/// Makes the directory when it is missing, refuses a network file system and takes the lock.
pub(super) fn claim(dir: &Path) -> Result<DirLock, OpenError> {
    let io = |source| OpenError::Directory { dir: dir.to_owned(), source };
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    if !missing.is_empty() {
        // Only the hub's own account: the log holds what agencies exchanged.
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io)?;
        for made in missing {
            sync_dir(made.canonicalize().map_err(io)?.parent().unwrap_or(made)).map_err(io)?;
        }
    }
    if let Ok(mounts) = fs::read_to_string("/proc/self/mountinfo") {
        let real = dir.canonicalize().map_err(io)?;
        if let Some(kind) = file_system(&mounts, &real).filter(|kind| NETWORK.contains(kind)) {
            return Err(OpenError::NetworkFileSystem { dir: dir.to_owned(), kind: kind.to_owned() });
        }
    }
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(dir.join("lock")).map_err(io)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let holder = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
            return Err(OpenError::InUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(source)) => return Err(io(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
    writeln!(file, "{}", std::process::id()).map_err(io)?;
    Ok(DirLock { _file: file })
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Kind of the file system `path` lies on, by /proc/self/mountinfo: the longest mount point above it, the last one
/// mounted there.
fn file_system<'a>(mountinfo: &'a str, path: &Path) -> Option<&'a str> {
    let mounts = mountinfo.lines().filter_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let point = left.split(' ').nth(4)?.replace("\\040", " ");
        path.starts_with(&point).then_some((point.len(), right.split(' ').next()?))
    });
    mounts.max_by_key(|(len, _)| *len).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_and_last_mount_decides() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n\
                      2 1 0:40 / /srv rw shared:1 - nfs4 host:/x rw\n\
                      3 2 0:41 / /srv/my\\040log rw - xfs /dev/sdb rw\n\
                      4 1 0:42 / /data rw - xfs /dev/sdc rw\n\
                      5 4 0:43 / /data rw - cifs //host/y rw\n";
        for (path, kind) in [
            ("/var/lib/log", "ext4"),
            ("/srv/log", "nfs4"),
            ("/srv/my log/a", "xfs"),
            ("/srvx", "ext4"),
            ("/data/log", "cifs"),
        ] {
            assert_eq!(file_system(mounts, Path::new(path)), Some(kind), "{path}");
        }
    }

    #[test]
    fn a_second_claim_names_the_holder() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let held = claim(dir.path()).expect("first claim");
        match claim(dir.path()) {
            Err(OpenError::InUse { holder, .. }) => assert_eq!(holder, Some(std::process::id())),
            other => panic!("{other:?}"),
        }
        drop(held);
        claim(dir.path()).expect("claim after release");
    }
}
