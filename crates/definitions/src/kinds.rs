//! Reads one table of each kind. Only the form of values is looked at here; whether a definition holds together is
//! asked of the crates that own it.

use jiff::Timestamp;
use ldop_catalog::{
    AgencyDefinition, AgreementDefinition, CurrentCopyDefinition, DatasetDefinition, LookUpSource, MaskDefinition,
    Mode, QuotasDefinition, SystemDefinition, WireFormat,
};
use ldop_dictionary::{
    CodeDefinition, CodeListDefinition, CodePairDefinition, ElementDefinition, ElementStatus, IdentifierRule,
    NormalisationCheck, NormalisationStep, RelationKind, ValueFormat, ValueMapDefinition, ValueType,
};
use ldop_types::{Mask, Sensitivity, Stage, TimestampMs};
use toml::de::DeValue;

use crate::{
    codes,
    entry::{Entry, Places},
    reading::{Problems, Source, Table, boolean, in_range, text, unsigned},
};

/// A table, and the places of what was read from it.
struct Reader<'a> {
    table: Table<'a>,
    places: Places,
}

impl<'a> Reader<'a> {
    fn new(table: Table<'a>, kind: &'static str) -> Self {
        let places = Places::new(kind, table.place());
        Self { table, places }
    }

    fn at(&mut self, key: &'static str) {
        if self.table.has(key)
            && let Some(shown) = self.table.shown(key)
        {
            self.places.set(key, self.table.place_of(key), shown);
        }
    }

    /// Takes over the places of a table within this one, such as `codes[3]`, and ends it.
    fn take(&mut self, field: &str, inner: Reader<'_>) {
        self.places.take(field, inner.places);
        inner.table.finish();
    }

    /// A text that must stand.
    fn text(&mut self, key: &'static str, expected: &str) -> String {
        self.at(key);
        self.table.required(key, expected, text).unwrap_or_default()
    }

    /// A text that may be left out.
    fn maybe(&mut self, key: &'static str) -> String {
        self.at(key);
        self.table.optional(key, "a text", text).unwrap_or_default()
    }

    /// One of a few words.
    fn word(&mut self, key: &'static str, words: &[&str]) -> Option<String> {
        self.at(key);
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", quoted.join(", "));
        self.table.optional(key, &expected, |v| text(v).filter(|t| words.contains(&t.as_str())))
    }

    /// One of a few words, that must stand.
    fn needed_word(&mut self, key: &'static str, words: &[&str]) -> Option<String> {
        if !self.table.has(key) {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            self.table.problem(key, "the key is missing", format!("one of {}", quoted.join(", ")));
        }
        self.word(key, words)
    }

    fn number(&mut self, key: &'static str, most: u64) -> Option<u64> {
        self.at(key);
        self.table.optional(key, &format!("a whole number, 0 to {most}"), |v| unsigned(v).and_then(in_range(0..=most)))
    }

    fn number32(&mut self, key: &'static str) -> Option<u32> {
        self.number(key, u32::MAX.into()).and_then(|n| u32::try_from(n).ok())
    }

    fn flag(&mut self, key: &'static str) -> bool {
        self.at(key);
        self.table.optional(key, "true or false", boolean).unwrap_or(false)
    }

    /// A decimal number, as text or as a number of TOML.
    fn decimal(&mut self, key: &'static str) -> String {
        self.at(key);
        let parse = |value: &DeValue<'_>| match value {
            DeValue::Integer(number) => Some(number.to_string()),
            DeValue::Float(number) => Some(number.to_string()),
            other => text(other),
        };
        self.table.optional(key, "a decimal number", parse).unwrap_or_default()
    }

    fn moment(&mut self, key: &'static str) -> Option<TimestampMs> {
        self.at(key);
        let parse = |value: &DeValue<'_>| {
            let text = match value {
                DeValue::Datetime(moment) => moment.to_string(),
                other => text(other)?,
            };
            text.parse::<Timestamp>().ok().map(|moment| TimestampMs(moment.as_millisecond()))
        };
        self.table.optional(key, "an RFC 3339 date-time, such as \"2025-07-01T00:00:00+07:00\"", parse)
    }

    /// A list of texts.
    fn texts(&mut self, key: &'static str, expected: &str) -> Vec<String> {
        self.at(key);
        let items = self.table.list(key, expected, text);
        let mut texts = Vec::with_capacity(items.len());
        for (at, (place, item)) in items.into_iter().enumerate() {
            self.places.set(format!("{key}[{at}]"), place, format!("{item:?} stands here"));
            texts.push(item);
        }
        texts
    }

    /// A list of words.
    fn words(&mut self, key: &'static str, words: &[&str]) -> Vec<String> {
        self.at(key);
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", quoted.join(", "));
        let items = self.table.list(key, &expected, |v| text(v).filter(|t| words.contains(&t.as_str())));
        items.into_iter().map(|(_, word)| word).collect()
    }

    /// A day, as text or as a date of TOML.
    fn day(&mut self, key: &'static str) -> String {
        self.at(key);
        let parse = |value: &DeValue<'_>| match value {
            DeValue::Datetime(day) if day.time.is_none() && day.offset.is_none() => Some(day.to_string()),
            other => text(other),
        };
        self.table.optional(key, "a day as \"YYYY-MM-DD\"", parse).unwrap_or_default()
    }

    /// Names and values, by name.
    fn attributes(&mut self, key: &'static str) -> Vec<(String, String)> {
        self.at(key);
        let mut attributes = self.table.texts(key, "a text");
        attributes.sort();
        attributes
    }

    fn finish<D>(self, definition: D) -> Entry<D> {
        self.table.finish();
        Entry { places: self.places, definition }
    }
}

