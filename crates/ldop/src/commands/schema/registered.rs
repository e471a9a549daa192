//! `ldop schema show`, `list`, `versions`, `approve`, `deprecate`, `retire`, `delete`

use ldop_contract::{
    control::v1::{ApplyChangeSetRequest, Change, change::Resource},
    registry::v1::{Schema, SchemaAction, SchemaTransition, VersionState},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::words::plain;
use crate::{
    connect::{Context, HubArgs},
    failure::{Exit, Failure, counted},
    output::{self, Output, hex, local_time},
};

const SHOW: &str = "\
Examples:
  ldop schema show commune                      the text of the latest version, as it was registered
  ldop schema show commune --version 2
  ldop schema show commune --output json        with id, state, author, references and metadata
  ldop schema show commune > commune.schema.json";

const LIST: &str = "\
Examples:
  ldop schema list
  ldop schema list --output json

The latest version of each schema, by name.";

const VERSIONS: &str = "\
Examples:
  ldop schema versions commune
  ldop schema versions commune --deleted";

const MOVE: &str = "\
Examples:
  ldop schema approve commune 3                 a draft becomes fit for live records; not by its own author
  ldop schema deprecate commune 2               still checks records; a newer one should be used
  ldop schema retire commune 1                  checks nothing any more; read back by id and version
  ldop schema delete commune 1                  softly; once more with --permanently takes it away for good

Needs the certificate of an operator. Ids and version numbers are never given again.";

/// Which version to show.
#[derive(Debug, clap::Args)]
#[command(after_help = SHOW, disable_version_flag = true)]
pub struct ShowArgs {
    /// Name of the schema.
    #[arg(value_name = "NAME")]
    name: String,
    /// Version [default: the latest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    version: Option<u32>,
    #[command(flatten)]
    hub: HubArgs,
}

/// What to list.
#[derive(Debug, clap::Args)]
#[command(after_help = LIST)]
pub struct ListArgs {
    #[command(flatten)]
    hub: HubArgs,
}

/// Whose versions to list.
#[derive(Debug, clap::Args)]
#[command(after_help = VERSIONS)]
pub struct VersionsArgs {
    /// Name of the schema.
    #[arg(value_name = "NAME")]
    name: String,
    /// Softly deleted ones too.
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    hub: HubArgs,
}

/// Which version to move.
#[derive(Debug, clap::Args)]
#[command(after_help = MOVE)]
pub struct MoveArgs {
    /// Name of the schema.
    #[arg(value_name = "NAME")]
    name: String,
    /// Version.
    #[arg(value_name = "VERSION", value_parser = clap::value_parser!(u32).range(1..))]
    number: u32,
    #[command(flatten)]
    hub: HubArgs,
}

/// Which version to delete.
#[derive(Debug, clap::Args)]
#[command(after_help = MOVE)]
pub struct DeleteArgs {
    /// Takes a softly deleted version away for good.
    #[arg(long)]
    permanently: bool,
    #[command(flatten)]
    moved: MoveArgs,
}

impl DeleteArgs {
    /// What is asked for.
    pub fn action(&self) -> SchemaAction {
        if self.permanently { SchemaAction::DeletePermanently } else { SchemaAction::Delete }
    }

    /// Of which version.
    pub fn into_moved(self) -> MoveArgs {
        self.moved
    }
}

/// Shows a version.
pub async fn show(context: &Context, args: ShowArgs) -> Result<Exit, Failure> {
    let schema = args.hub.connect(context).await?.get_schema(&args.name, args.version.unwrap_or(0)).await?;
    match context.output {
        Output::Text => {
            let (id, state, author) = (schema.id, state(&schema), &schema.author);
            eprintln!("{} version {}, id {id}, {state}, by {author}", schema.name, schema.version);
            output::line(schema.text.trim_end());
        }
        Output::Json => {
            let mut value = to_json(&schema);
            value["text"] = json!(schema.text);
            value["references"] = schema
                .references
                .iter()
                .map(|r| json!({ "name": r.name, "subject": r.subject, "version": r.version }))
                .collect();
            let metadata = schema.metadata.unwrap_or_default();
            value["metadata"] = json!({
                "properties": metadata.properties.iter().map(|p| (p.key.clone(), json!(p.value)))
                    .collect::<serde_json::Map<_, _>>(),
                "tags": metadata.tags.iter().map(|t| (t.path.clone(), json!(t.tags)))
                    .collect::<serde_json::Map<_, _>>(),
                "sensitive": metadata.sensitive,
            });
            output::json(&value);
        }
    }
    Ok(Exit::Ok)
}

/// Lists schemas.
pub async fn list(context: &Context, args: ListArgs) -> Result<Exit, Failure> {
    tell(context.output, &args.hub.connect(context).await?.list_schemas().await?, "schema");
    Ok(Exit::Ok)
}

/// Lists versions.
pub async fn versions(context: &Context, args: VersionsArgs) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    tell(context.output, &client.list_schema_versions(&args.name, args.deleted).await?, "version");
    Ok(Exit::Ok)
}

