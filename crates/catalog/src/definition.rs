//! Catalogue resources. Each is made from its definition, reporting all bad fields at once.

use std::time::Duration;

use ldop_types::{AgencyId, AgreementId, DatasetName, IdError, Mask, SchemaName, Stage, SystemId, TimestampMs};

use crate::quotas::{Quotas, QuotasDefinition};

/// Most partitions a topic may have.
pub const MAX_PARTITIONS: u32 = 64;
/// Most key fields a dataset may have.
pub const MAX_KEY_FIELDS: usize = 8;
/// Most secondary keys of a current copy: each one costs an insert for each record.
pub const MAX_SECONDARY_KEYS: usize = 8;
/// Most fields of a secondary key.
pub const MAX_SECONDARY_KEY_FIELDS: usize = 4;
/// Most certificates a system's definition revokes.
pub const MAX_REVOKED: usize = 100;
/// Longest text field, in bytes.
pub const MAX_TEXT: usize = 2_000;
/// Longest condition on rows, in bytes.
pub const MAX_CONDITION: usize = 1_000;
/// Most legal bases of an agreement.
pub const MAX_LEGAL_BASES: usize = 20;
/// Longest code of a purpose or a legal basis, in characters.
pub const MAX_SHARING_CODE: usize = 64;

/// A bad field of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    /// Field, as the definition calls it.
    pub field: String,
    /// What is expected there.
    pub expected: String,
}

impl DefinitionError {
    /// Puts the two together.
    pub fn new(field: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { field: field.into(), expected: expected.into() }
    }
}

impl std::fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}", self.field, self.expected)
    }
}

/// Collects errors while the good fields are taken.
#[derive(Default)]
struct Errors(Vec<DefinitionError>);

impl Errors {
    fn id<T>(&mut self, field: &str, parsed: Result<T, IdError>) -> Option<T> {
        parsed.map_err(|e| self.0.push(DefinitionError::new(field, e.expected))).ok()
    }

    fn text(&mut self, field: &str, text: &str, required: bool) {
        if (required && text.trim().is_empty()) || text.len() > MAX_TEXT {
            let least = usize::from(required);
            self.0.push(DefinitionError::new(field, format!("{least}-{MAX_TEXT} bytes of text")));
        }
    }

    fn check(&mut self, fits: bool, field: &str, expected: &str) {
        if !fits {
            self.0.push(DefinitionError::new(field, expected));
        }
    }

    fn fields(&mut self, field: &str, names: &[String], most: usize) {
        let mut seen = std::collections::BTreeSet::new();
        let distinct = names.iter().all(|name| !name.is_empty() && name.len() <= 200 && seen.insert(name));
        self.check(
            !names.is_empty() && names.len() <= most && distinct,
            field,
            &format!("1-{most} distinct top-level field names"),
        );
    }

    /// Masks, each on a granted field that has no other.
    fn masks(&mut self, definition: &AgreementDefinition) -> Vec<(String, Mask)> {
        let mut masks: Vec<(String, Mask)> = Vec::new();
        for (at, given) in definition.masks.iter().enumerate() {
            let is_granted = definition.granted_fields.contains(&given.field);
            let has_another = definition.masks[..at].iter().any(|before| before.field == given.field);
            self.check(is_granted && !has_another, &format!("masks[{at}].field"), "a granted field, once");
            match Mask::parse(&given.kind, given.shown_first, given.shown_last) {
                Some(mask) => masks.push((given.field.clone(), mask)),
                None => {
                    let (words, most) = (Mask::WORDS.join(", "), Mask::MOST_SHOWN);
                    let expected = format!("one of {words}; only the first shows characters, 0-{most} on each side");
                    self.check(false, &format!("masks[{at}].kind"), &expected);
                }
            }
        }
        masks
    }

