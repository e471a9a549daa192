//! `ldop pki`

use std::{fs, path::PathBuf, time::SystemTime};

use clap::{ArgGroup, Subcommand};
use ldop_pki::{
    CertificateInfo, DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Overwrite, ServerName, Validity, certificates,
    is_trust_domain,
};
use ldop_types::Role;
use serde_json::json;

use crate::{
    connect::Context,
    failure::{Exit, Failure, counted},
    output::{self, Output, local_time},
};

const EXAMPLES: &str = "\
Examples:
  ldop pki init --server-name hub.gialai.example --server-name 10.0.0.5
  ldop pki issue --system so-tu-phap/ho-tich --days 90
  ldop pki issue --operator so-khcn/an-nguyen
  ldop pki issue --engineer so-tu-phap/binh
  ldop pki show pki/systems/so-tu-phap/ho-tich.crt
  ldop pki revoke pki/systems/so-tu-phap/ho-tich.crt

For development and trials. In production the province's own authority issues certificates; the hub asks only for
one URI SAN, spiffe://<trust domain>/agency/<agency>/system/<system> or .../<role>/<name>, the role operator,\nengineer, steward or auditor (docs/roles.md).";

/// What to do with certificates.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes an authority and the hub's certificate.
    Init(InitArgs),
    /// Issues a client certificate.
    Issue(IssueArgs),
    /// Tells what certificates say: who, by whom, until when.
    Show(ShowArgs),
    /// Puts certificates on the authority's revocation list, ca.crl; hubs whose tls.crl names it cut them off.
    Revoke(RevokeArgs),
}

