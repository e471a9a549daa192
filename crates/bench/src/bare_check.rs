//! What checking a record costs when nothing else is done: one thread, no network, no log.

use std::{collections::BTreeMap, hint::black_box, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use ldop_contract::control::v1::{ApplyChangeSetRequest, Change, change::Resource};
use ldop_control::{Control, Options, Rules};
use ldop_log::{MessageLog, embedded};
use ldop_sample_data::Dataset;
use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::ExchangeId;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    clock,
    corpus::{Corpus, Record},
    world::change_sets,
};

/// Records that are taken through one stage before the next stage has them: they stay in the processor's cache.
const BLOCK: usize = 64;

/// A dataset's schema, in the hub's form and in that of the `jsonschema` crate.
struct Schemas {
    ours: CompiledSchema,
    theirs: jsonschema::Validator,
}

/// Checks records by the hub's code and by libraries alone.
pub struct Checker {
    schemas: Vec<Schemas>,
    parser: Parser,
    outcome: Outcome,
}

/// Processor time by stage, for a number of records.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// The hub's strict, borrowed parse.
    pub parse: Duration,
    /// The hub's check of a parsed record: schema and dictionary.
    pub check: Duration,
    /// `serde_json` to its `Value`.
    pub value: Duration,
    /// `jsonschema` on parsed `Value`s, formats included, no dictionary.
    pub jsonschema: Duration,
    /// SHA-256 of the payload.
    pub sha256: Duration,
}

impl Checker {
    /// Compiles the sample schemas as the hub does, in a control log of its own below `dir`.
    ///
    /// # Errors
    ///
    /// The definitions are refused.
    pub async fn make(dir: &Path, definitions: &[Change]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(dir)?;
        let config = embedded::Config::new(folder.path().join("log"));
        let log: Arc<dyn MessageLog> =
            tokio::task::spawn_blocking(move || embedded::EmbeddedLog::open(config)).await??;
        let deadline = Duration::from_secs(10);
        let options = Options {
            dir: folder.path().to_owned(),
            node_id: [1; 16],
            deadline,
            agreements: Rules::without_approvals(),
        };
        let control = Control::open(Arc::clone(&log), options).await?;
        control.take_epoch([7; 32]).await?;
        for changes in change_sets(definitions.to_vec()) {
            let change_id = ExchangeId::new().as_bytes().to_vec();
            let request = ApplyChangeSetRequest { change_id, changes, ..Default::default() };
            control.apply("operator so-khcn/bench", request).await.map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        }
        let texts: BTreeMap<_, _> = definitions
            .iter()
            .filter_map(|change| match &change.resource {
                Some(Resource::Schema(schema)) => Some((schema.name.as_str(), schema.text.as_str())),
                _ => None,
            })
            .collect();
        let state = control.state();
        let schema = |dataset: Dataset| {
            let text = texts.get(dataset.schema()).context("a sample schema")?;
            let ours =
                CompiledSchema::compile(text, &state.dictionary).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
            let options = jsonschema::options().should_validate_formats(true);
            let options = options.with_pattern_options(jsonschema::PatternOptions::regex());
            let theirs = options.build(&serde_json::from_str(text)?).map_err(|error| anyhow::anyhow!("{error}"))?;
            anyhow::Ok(Schemas { ours, theirs })
        };
        let schemas = Dataset::ALL.into_iter().map(schema).collect::<anyhow::Result<_>>()?;
        log.close(deadline).await?;
        Ok(Self { schemas, parser: Parser::default(), outcome: Outcome::default() })
    }

    /// Takes all records through every stage, block by block.
    ///
    /// # Errors
    ///
    /// A record does not pass.
    pub fn measure(&mut self, corpus: &Corpus) -> anyhow::Result<Times> {
        let mut times = Times::default();
        for (flow, schemas) in corpus.flows.iter().zip(&self.schemas) {
            for block in flow.records.chunks(BLOCK) {
                let (parser, outcome) = (&mut self.parser, &mut self.outcome);
                let mut passed = 0;
                // Brings the records into the cache, alike for all that follows.
                black_box(block.iter().filter(|record| parser.parse(&record.payload).is_ok()).count());
                timed(&mut times.parse, || {
                    passed +=
                        block.iter().filter(|r| parser.parse(&r.payload).is_ok_and(|d| d.value_count() > 0)).count();
                });
                let mut both = Duration::ZERO;
                timed(&mut both, || {
                    let accepted = |record: &&Record| {
                        let on = record.event_time.date_in_vietnam();
                        parser.parse(&record.payload).is_ok_and(|d| schemas.ours.check(&d, on, outcome))
                    };
                    passed += block.iter().filter(accepted).count();
                });
                times.check += both;
                let mut trees: Vec<Value> = Vec::with_capacity(block.len());
                timed(&mut times.value, || {
                    trees.extend(block.iter().filter_map(|record| serde_json::from_slice(&record.payload).ok()));
                });
                timed(&mut times.jsonschema, || {
                    passed += trees.iter().filter(|tree| schemas.theirs.is_valid(tree)).count();
                });
                timed(&mut times.sha256, || {
                    for record in block {
                        black_box(Sha256::digest(&record.payload));
                    }
                });
                anyhow::ensure!(passed == 3 * block.len(), "a right record did not pass");
            }
        }
        // A parsed record borrows its parser, so the check is measured with a second parse, which is taken off again.
        times.check = times.check.saturating_sub(times.parse);
        Ok(times)
    }
}

/// Adds the thread's processor time in `work`.
fn timed(sum: &mut Duration, work: impl FnOnce()) {
    let before = clock::thread();
    work();
    *sum += clock::thread().saturating_sub(before);
}