    /// Codes that could be of a list; whether the list has them is asked where the list is known.
    fn sharing_codes(&mut self, definition: &AgreementDefinition) {
        let is_code = |text: &str| {
            (1..=MAX_SHARING_CODE).contains(&text.chars().count())
                && !text.chars().any(|c| c.is_whitespace() || c.is_control())
        };
        let expected = format!("a code of 1-{MAX_SHARING_CODE} characters without blanks");
        self.check(definition.purpose.is_empty() || is_code(&definition.purpose), "purpose", &expected);
        let given = &definition.legal_bases;
        self.check(given.len() <= MAX_LEGAL_BASES, "legal_bases", &format!("at most {MAX_LEGAL_BASES} codes"));
        for (at, code) in given.iter().enumerate().take(MAX_LEGAL_BASES) {
            let fits = is_code(code) && !given[..at].contains(code);
            self.check(fits, &format!("legal_bases[{at}]"), &format!("{expected}, each once"));
        }
    }

    fn modes(&mut self, words: &[String]) -> Vec<Mode> {
        if words.is_empty() {
            return vec![Mode::Subscribe];
        }
        let mut modes: Vec<Mode> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            match Mode::parse(word).filter(|mode| !modes.contains(mode)) {
                Some(mode) => modes.push(mode),
                None => {
                    self.check(false, &format!("modes[{at}]"), &format!("of {}, each once", Mode::WORDS.join(", ")))
                }
            }
        }
        modes
    }
}

/// An agency as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agency {
    /// Its id.
    pub id: AgencyId,
    /// What was registered.
    pub definition: AgencyDefinition,
}

/// An agency as defined; field names as in `ldop.catalog.v1.Agency`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct AgencyDefinition {
    pub id: String,
    pub name_vi: String,
    pub name_en: String,
    pub agency_code: String,
}

impl Agency {
    /// Checks the definition.
    ///
    /// # Errors
    ///
    /// Every bad field.
    pub fn new(definition: AgencyDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let id = errors.id("id", AgencyId::parse(&definition.id));
        errors.text("name_vi", &definition.name_vi, true);
        errors.text("name_en", &definition.name_en, false);
        let code = &definition.agency_code;
        // QĐ 20/2020/QĐ-TTg Đ4-6: at most 35 characters of 0-9, A-Z and dots. The old QCVN 102 form fits as well.
        errors.check(
            code.len() <= 35 && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b == b'.'),
            "agency_code",
            "at most 35 of 0-9, A-Z and '.' (QĐ 20/2020/QĐ-TTg)",
        );
        match id {
            Some(id) if errors.0.is_empty() => Ok(Self { id, definition }),
            _ => Err(errors.0),
        }
    }
}

/// A department system as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    /// Its id.
    pub id: SystemId,
    /// SHA-256 of certificates that are no good any more.
    pub revoked_certificates: Vec<[u8; 32]>,
    /// What was registered.
    pub definition: SystemDefinition,
}

/// A system as defined; field names as in `ldop.catalog.v1.System`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct SystemDefinition {
    pub id: String,
    pub name_vi: String,
    pub name_en: String,
    pub suspended: bool,
    /// In lower-case hex.
    pub revoked_certificates: Vec<String>,
}

impl System {
    /// Checks the definition.
    ///
    /// # Errors
    ///
    /// Every bad field.
    pub fn new(definition: SystemDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let id = errors.id("id", SystemId::parse(&definition.id));
        errors.text("name_vi", &definition.name_vi, true);
        errors.text("name_en", &definition.name_en, false);
        let given = &definition.revoked_certificates;
        let expected = format!("at most {MAX_REVOKED} certificates");
        errors.check(given.len() <= MAX_REVOKED, "revoked_certificates", &expected);
        let mut revoked_certificates = Vec::with_capacity(given.len());
        for (at, text) in given.iter().enumerate() {
            match fingerprint(text).filter(|fingerprint| !revoked_certificates.contains(fingerprint)) {
                Some(fingerprint) => revoked_certificates.push(fingerprint),
                None => {
                    let expected = "SHA-256 of a certificate, 64 lower-case hex digits, each once";
                    errors.check(false, &format!("revoked_certificates[{at}]"), expected);
                }
            }
        }
        match id {
            Some(id) if errors.0.is_empty() => Ok(Self { id, revoked_certificates, definition }),
            _ => Err(errors.0),
        }
    }
}

fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut fingerprint = [0; 32];
    let pairs = text.as_bytes().chunks_exact(2);
    if text.len() != 2 * fingerprint.len() {
        return None;
    }
    for (byte, pair) in fingerprint.iter_mut().zip(pairs) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(fingerprint)
}

/// How the values of records stand on a dataset's topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum WireFormat {
    /// The JSON text as published.
    #[default]
    Json,
    /// The same behind a frame that names the schema by its registry id, as serializers of Confluent's clients write it.
    Confluent,
}

impl WireFormat {
    /// The words of definitions.
    pub const WORDS: &'static [&'static str] = &["json", "confluent"];

    /// Reads the word; none is [`Json`](Self::Json).
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "" | "json" => Some(Self::Json),
            "confluent" => Some(Self::Confluent),
            _ => None,
        }
    }
}

/// What the current copy of a dataset is to hold; field names as in `ldop.catalog.v1.CurrentCopy`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CurrentCopyDefinition {
    /// Top-level fields of each secondary key, in order.
    pub secondary_keys: Vec<Vec<String>>,
    /// How far back it may stand and still answer; 0: however far.
    pub max_age_seconds: u32,
    /// Whether every version of a record is kept, to tell values as of a time.
    pub history: bool,
}

/// Who answers look-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LookUpSource {
    /// A provider that is connected.
    Provider,
    /// The hub's current copy.
    CurrentCopy,
}

impl LookUpSource {
    /// The words of definitions.
    pub const WORDS: &'static [&'static str] = &["provider", "current_copy"];

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "provider" => Some(Self::Provider),
            "current_copy" => Some(Self::CurrentCopy),
            _ => None,
        }
    }
}

impl CurrentCopyDefinition {
    fn check(&self, retention_seconds: u64, errors: &mut Errors) {
        let expected = "0, so that the current copy can always be made anew from the log";
        errors.check(retention_seconds == 0, "retention_seconds", expected);
        let expected = format!("at most {MAX_SECONDARY_KEYS} secondary keys");
        errors.check(self.secondary_keys.len() <= MAX_SECONDARY_KEYS, "current_copy.secondary_keys", &expected);
        for (at, fields) in self.secondary_keys.iter().enumerate() {
            errors.fields(&Self::place(at), fields, MAX_SECONDARY_KEY_FIELDS);
            let expected = "fields that are not those of another secondary key";
            errors.check(!self.secondary_keys[..at].contains(fields), &Self::place(at), expected);
        }
    }

    /// What errors call the fields of a secondary key.
    #[must_use]
    pub fn place(at: usize) -> String {
        format!("current_copy.secondary_keys[{at}].fields")
    }
}

/// A dataset as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    /// Its name.
    pub name: DatasetName,
    /// Agency that owns it.
    pub owning_agency: AgencyId,
    /// Schema its records are checked against.
    pub schema: SchemaName,
    /// Who may provide, by stage.
    pub providers: Vec<(SystemId, Stage)>,
    /// How long records are kept; `None` means for ever.
    pub retention: Option<Duration>,
    /// How the values of its records stand on its topics.
    pub wire_format: WireFormat,
    /// Who answers look-ups, in the order they are tried.
    pub look_up_sources: Vec<LookUpSource>,
    /// What was registered.
    pub definition: DatasetDefinition,
}

/// A dataset as defined; field names as in `ldop.catalog.v1.Dataset`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct DatasetDefinition {
    pub id: String,
    pub name_vi: String,
    pub name_en: String,
    pub owning_agency: String,
    pub schema: String,
    pub key_fields: Vec<String>,
    /// System id and stage; `None` when the definition names no stage.
    pub providers: Vec<(String, Option<Stage>)>,
    pub partitions: u32,
    pub retention_seconds: u64,
    /// One of [`WireFormat::WORDS`]; empty: the first.
    pub wire_format: String,
    /// Whether the hub keeps a current copy, and what it is to hold.
    pub current_copy: Option<CurrentCopyDefinition>,
    /// Of [`LookUpSource::WORDS`], in the order they are tried; empty: all there are.
    pub look_up_sources: Vec<String>,
    /// Whether record keys stand on the log as keyed hashes. Decided when the dataset is registered for the first time.
    pub hashed_keys: bool,
}

