//! The sample definitions, applied to a control log in a temporary folder: real schemas and a real state to test against.

use std::{path::Path, sync::Arc, sync::OnceLock, time::Duration};

use ldop_contract::control::v1::{ApplyChangeSetRequest, Change};
use ldop_control::{Control, ControlState, Options, Rules};
use ldop_definitions::References;
use ldop_log::{MessageLog, embedded};
use ldop_schema_registry::CompiledSchema;
use ldop_types::{Stage, SubjectName};

/// The world; made once for each process.
pub struct World {
    /// For what is async.
    pub runtime: tokio::runtime::Runtime,
    /// The control log.
    pub control: Arc<Control>,
    /// State after the sample definitions.
    pub state: Arc<ControlState>,
    /// Every sample schema, compiled.
    pub schemas: Vec<(SubjectName, Arc<CompiledSchema>)>,
    /// The sample definitions as a change set.
    pub changes: Vec<Change>,
    _folder: tempfile::TempDir,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("schemas", &self.schemas.len()).finish_non_exhaustive()
    }
}

/// The folder `schemas/` of the repository.
#[must_use]
pub fn schemas_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas"))
}

/// The world.
///
/// # Panics
///
/// The sample definitions are not right, or the temporary folder cannot be used.
#[must_use]
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(make)
}

fn make() -> World {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime starts");
    let loaded = ldop_definitions::load(&[schemas_folder().to_owned()], References::Within);
    let changes: Vec<Change> =
        loaded.expect("sample definitions are right").changes.into_iter().map(|(_, change)| change).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = embedded::Config::new(folder.path().join("log"));
    let log: Arc<dyn MessageLog> = embedded::EmbeddedLog::open(config).expect("a log opens");
    let options = Options {
        dir: folder.path().to_owned(),
        node_id: [1; 16],
        deadline: Duration::from_secs(60),
        agreements: Rules::without_approvals(),
    };
    let request = ApplyChangeSetRequest { change_id: vec![1; 16], changes: changes.clone(), ..Default::default() };
    let control = runtime.block_on(async {
        let control = Control::open(log, options).await.expect("a control log opens");
        control.apply("operator so-khcn/fuzz", request).await.expect("sample definitions are taken");
        control
    });
    let state = control.state();
    let schemas = state
        .registry
        .subjects()
        .filter_map(|(name, _)| Some((name.clone(), state.schema(name.as_str(), Stage::Live)?)))
        .map(|(name, schema)| (name, schema.get().expect("a registered schema compiles")))
        .collect();
    World { runtime, control, state, schemas, changes, _folder: folder }
}
