//! How client commands find the hub: options first, then `LDOP_*` variables, then `[client]` of the configuration.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use ldop_client::{Client, ClientConfig, Pem, RetryPolicy};

use crate::{
    config::{ClientSection, FILE_NAME, is_hub_address},
    failure::Failure,
    output::Output,
};

/// How long to try again when nothing is said, seconds: a hub that is started anew is back long before.
const PATIENCE: u64 = 60;

/// What every command knows.
#[derive(Debug, Clone)]
pub struct Context {
    /// Form of the output.
    pub output: Output,
    /// Configuration file that was named.
    pub config: Option<PathBuf>,
}

impl Context {
    /// The configuration file to use: the one named, or `ldop.toml` where there is one.
    #[must_use]
    pub fn config_file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Some(PathBuf::from(FILE_NAME)).filter(|file| file.exists()))
    }
}

/// How to reach the hub.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Connection")]
pub struct HubArgs {
    /// Address of the hub, https://host:port; more than one, with commas between, for several nodes.
    #[arg(long, value_name = "ADDRESS", env = "LDOP_HUB", value_delimiter = ',')]
    hub: Vec<String>,
    /// PEM file with the authority of the hub's certificate.
    #[arg(long, value_name = "FILE", env = "LDOP_CA")]
    ca: Option<PathBuf>,
    /// PEM file with your certificate; its URI SAN says who you are.
    #[arg(long, value_name = "FILE", env = "LDOP_CERT")]
    cert: Option<PathBuf>,
    /// PEM file with your private key.
    #[arg(long, value_name = "FILE", env = "LDOP_KEY")]
    key: Option<PathBuf>,
    /// Name in the hub's certificate, where it is not the host of the address.
    #[arg(long, value_name = "NAME", env = "LDOP_SERVER_NAME")]
    server_name: Option<String>,
    /// How long to try again while the hub cannot be reached or cannot answer, in seconds [default: not at all for the
    /// first connection, 60 afterwards].
    #[arg(long, value_name = "SECONDS", env = "LDOP_PATIENCE")]
    patience: Option<u64>,
}

impl HubArgs {
    /// Connects.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] when something is named nowhere, [`Failure::Problems`] when the configuration is wrong,
    /// [`Failure::Client`] when no hub answers.
    pub async fn connect(&self, context: &Context) -> Result<Client, Failure> {
        let config = self.client_config(context)?;
        // Somebody who waits at a terminal wants to hear at once that nothing is there; who asks for patience gets it.
        match self.patience {
            Some(_) => Ok(Client::connect_patiently(config, self.retry()).await?),
            None => Ok(Client::connect(config).await?),
        }
    }

    /// When to try again, by `--patience`.
    #[must_use]
    pub fn retry(&self) -> RetryPolicy {
        RetryPolicy { give_up: Some(Duration::from_secs(self.patience.unwrap_or(PATIENCE))), ..RetryPolicy::default() }
    }

    fn client_config(&self, context: &Context) -> Result<ClientConfig, Failure> {
        let file = context.config_file();
        let section = match &file {
            Some(file) => ClientSection::load(file).map_err(Failure::Problems)?,
            None => ClientSection::default(),
        };
        let endpoints: Vec<String> =
            if self.hub.is_empty() { section.hub.into_iter().collect() } else { self.hub.clone() };
        let needed = |option: &str, variable: &str, key: &str| {
            Failure::Usage(format!(
                "{option} is not given: name it, set {variable}, or write {key} into [client] of {FILE_NAME}"
            ))
        };
        if endpoints.is_empty() {
            return Err(needed("--hub", "LDOP_HUB", "hub"));
        }
        if let Some(bad) = endpoints.iter().find(|endpoint| !is_hub_address(endpoint)) {
            return Err(Failure::Usage(format!("--hub {bad:?} is not an address https://host:port")));
        }
        let ca = self.ca.clone().or(section.ca).ok_or_else(|| needed("--ca", "LDOP_CA", "ca"))?;
        let cert = self.cert.clone().or(section.cert).ok_or_else(|| needed("--cert", "LDOP_CERT", "cert"))?;
        let key = self.key.clone().or(section.key).ok_or_else(|| needed("--key", "LDOP_KEY", "key"))?;
        let server_name = self.server_name.clone().or(section.server_name);
        let mut config = ClientConfig::new("", Pem::File(ca), Pem::File(cert), Pem::File(key));
        config.endpoints = endpoints;
        config.server_name = server_name;
        config.retry = self.retry();
        Ok(config)
    }
}