impl Dataset {
    /// Checks the definition.
    ///
    /// # Errors
    ///
    /// Every bad field.
    pub fn new(definition: DatasetDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let name = errors.id("id", DatasetName::parse(&definition.id));
        let owning_agency = errors.id("owning_agency", AgencyId::parse(&definition.owning_agency));
        let schema = errors.id("schema", SchemaName::parse(&definition.schema));
        errors.text("name_vi", &definition.name_vi, true);
        errors.text("name_en", &definition.name_en, false);
        errors.fields("key_fields", &definition.key_fields, MAX_KEY_FIELDS);
        errors.check((1..=MAX_PARTITIONS).contains(&definition.partitions), "partitions", "1-64");
        let mut providers = Vec::new();
        for (at, (system, stage)) in definition.providers.iter().enumerate() {
            let system = errors.id(&format!("providers[{at}].system"), SystemId::parse(system));
            errors.check(stage.is_some(), &format!("providers[{at}].stage"), "testing or live");
            if let (Some(system), Some(stage)) = (system, stage) {
                providers.push((system, *stage));
            }
        }
        let wire_format = WireFormat::parse(&definition.wire_format);
        errors.check(wire_format.is_some(), "wire_format", "json or confluent");
        if let Some(copy) = &definition.current_copy {
            copy.check(definition.retention_seconds, &mut errors);
        }
        let mut look_up_sources: Vec<LookUpSource> = Vec::new();
        for (at, word) in definition.look_up_sources.iter().enumerate() {
            let source = LookUpSource::parse(word).filter(|source| !look_up_sources.contains(source));
            let fits = |source: &LookUpSource| *source == LookUpSource::Provider || definition.current_copy.is_some();
            match source.filter(fits) {
                Some(source) => look_up_sources.push(source),
                None => {
                    let expected = "provider, or current_copy where the dataset asks for one, each once";
                    errors.check(false, &format!("look_up_sources[{at}]"), expected);
                }
            }
        }
        if definition.look_up_sources.is_empty() {
            look_up_sources = vec![LookUpSource::Provider, LookUpSource::CurrentCopy];
        }
        let retention = (definition.retention_seconds > 0).then(|| Duration::from_secs(definition.retention_seconds));
        match (name, owning_agency, schema, wire_format) {
            (Some(name), Some(owning_agency), Some(schema), Some(wire_format)) if errors.0.is_empty() => {
                Ok(Self { name, owning_agency, schema, providers, retention, wire_format, look_up_sources, definition })
            }
            _ => Err(errors.0),
        }
    }

    /// Whether the system may provide records in the stage.
    #[must_use]
    pub fn provides(&self, system: &SystemId, stage: Stage) -> bool {
        self.providers.iter().any(|(s, g)| s == system && *g == stage)
    }
}

/// A sharing agreement as registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Its id.
    pub id: AgreementId,
    /// Agency that provides.
    pub provider: AgencyId,
    /// System that consumes.
    pub consumer: SystemId,
    /// Dataset it is about.
    pub dataset: DatasetName,
    /// Stage it is about.
    pub stage: Stage,
    /// How granted fields are shown that are not shown whole.
    pub masks: Vec<(String, Mask)>,
    /// The ways out it grants, each once.
    pub modes: Vec<Mode>,
    /// What it grants at most.
    pub quotas: Quotas,
    /// What was registered.
    pub definition: AgreementDefinition,
}

/// A way records leave the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// The records as they come.
    Subscribe,
    /// One record by its key.
    LookUp,
    /// What has changed since a position or a time.
    Changes,
    /// The whole dataset at a position.
    Export,
    /// By a connector, to another system.
    Delivery,
}