const NAME: &str = "a name in Vietnamese";
const STAGES: [&str; 2] = [Stage::Testing.as_str(), Stage::Live.as_str()];

pub(crate) fn element(table: Table<'_>) -> Entry<ElementDefinition> {
    let mut reader = Reader::new(table, "element");
    // What it does not state it inherits.
    let derives_from = reader.maybe("derives_from");
    let mut inherited = |key, words: &[&str]| {
        let word = if derives_from.is_empty() { reader.needed_word(key, words) } else { reader.word(key, words) };
        word.unwrap_or_default()
    };
    let value_type = inherited("type", ValueType::WORDS);
    let sensitivity = inherited("sensitivity", &Sensitivity::ALL.map(Sensitivity::as_str));
    let definition = ElementDefinition {
        id: reader.text("id", ldop_types::ElementId::EXPECTED),
        name_vi: reader.text("name_vi", NAME),
        name_en: reader.maybe("name_en"),
        definition_vi: reader.maybe("definition_vi"),
        definition_en: reader.maybe("definition_en"),
        value_type,
        min_length: reader.number32("min_length"),
        max_length: reader.number32("max_length"),
        pattern: reader.maybe("pattern"),
        format: reader.word("format", ValueFormat::WORDS).unwrap_or_default(),
        minimum: reader.decimal("minimum"),
        maximum: reader.decimal("maximum"),
        code_list: reader.maybe("code_list"),
        identifier: reader.word("identifier", IdentifierRule::WORDS).unwrap_or_default(),
        sensitivity,
        unit: reader.maybe("unit"),
        source: reader.maybe("source"),
        unconfirmed: reader.flag("unconfirmed"),
        domain: reader.maybe("domain"),
        group: reader.maybe("group"),
        entity: reader.maybe("entity"),
        usage_vi: reader.maybe("usage_vi"),
        usage_en: reader.maybe("usage_en"),
        creating_unit: reader.maybe("creating_unit"),
        owning_unit: reader.maybe("owning_unit"),
        language: reader.maybe("language"),
        status: reader.word("status", ElementStatus::WORDS).unwrap_or_default(),
        legal_basis: reader.maybe("legal_basis"),
        synonyms: reader.texts("synonyms", "another name"),
        related_terms: reader.texts("related_terms", "the name of a related notion"),
        business_attributes: reader.attributes("business_attributes"),
        technical_name: reader.maybe("technical_name"),
        semantic_type: reader.maybe("semantic_type"),
        relations: relations(&mut reader),
        technical_attributes: reader.attributes("technical_attributes"),
        normalisation: reader.words("normalisation", NormalisationStep::WORDS),
        normalisation_check: reader.word("normalisation_check", NormalisationCheck::WORDS).unwrap_or_default(),
        api_access: reader.maybe("api_access"),
        mappings: reader.texts("mappings", "a prefixed name, such as \"schema:name\""),
        validation_rules: reader.texts("validation_rules", "a rule in words"),
        derives_from,
        effective_from: reader.day("effective_from"),
    };
    reader.finish(definition)
}

fn relations(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    reader.at("relations");
    let mut relations = Vec::new();
    for (at, table) in reader.table.tables("relations").into_iter().enumerate() {
        let mut relation = Reader::new(table, "element");
        let kind = relation.needed_word("kind", RelationKind::WORDS).unwrap_or_default();
        relations.push((kind, relation.text("element", "the id of an element")));
        reader.take(&format!("relations[{at}]"), relation);
    }
    relations
}

