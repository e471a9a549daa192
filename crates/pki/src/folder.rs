//! Keeps a PKI as PEM files.
//!
//! ```text
//! pki/ca.crt  ca.key                            the authority
//! pki/ca.crl                                    what it has revoked
//! pki/server.crt  server.key                    the hub
//! pki/systems/<agency>/<system>.crt  .key       department systems
//! pki/operators/<agency>/<name>.crt  .key       people and tools, by role: operators, engineers, stewards, auditors
//! ```

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use crate::{Authority, Credentials, Error, Identity, RevocationList, ServerName, Validity, inspect};

/// Whether files that exist may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// No: an existing file is an error, and nothing is written.
    Never,
    /// Yes.
    Allowed,
}

/// A folder with a PKI.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// The files of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl Issued {
    fn new(folder: &Path, stem: &str) -> Self {
        Self { certificate: folder.join(format!("{stem}.crt")), key: folder.join(format!("{stem}.key")) }
    }
}

impl Folder {
    /// Names a folder; it need not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The files of the authority.
    #[must_use]
    pub fn authority_files(&self) -> Issued {
        Issued::new(&self.path, "ca")
    }

    /// The files of the hub.
    #[must_use]
    pub fn server_files(&self) -> Issued {
        Issued::new(&self.path, "server")
    }

    /// The files of a client.
    #[must_use]
    pub fn client_files(&self, identity: &Identity) -> Issued {
        let kind = format!("{}s", identity.kind());
        Issued::new(&self.path.join(kind).join(identity.agency().as_str()), identity.name())
    }

    /// Makes authority and server certificate.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when there is one of the files, and nothing is written; [`Error::File`], [`Error::Make`].
    pub fn init(
        &self,
        authority_name: &str,
        server_names: &[ServerName],
        authority_validity: Validity,
        server_validity: Validity,
        overwrite: Overwrite,
    ) -> Result<Authority, Error> {
        let (authority_files, server_files) = (self.authority_files(), self.server_files());
        refuse_existing(&[&authority_files, &server_files], overwrite)?;
        let authority = Authority::create(authority_name, authority_validity)?;
        let server = authority.issue_server(server_names, server_validity)?;
        write(&authority_files, authority.credentials(), overwrite)?;
        write(&server_files, &server, overwrite)?;
        Ok(authority)
    }

    /// Loads the authority.
    ///
    /// # Errors
    ///
    /// [`Error::File`], [`Error::Pem`]
    pub fn authority(&self) -> Result<Authority, Error> {
        let files = self.authority_files();
        Authority::from_pem(Credentials { certificate_pem: read(&files.certificate)?, key_pem: read(&files.key)? })
    }

    /// Issues a client certificate and writes it.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when there is one already; [`Error::File`], [`Error::Pem`], [`Error::Make`].
    pub fn issue(
        &self,
        identity: &Identity,
        trust_domain: &str,
        validity: Validity,
        overwrite: Overwrite,
    ) -> Result<Issued, Error> {
        let files = self.client_files(identity);
        refuse_existing(&[&files], overwrite)?;
        let credentials = self.authority()?.issue_client(identity, trust_domain, validity)?;
        write(&files, &credentials, overwrite)?;
        Ok(files)
    }
}

impl Folder {
    /// The authority's list of revoked certificates; there is none before the first is revoked.
    #[must_use]
    pub fn revocation_file(&self) -> PathBuf {
        self.path.join("ca.crl")
    }

    /// Puts certificates of PEM files on the authority's list, which is valid for so many days. Tells how many are on it.
    ///
    /// # Errors
    ///
    /// [`Error::Stranger`] for a certificate whose issuer has another name, and nothing is written; [`Error::File`],
    /// [`Error::Pem`], [`Error::Make`].
    pub fn revoke(&self, certificates: &[PathBuf], days: u32) -> Result<usize, Error> {
        let (authority, path) = (self.authority()?, self.revocation_file());
        let own = inspect::certificates(authority.credentials().certificate_pem.as_bytes(), "the authority")?;
        let mut list = match fs::read(&path) {
            Ok(pem) => RevocationList::from_pem(&pem, &path.display().to_string())?,
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => RevocationList::default(),
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        for file in certificates {
            for certificate in inspect::certificates(read(file)?.as_bytes(), &file.display().to_string())? {
                if own.iter().all(|own| own.subject != certificate.issuer) {
                    return Err(Error::Stranger(file.clone()));
                }
                list.revoke(certificate.serial_bytes);
            }
        }
        list.number += 1;
        let pem = list.sign(&authority, days)?;
        // Whoever reads it meanwhile has the old one or the new one.
        let new = self.path.join("ca.crl.new");
        write_file(&new, &pem, 0o644, Overwrite::Allowed)?;
        fs::rename(&new, &path).map_err(|source| Error::File { action: "write", path, source })?;
        Ok(list.revoked.len())
    }
}

fn refuse_existing(all: &[&Issued], overwrite: Overwrite) -> Result<(), Error> {
    let paths = all.iter().flat_map(|files| [&files.certificate, &files.key]);
    match paths.into_iter().find(|path| path.exists()) {
        Some(path) if overwrite == Overwrite::Never => Err(Error::Exists(path.clone())),
        _ => Ok(()),
    }
}

/// Writes a certificate and its key; the key is readable by its owner only, from the first byte on.
///
/// # Errors
///
/// [`Error::Exists`], [`Error::File`]
pub fn write(files: &Issued, credentials: &Credentials, overwrite: Overwrite) -> Result<(), Error> {
    write_file(&files.key, &credentials.key_pem, 0o600, overwrite)?;
    write_file(&files.certificate, &credentials.certificate_pem, 0o644, overwrite)
}

fn write_file(path: &Path, text: &str, mode: u32, overwrite: Overwrite) -> Result<(), Error> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| Error::File {
            action: "make folder",
            path: folder.to_owned(),
            source,
        })?;
    }
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => Error::File { action: "write", path: path.to_owned(), source },
    };
    if overwrite == Overwrite::Allowed {
        // A new file rather than a truncated one: the old one may have had wider permissions.
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::File { action: "read", path: path.to_owned(), source })
}