impl Mode {
    /// All modes.
    pub const ALL: [Self; 5] = [Self::Subscribe, Self::LookUp, Self::Changes, Self::Export, Self::Delivery];
    /// The words of definitions.
    pub const WORDS: &'static [&'static str] = &["subscribe", "look_up", "changes", "export", "delivery"];

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// The word of definitions.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::WORDS[self as usize]
    }
}

/// A mask as defined; field names as in `ldop.catalog.v1.FieldMask`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct MaskDefinition {
    pub field: String,
    /// One of [`Mask::WORDS`].
    pub kind: String,
    pub shown_first: u32,
    pub shown_last: u32,
}

/// An agreement as defined; field names as in `ldop.catalog.v1.Agreement`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "described in proto/ldop/catalog/v1")]
pub struct AgreementDefinition {
    pub id: String,
    pub provider: String,
    pub consumer: String,
    pub dataset: String,
    pub stage: Option<Stage>,
    pub purpose_vi: String,
    pub purpose_en: String,
    pub legal_basis: String,
    pub granted_fields: Vec<String>,
    pub valid_from: Option<TimestampMs>,
    pub valid_until: Option<TimestampMs>,
    pub ended: bool,
    pub masks: Vec<MaskDefinition>,
    /// In CEL; empty: none.
    pub row_condition: String,
    /// Of [`Mode::WORDS`]; empty: the first alone.
    pub modes: Vec<String>,
    pub officer_required: bool,
    pub case_number_required: bool,
    /// None: nothing is limited.
    pub quotas: Option<QuotasDefinition>,
    /// A code of the list `sharing-purposes`; empty: none.
    pub purpose: String,
    /// Codes of the list `legal-bases`.
    pub legal_bases: Vec<String>,
}

/// Whether an agreement grants anything at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It does, until then.
    Valid {
        /// First moment it does not any more; `None` when open-ended.
        until: Option<TimestampMs>,
    },
    /// Not yet.
    NotYet,
    /// Not any more.
    Ended,
}

impl Agreement {
    /// Checks the definition.
    ///
    /// # Errors
    ///
    /// Every bad field.
    pub fn new(definition: AgreementDefinition) -> Result<Self, Vec<DefinitionError>> {
        let mut errors = Errors::default();
        let id = errors.id("id", AgreementId::parse(&definition.id));
        let provider = errors.id("provider", AgencyId::parse(&definition.provider));
        let consumer = errors.id("consumer", SystemId::parse(&definition.consumer));
        let dataset = errors.id("dataset", DatasetName::parse(&definition.dataset));
        errors.check(definition.stage.is_some(), "stage", "testing or live");
        errors.text("purpose_vi", &definition.purpose_vi, true);
        errors.text("purpose_en", &definition.purpose_en, false);
        errors.text("legal_basis", &definition.legal_basis, false);
        errors.fields("granted_fields", &definition.granted_fields, 500);
        if let (Some(from), Some(until)) = (definition.valid_from, definition.valid_until) {
            errors.check(from < until, "valid_until", "a time after valid_from");
        }
        let masks = errors.masks(&definition);
        let modes = errors.modes(&definition.modes);
        let condition = &definition.row_condition;
        let fits = condition.len() <= MAX_CONDITION && (condition.is_empty() || !condition.trim().is_empty());
        errors.check(fits, "row_condition", &format!("a condition in CEL of at most {MAX_CONDITION} bytes"));
        let quotas = definition.quotas.as_ref().map_or_else(|| Ok(Quotas::default()), Quotas::new);
        let quotas = quotas.unwrap_or_else(|bad| {
            errors.0.extend(bad);
            Quotas::default()
        });
        errors.sharing_codes(&definition);
        match (id, provider, consumer, dataset, definition.stage) {
            (Some(id), Some(provider), Some(consumer), Some(dataset), Some(stage)) if errors.0.is_empty() => {
                Ok(Self { id, provider, consumer, dataset, stage, masks, modes, quotas, definition })
            }
            _ => Err(errors.0),
        }
    }

