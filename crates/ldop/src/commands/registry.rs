//! `ldop registry`

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use clap::{ArgGroup, Subcommand};
use ldop_gateway::rest::credentials::Credentials;
use ldop_types::SystemId;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    connect::Context,
    failure::{Exit, Failure},
    output::{self, Output, hex},
};

const EXAMPLES: &str = "\
Examples:
  ldop registry credential connect --operator so-khcn/connect
  ldop registry credential dashboard --system vp-ubnd/ioc --file registry-credentials.toml

The secret is shown once; the file holds only its SHA-256. A client sends both as HTTP basic credentials, as in
basic.auth.user.info=connect:<secret>. What operators and engineers may do stands in docs/roles.md; systems only read.
The hub reads the file that [registry] credentials names when it starts.";

/// What to do for registry clients.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes a name and a secret.
    Credential(CredentialArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("identity").required(true))]
struct CredentialArgs {
    /// Name the client sends; 1-100 bytes without ':'.
    name: String,
    /// Operator the client acts as, <agency>/<name>: may register schemas.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity", value_parser = SystemId::parse)]
    operator: Option<SystemId>,
    /// Engineer the client acts as, <agency>/<name>: may register schemas of the agency.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity", value_parser = SystemId::parse)]
    engineer: Option<SystemId>,
    /// Department system the client is, <agency>/<system>: may read.
    #[arg(long, value_name = "AGENCY/SYSTEM", group = "identity", value_parser = SystemId::parse)]
    system: Option<SystemId>,
    /// File the entry is added to.
    #[arg(long, value_name = "FILE", default_value = "registry-credentials.toml")]
    file: PathBuf,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let Command::Credential(args) = &args.command;
    let given = [("operator", &args.operator), ("engineer", &args.engineer), ("system", &args.system)];
    let Some((kind, id)) = given.iter().find_map(|(kind, id)| Some((*kind, id.as_ref()?))) else {
        return Err(Failure::Usage("--operator, --engineer or --system is needed".to_owned()));
    };
    let secret = hex(&rand::random::<[u8; 32]>());
    let digest = hex(&Sha256::digest(secret.as_bytes()));
    let name = toml::Value::from(args.name.as_str());
    let entry = format!("[[credential]]\nname = {name}\n{kind} = \"{id}\"\nsecret_sha256 = \"{digest}\"\n");
    let before = match fs::read_to_string(&args.file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::file("read", &args.file)(error)),
    };
    let gap = if before.is_empty() { "" } else { "\n" };
    // The whole file is read as the hub will, so that an entry that spoils it is never written.
    Credentials::parse(&format!("{before}{gap}{entry}")).map_err(Failure::Usage)?;
    append(&args.file, &format!("{gap}{entry}")).map_err(Failure::file("write", &args.file))?;
    match context.output {
        Output::Text => {
            output::line(format_args!("{}: entry added; it holds only the hash of the secret", args.file.display()));
            output::line(format_args!("name    {}", args.name));
            output::line(format_args!("secret  {secret}"));
        }
        Output::Json => output::json(&json!({ "file": args.file, "name": args.name, "secret": secret })),
    }
    Ok(Exit::Ok)
}

/// Adds to a file that only its owner may read.
fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}