/// Moves a version. As a change set of one step: sent again after a lost answer, it has one effect.
pub async fn step(context: &Context, args: MoveArgs, action: SchemaAction) -> Result<Exit, Failure> {
    let client = args.hub.connect(context).await?;
    let transition = SchemaTransition { subject: args.name.clone(), version: args.number, action: action.into() };
    let request = ApplyChangeSetRequest {
        change_id: Uuid::now_v7().as_bytes().to_vec(),
        changes: vec![Change { resource: Some(Resource::SchemaTransition(transition)) }],
        ..ApplyChangeSetRequest::default()
    };
    client.apply_change_set(&request).await?;
    let versions = client.list_schema_versions(&args.name, true).await.unwrap_or_default();
    let stands = versions.iter().find(|schema| schema.version == args.number);
    match context.output {
        Output::Text => {
            let now = stands.map_or_else(|| "gone for good".to_owned(), state);
            output::line(format_args!("{} version {}: {now}", args.name, args.number));
        }
        Output::Json => output::json(&json!({
            "name": args.name,
            "version": args.number,
            "state": stands.map(|schema| plain(schema.state().as_str_name(), STATE)),
            "deleted": stands.map(|schema| schema.deleted),
        })),
    }
    Ok(Exit::Ok)
}

const STATE: &str = "VERSION_STATE_";

fn state(schema: &Schema) -> String {
    let word = match schema.state() {
        VersionState::Unspecified => "APPROVED",
        state => plain(state.as_str_name(), STATE),
    };
    if schema.deleted { format!("{word}, deleted") } else { word.to_owned() }
}

fn tell(output: Output, schemas: &[Schema], noun: &str) {
    match output {
        Output::Text => {
            let mut table = output::table(&["name", "version", "id", "state", "author", "registered", "decided by"]);
            for schema in schemas {
                table.add_row([
                    schema.name.clone(),
                    schema.version.to_string(),
                    schema.id.to_string(),
                    state(schema),
                    schema.author.clone(),
                    local_time(schema.registered_time_ms),
                    schema.decided_by.clone(),
                ]);
            }
            if !schemas.is_empty() {
                output::line(table);
            }
            output::line(counted(schemas.len(), noun));
        }
        Output::Json => output::json(&json!({ "schemas": schemas.iter().map(to_json).collect::<Vec<_>>() })),
    }
}

/// A version as programs read it, without its text.
fn to_json(schema: &Schema) -> Value {
    json!({
        "name": schema.name,
        "version": schema.version,
        "id": schema.id,
        "guid": schema.guid,
        "content_hash": hex(&schema.content_hash),
        "state": plain(schema.state().as_str_name(), STATE),
        "deleted": schema.deleted,
        "author": schema.author,
        "registered": local_time(schema.registered_time_ms),
        "decided_by": if schema.decided_by.is_empty() { None } else { Some(&schema.decided_by) },
        "decided": if schema.decided_time_ms == 0 { None } else { Some(local_time(schema.decided_time_ms)) },
    })
}