pub(crate) fn code_list(table: Table<'_>, source: &Source, problems: &Problems) -> Entry<CodeListDefinition> {
    let mut reader = Reader::new(table, "code_list");
    let mut definition = CodeListDefinition {
        id: reader.text("id", ldop_types::CodeListId::EXPECTED),
        name_vi: reader.text("name_vi", NAME),
        name_en: reader.maybe("name_en"),
        source: reader.maybe("source"),
        codes: Vec::new(),
        value_maps: value_maps(&mut reader),
    };
    reader.at("codes");
    let csv = reader.maybe("csv");
    match (reader.table.has("csv"), reader.table.has("codes")) {
        (true, true) => reader.table.problem("csv", "codes stand here and in a CSV file", "one of csv and codes"),
        (false, false) => reader.table.problem("codes", "neither csv nor codes stands", "one of csv and codes"),
        _ => {}
    }
    if csv.is_empty() {
        for (at, table) in reader.table.tables("codes").into_iter().enumerate() {
            let mut code = Reader::new(table, "code_list");
            let successor = code.maybe("successor");
            definition.codes.push(CodeDefinition {
                code: code.text("code", "a code, as text"),
                label_vi: code.text("label_vi", "a label in Vietnamese"),
                label_en: code.maybe("label_en"),
                valid_from: code.day("valid_from"),
                valid_to: code.day("valid_to"),
                parent: code.maybe("parent"),
                successors: match code.texts("successors", "a code of the list") {
                    several if successor.is_empty() => several,
                    several => [successor].into_iter().chain(several).collect(),
                },
            });
            reader.take(&format!("codes[{at}]"), code);
        }
    } else {
        let file = source.file().parent().map_or_else(|| csv.clone().into(), |folder| folder.join(&csv));
        match codes::read(&file, &reader.table, problems) {
            Some((codes, rows)) => {
                definition.codes = codes;
                reader.places.set_rows(rows);
            }
            None => reader.places.set_reported("codes"),
        }
    }
    reader.finish(definition)
}

fn value_maps(reader: &mut Reader<'_>) -> Vec<ValueMapDefinition> {
    reader.at("value_maps");
    let mut maps = Vec::new();
    for (index, table) in reader.table.tables("value_maps").into_iter().enumerate() {
        let mut map = Reader::new(table, "code_list");
        let mut definition = ValueMapDefinition {
            to: map.text("to", "the id of another code list"),
            source: map.maybe("source"),
            pairs: Vec::new(),
        };
        map.at("pairs");
        for (at, table) in map.table.tables("pairs").into_iter().enumerate() {
            let mut pair = Reader::new(table, "code_list");
            let (from, to) = (pair.text("from", "a code of this list"), pair.text("to", "a code of the other list"));
            definition.pairs.push(CodePairDefinition { from, to });
            map.take(&format!("pairs[{at}]"), pair);
        }
        maps.push(definition);
        reader.take(&format!("value_maps[{index}]"), map);
    }
    maps
}

pub(crate) fn agency(table: Table<'_>) -> Entry<AgencyDefinition> {
    let mut reader = Reader::new(table, "agency");
    let definition = AgencyDefinition {
        id: reader.text("id", ldop_types::AgencyId::EXPECTED),
        name_vi: reader.text("name_vi", NAME),
        name_en: reader.maybe("name_en"),
        agency_code: reader.maybe("agency_code"),
    };
    reader.finish(definition)
}

pub(crate) fn system(table: Table<'_>) -> Entry<SystemDefinition> {
    let mut reader = Reader::new(table, "system");
    let definition = SystemDefinition {
        id: reader.text("id", ldop_types::SystemId::EXPECTED),
        name_vi: reader.text("name_vi", NAME),
        name_en: reader.maybe("name_en"),
        suspended: reader.flag("suspended"),
        revoked_certificates: reader
            .texts("revoked_certificates", "the fingerprint of a certificate, as `ldop pki show` tells it"),
    };
    reader.finish(definition)
}

