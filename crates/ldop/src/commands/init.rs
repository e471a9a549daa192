//! `ldop init`

use std::{
    fs,
    path::{Path, PathBuf},
};

use ldop_pki::{DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Overwrite, ServerName, Validity};
use serde_json::json;

use crate::{
    config::FILE_NAME,
    connect::Context,
    failure::{Exit, Failure},
    output::{self, Output},
    sample,
};

const CONFIGURATION: &str = include_str!("../assets/ldop.toml");
const README: &str = include_str!("../assets/README.md");
const IGNORE: &str = "# Keys and data never belong into a repository.\n*.key\n/data/\n";

/// The systems of the sample catalogue; each gets a certificate, so that everything can be tried at once.
const SAMPLE_SYSTEMS: [&str; 8] = [
    "so-tu-phap/ho-tich",
    "so-nnmt/dat-dai",
    "so-tai-chinh/dkkd",
    "so-khcn/danh-muc",
    "bhxh-tinh/tiep-nhan",
    "thue-tinh/quan-ly-thue",
    "cong-an-tinh/doi-soat",
    "vp-ubnd/ioc",
];
/// The operator whose certificate the configuration names.
const OPERATOR: &str = "so-khcn/quan-tri";

const EXAMPLES: &str = "\
Examples:
  ldop init province              a folder 'province' with everything to start a hub
  ldop init . --force             in this folder, writing over what an earlier init made

What is made:
  ldop.toml    configuration with every key explained; [log] engine is the one line that changes the engine
  pki/         a development authority, the hub's certificate, one operator, the sample systems
  schemas/     sample dictionary, code lists, schemas, catalogue and agreements
  README.md    what to do next";

/// Where to make what.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Folder to make; it must not hold anything.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Uses a folder that holds something, and writes over files of the same names.
    #[arg(long)]
    force: bool,
    /// DNS name or IP address clients reach the hub by; may be given several times.
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    server_name: Vec<String>,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    let names = args.server_name.iter().map(|name| ServerName::parse(name)).collect::<Result<Vec<_>, _>>()?;
    fs::create_dir_all(&args.dir).map_err(Failure::file("make folder", &args.dir))?;
    let mut entries = fs::read_dir(&args.dir).map_err(Failure::file("read", &args.dir))?;
    if !args.force && entries.next().is_some() {
        return Err(Failure::Exists(args.dir.clone()));
    }
    let pki = make_pki(&args.dir.join("pki"), &names)?;
    for (name, text) in [(FILE_NAME, CONFIGURATION), ("README.md", README), (".gitignore", IGNORE)] {
        let path = args.dir.join(name);
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
    }
    let samples = sample::write(&args.dir.join("schemas"))?;
    match context.output {
        Output::Text => {
            let dir = args.dir.display();
            output::line(format_args!("{dir}/{FILE_NAME}    configuration"));
            output::line(format_args!("{dir}/pki/         an authority, the hub, {pki} clients (development only)"));
            output::line(format_args!("{dir}/schemas/     {samples} files of sample definitions"));
            output::line(format_args!("{dir}/README.md    what to do next"));
            output::line(format_args!("\nNext: cd {dir} && ldop check && ldop serve"));
        }
        Output::Json => {
            output::json(&json!({ "dir": args.dir, "client_certificates": pki, "sample_files": samples }));
        }
    }
    Ok(Exit::Ok)
}

/// Makes the authority, the hub's certificate and those of the sample's clients; returns how many clients.
fn make_pki(path: &Path, names: &[ServerName]) -> Result<usize, Failure> {
    // Only reached in an empty folder or by `--force`.
    let overwrite = Overwrite::Allowed;
    let folder = Folder::new(path);
    folder.init("LDOP development authority", names, Validity::days(3_650), Validity::days(365), overwrite)?;
    let mut identities = vec![Identity::operator(OPERATOR)?];
    for system in SAMPLE_SYSTEMS {
        identities.push(Identity::system(system)?);
    }
    for identity in &identities {
        folder.issue(identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(365), overwrite)?;
    }
    Ok(identities.len())
}