    /// Whether it grants a way out.
    #[must_use]
    pub fn grants(&self, mode: Mode) -> bool {
        self.modes.contains(&mode)
    }

    /// Whether it grants anything at `now`.
    #[must_use]
    pub fn validity(&self, now: TimestampMs) -> Validity {
        let definition = &self.definition;
        if definition.ended || definition.valid_until.is_some_and(|until| until <= now) {
            Validity::Ended
        } else if definition.valid_from.is_some_and(|from| now < from) {
            Validity::NotYet
        } else {
            Validity::Valid { until: definition.valid_until }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreement() -> AgreementDefinition {
        AgreementDefinition {
            id: "births-to-insurance".into(),
            provider: "so-tu-phap".into(),
            consumer: "bhxh-tinh/tiep-nhan".into(),
            dataset: "civil-status".into(),
            stage: Some(Stage::Live),
            purpose_vi: "Cấp thẻ bảo hiểm y tế cho trẻ em".into(),
            granted_fields: vec!["full_name".into()],
            ..Default::default()
        }
    }

    #[test]
    fn revoked_certificates_are_fingerprints_each_once() {
        let good = format!("{}{}", "0af9".repeat(15), "ffff");
        let system = |revoked: &[&str]| {
            let revoked_certificates = revoked.iter().map(|text| (*text).to_owned()).collect();
            let (id, name_vi) = ("so-y-te/his".into(), "HIS".into());
            System::new(SystemDefinition { id, name_vi, revoked_certificates, ..SystemDefinition::default() })
        };
        let parsed = system(&[&good]).expect("good").revoked_certificates;
        assert_eq!((parsed.len(), &parsed[0][..4], parsed[0][31]), (1, &[0x0a, 0xf9, 0x0a, 0xf9][..], 0xff));
        let bad = [&good[..], &good[..], &good[1..], &good.to_uppercase(), "", &"0g".repeat(32)];
        let fields: Vec<_> = system(&bad).expect_err("bad").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, (1..6).map(|at| format!("revoked_certificates[{at}]")).collect::<Vec<_>>());
    }

    #[test]
    fn every_bad_field_is_reported_at_once() {
        let bad = AgreementDefinition {
            id: "Bad Id".into(),
            stage: None,
            purpose_vi: " ".into(),
            granted_fields: vec!["a".into(), "a".into()],
            valid_from: Some(TimestampMs(2)),
            valid_until: Some(TimestampMs(1)),
            ..agreement()
        };
        let fields: Vec<_> = Agreement::new(bad).expect_err("bad").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["id", "stage", "purpose_vi", "granted_fields", "valid_until"]);
    }