#[derive(Debug, clap::Args)]
struct InitArgs {
    /// Folder of the PKI.
    #[arg(long, default_value = "pki")]
    dir: PathBuf,
    /// DNS name or IP address clients reach the hub by; may be given several times.
    #[arg(long, value_name = "NAME", default_values = ["localhost", "127.0.0.1", "::1"])]
    server_name: Vec<String>,
    /// Days the hub's certificate is valid.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Days the authority is valid.
    #[arg(long, default_value_t = 3650, value_parser = clap::value_parser!(u32).range(1..=36500))]
    ca_days: u32,
    /// Writes over keys and certificates that are there. What the old authority issued is then worth nothing.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("identity").required(true))]
struct IssueArgs {
    /// Department system, <agency>/<system>.
    #[arg(long, value_name = "AGENCY/SYSTEM", group = "identity")]
    system: Option<String>,
    /// Operator of the hub, <agency>/<name>.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity")]
    operator: Option<String>,
    /// Engineer of an agency, <agency>/<name>: changes and approves what is the agency's own.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity")]
    engineer: Option<String>,
    /// Data steward, <agency>/<name>: approves agreements on personal data.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity")]
    steward: Option<String>,
    /// Auditor, <agency>/<name>: reads everything, changes nothing.
    #[arg(long, value_name = "AGENCY/NAME", group = "identity")]
    auditor: Option<String>,
    /// Folder of the PKI.
    #[arg(long, default_value = "pki")]
    dir: PathBuf,
    /// Trust domain, as in [tls] of the hub's configuration.
    #[arg(long, default_value = DEVELOPMENT_TRUST_DOMAIN)]
    trust_domain: String,
    /// Days the certificate is valid.
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Writes over a key and certificate that are there.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// PEM files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct RevokeArgs {
    /// PEM files of certificates. None: signs the list again, before it is due.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder of the PKI.
    #[arg(long, default_value = "pki")]
    dir: PathBuf,
    /// Days after which a new list is due.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

/// Runs the command.
pub fn run(context: &Context, args: &Args) -> Result<Exit, Failure> {
    match &args.command {
        Command::Init(args) => init(context, args),
        Command::Issue(args) => issue(context, args),
        Command::Show(args) => show(context, args),
        Command::Revoke(args) => revoke(context, args),
    }
}

fn init(context: &Context, args: &InitArgs) -> Result<Exit, Failure> {
    let names = args.server_name.iter().map(|name| ServerName::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let folder = Folder::new(&args.dir);
    let (authority, server) = (Validity::days(args.ca_days), Validity::days(args.days));
    folder.init("LDOP development authority", &names, authority, server, overwrite(args.force))?;
    let (ca, server) = (folder.authority_files(), folder.server_files());
    let files = [&ca.certificate, &ca.key, &server.certificate, &server.key];
    match context.output {
        Output::Text => files.iter().for_each(|file| output::line(format_args!("wrote {}", file.display()))),
        Output::Json => output::json(&json!({ "files": files })),
    }
    Ok(Exit::Ok)
}

fn issue(context: &Context, args: &IssueArgs) -> Result<Exit, Failure> {
    if !is_trust_domain(&args.trust_domain) {
        let text = format!("--trust-domain {:?} is not 1-255 chars of a-z, 0-9, '.', '_', '-'", args.trust_domain);
        return Err(Failure::Usage(text));
    }
    let people = [
        (Role::Operator, &args.operator),
        (Role::Engineer, &args.engineer),
        (Role::Steward, &args.steward),
        (Role::Auditor, &args.auditor),
    ];
    let identity = match (&args.system, people.iter().find_map(|(role, who)| Some((*role, who.as_ref()?)))) {
        (Some(system), _) => Identity::system(system)?,
        (None, Some((role, who))) => Identity::person(role, who)?,
        (None, None) => return Err(Failure::Usage("name --system, or --operator or another role".to_owned())),
    };
    let folder = Folder::new(&args.dir);
    let files = folder.issue(&identity, &args.trust_domain, Validity::days(args.days), overwrite(args.force))?;
    let uri = identity.uri(&args.trust_domain);
    match context.output {
        Output::Text => {
            output::line(format_args!("{uri}"));
            output::line(format_args!("wrote {}", files.certificate.display()));
            output::line(format_args!("wrote {}", files.key.display()));
        }
        Output::Json => {
            output::json(&json!({ "identity": uri, "certificate": files.certificate, "key": files.key }));
        }
    }
    Ok(Exit::Ok)
}

fn show(context: &Context, args: &ShowArgs) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    for file in &args.files {
        let pem = fs::read(file).map_err(Failure::file("read", file))?;
        for info in certificates(&pem, &file.display().to_string())? {
            all.push((file, info));
        }
    }
    match context.output {
        Output::Text => all.iter().for_each(|(file, info)| show_text(&file.display().to_string(), info)),
        Output::Json => {
            let list: Vec<_> = all
                .iter()
                .map(|(file, info)| {
                    json!({
                        "file": file,
                        "subject": info.subject,
                        "issuer": info.issuer,
                        "serial": info.serial,
                        "fingerprint": info.fingerprint,
                        "not_before": local_time(millis(info.not_before)),
                        "not_after": local_time(millis(info.not_after)),
                        "expired": info.not_after < SystemTime::now(),
                        "authority": info.is_authority,
                        "uris": info.uris,
                        "dns_names": info.dns_names,
                        "ip_addresses": info.ip_addresses,
                    })
                })
                .collect();
            output::json(&json!({ "certificates": list }));
        }
    }
    Ok(Exit::Ok)
}

fn revoke(context: &Context, args: &RevokeArgs) -> Result<Exit, Failure> {
    let folder = Folder::new(&args.dir);
    let revoked = folder.revoke(&args.files, args.days)?;
    let file = folder.revocation_file();
    match context.output {
        Output::Text => {
            output::line(format_args!("wrote {}: {}", file.display(), counted(revoked, "certificate")));
        }
        Output::Json => output::json(&json!({ "list": file, "revoked": revoked })),
    }
    Ok(Exit::Ok)
}

fn show_text(file: &str, info: &CertificateInfo) {
    let state = match info.not_after.duration_since(SystemTime::now()) {
        Ok(left) => format!("{} days left", left.as_secs() / 86_400),
        Err(_) => "EXPIRED".to_owned(),
    };
    output::line(format_args!("{file}"));
    output::line(format_args!("  subject      {}", info.subject));
    output::line(format_args!("  issuer       {}", info.issuer));
    output::line(format_args!("  serial       {}", info.serial));
    output::line(format_args!("  fingerprint  {}", info.fingerprint));
    output::line(format_args!("  valid from   {}", local_time(millis(info.not_before))));
    output::line(format_args!("  valid until  {}  ({state})", local_time(millis(info.not_after))));
    if info.is_authority {
        output::line("  an authority");
    }
    for uri in &info.uris {
        output::line(format_args!("  identity     {uri}"));
    }
    let names: Vec<String> =
        info.dns_names.iter().cloned().chain(info.ip_addresses.iter().map(ToString::to_string)).collect();
    if !names.is_empty() {
        output::line(format_args!("  server       {}", names.join(", ")));
    }
    if info.uris.is_empty() && names.is_empty() && !info.is_authority {
        output::line("  no identity: the hub refuses it (CERTIFICATE_WITHOUT_IDENTITY)");
    }
}

fn overwrite(force: bool) -> Overwrite {
    if force { Overwrite::Allowed } else { Overwrite::Never }
}

fn millis(moment: SystemTime) -> i64 {
    match moment.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}
