//! Looks at the files a configuration names.

use std::{fs, path::Path, time::SystemTime};

use ldop_definitions::reading::{Place, Problem, Problems};
use ldop_exchange::copy::CopyKey;

use super::{Config, KafkaLog, LogEngine, Tls};

/// Every problem with the files; each names the configuration, the key and the file.
pub(super) fn check(config: &Config, file: &Path) -> Vec<Problem> {
    let checker = Checker { problems: Problems::default(), place: Place::file(file) };
    checker.data_dir(&config.node.data_dir);
    checker.tls(&config.tls);
    if let Some(credentials) = &config.registry.credentials {
        checker.credentials(credentials);
    }
    if let Some(path) = &config.current_copy.key_file
        && let Err(wrong) = CopyKey::read(path)
    {
        let expected = "a file for the hub alone (mode 0600 or 0640) with 32 random bytes in hexadecimal or base64";
        checker.problem("current_copy.key_file", format!("{} {wrong}", path.display()), expected);
    }
    if let LogEngine::Kafka(kafka) = &config.log {
        checker.kafka(kafka);
    }
    checker.problems.into_sorted()
}

struct Checker {
    problems: Problems,
    place: Place,
}

impl Checker {
    fn problem(&self, key: &str, found: impl Into<String>, expected: &str) {
        self.problems.note(self.place.clone(), key, found, expected);
    }

    fn read(&self, key: &str, path: &Path) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.problem(key, format!("{} cannot be read: {error}", path.display()), "a readable file");
                None
            }
        }
    }

    fn data_dir(&self, path: &Path) {
        if path.exists() && !path.is_dir() {
            self.problem("node.data_dir", format!("{} is a file", path.display()), "a folder");
        }
    }

    fn tls(&self, tls: &Tls) {
        let ca = self.certificates("tls.ca", &tls.ca);
        if let (Some(_), Some(crl)) = (ca, &tls.crl)
            && let Err(error) = ldop_gateway::trust::check_revocation_list(crl, &tls.ca)
        {
            self.problem("tls.crl", error.to_string(), "lists that the authorities of tls.ca have signed");
        }
        let cert = self.certificates("tls.cert", &tls.cert);
        let Some(key) = self.read("tls.key", &tls.key) else { return };
        self.owner_only("tls.key", &tls.key);
        let Ok(key) = String::from_utf8(key) else {
            return self.problem("tls.key", format!("{} is not text", tls.key.display()), "a private key in PEM");
        };
        if let Some(cert) = cert {
            match ldop_pki::key_matches(&cert, &key) {
                Ok(true) => {}
                Ok(false) => self.problem(
                    "tls.key",
                    format!("{} is not the key of {}", tls.key.display(), tls.cert.display()),
                    "the private key of tls.cert",
                ),
                Err(_) => {
                    self.problem("tls.key", format!("{} is not well-formed", tls.key.display()), "a private key in PEM")
                }
            }
        }
    }

    fn credentials(&self, path: &Path) {
        let key = "registry.credentials";
        self.owner_only(key, path);
        if let Err(wrong) = ldop_gateway::rest::credentials::Credentials::read(path) {
            let expected = "a readable file of entries as `ldop registry credential` makes them";
            self.problem(key, format!("{}: {wrong}", path.display()), expected);
        }
    }

    fn certificates(&self, key: &str, path: &Path) -> Option<Vec<u8>> {
        let pem = self.read(key, path)?;
        match ldop_pki::certificates(&pem, &path.display().to_string()) {
            Ok(infos) => {
                if infos[0].not_after < SystemTime::now() {
                    self.problem(key, format!("{} has expired", path.display()), "a certificate that is valid");
                }
                Some(pem)
            }
            Err(error) => {
                self.problem(key, error.to_string(), "certificates in PEM");
                None
            }
        }
    }

    fn kafka(&self, kafka: &KafkaLog) {
        if let Some(ca) = &kafka.ca {
            self.certificates("log.kafka.ca", ca);
        }
        if let Some(sasl) = &kafka.sasl {
            self.owner_only("log.kafka.password_file", &sasl.password_file);
            if self.read("log.kafka.password_file", &sasl.password_file).is_some_and(|b| b.trim_ascii().is_empty()) {
                self.problem(
                    "log.kafka.password_file",
                    format!("{} is empty", sasl.password_file.display()),
                    "a file that holds the password",
                );
            }
        }
    }

    /// A secret that others on the machine can read is no secret.
    fn owner_only(&self, key: &str, path: &Path) {
        #[cfg(unix)]
        if let Ok(metadata) = fs::metadata(path) {
            let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777;
            if mode & 0o007 != 0 {
                let found = format!("{} is open to everybody (mode {mode:04o})", path.display());
                self.problem(key, found, "mode 0600 or 0640");
            }
        }
    }
}