    #[test]
    fn purpose_and_legal_bases_are_codes_each_once() {
        let bad = AgreementDefinition {
            purpose: "social welfare".into(),
            legal_bases: vec!["decree-278-2025".into(), "decree-278-2025".into(), String::new(), "x".repeat(65)],
            ..agreement()
        };
        let fields: Vec<_> = Agreement::new(bad).expect_err("bad").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["purpose", "legal_bases[1]", "legal_bases[2]", "legal_bases[3]"]);
        let many = (0..=MAX_LEGAL_BASES).map(|n| n.to_string()).collect();
        let errors = Agreement::new(AgreementDefinition { legal_bases: many, ..agreement() }).expect_err("bad");
        assert_eq!(errors.into_iter().map(|e| e.field).collect::<Vec<_>>(), ["legal_bases"]);
        assert!(Agreement::new(AgreementDefinition { purpose: "MĐ-01".into(), ..agreement() }).is_ok());
    }

    #[test]
    fn masks_and_modes_are_each_of_their_kind_and_given_once() {
        let mask = |field: &str, kind: &str, shown_first, shown_last| MaskDefinition {
            field: field.into(),
            kind: kind.into(),
            shown_first,
            shown_last,
        };
        let bad = AgreementDefinition {
            masks: vec![
                mask("full_name", "partly_hidden", 1, 0),
                mask("full_name", "keyed_hash", 0, 0),
                mask("sex", "year_only", 0, 0),
            ],
            modes: vec!["subscribe".into(), "subscribe".into(), "look-up".into()],
            row_condition: " ".into(),
            ..agreement()
        };
        let fields: Vec<_> = Agreement::new(bad).expect_err("bad").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["masks[1].field", "masks[2].field", "modes[1]", "modes[2]", "row_condition"]);
        let bad = AgreementDefinition { masks: vec![mask("full_name", "keyed_hash", 1, 0)], ..agreement() };
        assert_eq!(Agreement::new(bad).expect_err("bad")[0].field, "masks[0].kind");
        assert_eq!(Agreement::new(agreement()).expect("good").modes, [Mode::Subscribe], "where none is named");
        for mode in Mode::ALL {
            let granted = AgreementDefinition { modes: vec![mode.as_str().into()], ..agreement() };
            let granted = Agreement::new(granted).expect("good");
            assert!(Mode::ALL.into_iter().all(|other| granted.grants(other) == (other == mode)));
        }
    }

    #[test]
    fn everything_wrong_with_a_current_copy_is_told() {
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let dataset = |retention_seconds, secondary_keys| DatasetDefinition {
            id: "parcels".into(),
            name_vi: "Thửa đất".into(),
            owning_agency: "so-nnmt".into(),
            schema: "parcel".into(),
            key_fields: fields(&["parcel_id"]),
            partitions: 1,
            retention_seconds,
            current_copy: Some(CurrentCopyDefinition { secondary_keys, max_age_seconds: 0, history: false }),
            ..Default::default()
        };
        let told = |definition| {
            let errors = Dataset::new(definition).err().unwrap_or_default();
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert!(told(dataset(0, Vec::new())).is_empty(), "a copy without secondary keys");
        assert!(told(dataset(0, vec![fields(&["owner"]), fields(&["sheet", "owner"])])).is_empty());
        let bad =
            vec![fields(&["a", "a"]), fields(&["b"]), fields(&[]), fields(&["b"]), fields(&["1", "2", "3", "4", "5"])];
        let place = |at| CurrentCopyDefinition::place(at);
        assert_eq!(told(dataset(1, bad)), ["retention_seconds".to_owned(), place(0), place(2), place(3), place(4)]);
        let many = (0..9).map(|n| fields(&[&n.to_string()])).collect();
        assert_eq!(told(dataset(0, many)), ["current_copy.secondary_keys"]);
        let sources = |copied: bool, sources: &[&str]| {
            let dataset = dataset(0, Vec::new());
            let current_copy = dataset.current_copy.clone().filter(|_| copied);
            told(DatasetDefinition { look_up_sources: fields(sources), current_copy, ..dataset })
        };
        assert!(sources(true, &["current_copy", "provider"]).is_empty());
        assert_eq!(sources(false, &["provider", "current_copy"]), ["look_up_sources[1]"], "there is no copy");
        assert_eq!(sources(true, &["provider", "provider", "hub"]), ["look_up_sources[1]", "look_up_sources[2]"]);
    }

    #[test]
    fn an_agreement_is_valid_from_its_first_to_before_its_last_moment() {
        let definition = AgreementDefinition {
            valid_from: Some(TimestampMs(10)),
            valid_until: Some(TimestampMs(20)),
            ..agreement()
        };
        let made = Agreement::new(definition.clone()).expect("good");
        assert_eq!(made.validity(TimestampMs(9)), Validity::NotYet);
        assert_eq!(made.validity(TimestampMs(10)), Validity::Valid { until: Some(TimestampMs(20)) });
        assert_eq!(made.validity(TimestampMs(20)), Validity::Ended);
        let ended = Agreement::new(AgreementDefinition { ended: true, ..definition }).expect("good");
        assert_eq!(ended.validity(TimestampMs(15)), Validity::Ended);
    }
}