pub(crate) fn dataset(table: Table<'_>) -> Entry<DatasetDefinition> {
    let mut reader = Reader::new(table, "dataset");
    let mut definition = DatasetDefinition {
        id: reader.text("id", ldop_types::DatasetName::EXPECTED),
        name_vi: reader.text("name_vi", NAME),
        name_en: reader.maybe("name_en"),
        owning_agency: reader.text("owning_agency", "the id of an agency"),
        schema: reader.text("schema", "the name of a schema"),
        key_fields: reader.texts("key_fields", "the name of a top-level field"),
        providers: Vec::new(),
        partitions: reader.number32("partitions").unwrap_or_default(),
        retention_seconds: reader.number("retention_seconds", u64::MAX).unwrap_or_default(),
        wire_format: reader.word("wire_format", WireFormat::WORDS).unwrap_or_default(),
        hashed_keys: false,
        current_copy: current_copy(&mut reader),
        look_up_sources: reader.words("look_up_sources", LookUpSource::WORDS),
    };
    reader.at("providers");
    for (at, table) in reader.table.tables("providers").into_iter().enumerate() {
        let mut provider = Reader::new(table, "dataset");
        let system = provider.text("system", "the id of a system");
        let stage = provider.needed_word("stage", &STAGES).and_then(|word| Stage::parse(&word));
        reader.take(&format!("providers[{at}]"), provider);
        definition.providers.push((system, stage));
    }
    reader.finish(definition)
}

fn current_copy(reader: &mut Reader<'_>) -> Option<CurrentCopyDefinition> {
    reader.at("current_copy");
    let mut copy = Reader::new(reader.table.table("current_copy"), "dataset");
    if !copy.table.stands() {
        return None;
    }
    let mut secondary_keys = Vec::new();
    copy.at("secondary_keys");
    for (at, table) in copy.table.tables("secondary_keys").into_iter().enumerate() {
        let mut key = Reader::new(table, "dataset");
        secondary_keys.push(key.texts("fields", "the name of a top-level field"));
        copy.take(&format!("secondary_keys[{at}]"), key);
    }
    let max_age_seconds = copy.number32("max_age_seconds").unwrap_or_default();
    let history = copy.flag("history");
    reader.take("current_copy", copy);
    Some(CurrentCopyDefinition { secondary_keys, max_age_seconds, history })
}

fn quotas(reader: &mut Reader<'_>) -> Option<QuotasDefinition> {
    reader.at("quotas");
    let mut quotas = Reader::new(reader.table.table("quotas"), "agreement");
    if !quotas.table.stands() {
        return None;
    }
    let definition = QuotasDefinition {
        calls_per_second: quotas.number32("calls_per_second"),
        burst: quotas.number32("burst"),
        records_per_day: quotas.number("records_per_day", u64::MAX),
        allowed_hours: quotas.texts("allowed_hours", "hours such as \"mon-fri 07:30-17:30\""),
    };
    reader.take("quotas", quotas);
    Some(definition)
}

pub(crate) fn agreement(table: Table<'_>) -> Entry<AgreementDefinition> {
    let mut reader = Reader::new(table, "agreement");
    let mut definition = AgreementDefinition {
        id: reader.text("id", ldop_types::AgreementId::EXPECTED),
        provider: reader.text("provider", "the id of an agency"),
        consumer: reader.text("consumer", "the id of a system"),
        dataset: reader.text("dataset", "the name of a dataset"),
        stage: reader.needed_word("stage", &STAGES).and_then(|word| Stage::parse(&word)),
        purpose_vi: reader.text("purpose_vi", "the purpose in Vietnamese"),
        purpose_en: reader.maybe("purpose_en"),
        legal_basis: reader.maybe("legal_basis"),
        granted_fields: reader.texts("granted_fields", "the name of a top-level field"),
        valid_from: reader.moment("valid_from"),
        valid_until: reader.moment("valid_until"),
        ended: reader.flag("ended"),
        masks: Vec::new(),
        row_condition: reader.maybe("row_condition"),
        modes: reader.words("modes", Mode::WORDS),
        officer_required: reader.flag("officer_required"),
        case_number_required: reader.flag("case_number_required"),
        quotas: quotas(&mut reader),
        purpose: reader.maybe("purpose"),
        legal_bases: reader.texts("legal_bases", "a code of the list legal-bases"),
    };
    reader.at("masks");
    for (at, table) in reader.table.tables("masks").into_iter().enumerate() {
        let mut mask = Reader::new(table, "agreement");
        definition.masks.push(MaskDefinition {
            field: mask.text("field", "the name of a granted field"),
            kind: mask.needed_word("kind", Mask::WORDS).unwrap_or_default(),
            shown_first: mask.number32("shown_first").unwrap_or_default(),
            shown_last: mask.number32("shown_last").unwrap_or_default(),
        });
        reader.take(&format!("masks[{at}]"), mask);
    }
    reader.finish(definition)
}
