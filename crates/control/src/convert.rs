//! From stored and wire resources to domain values. Enum words are those of the definition files.

use ldop_catalog::{AgencyDefinition, AgreementDefinition, DatasetDefinition, SystemDefinition};
use ldop_contract::{
    catalog::v1 as catalog,
    convert::{stage_from_wire, timestamp_from_wire},
    registry::v1 as registry,
};
use ldop_dictionary::{CodeDefinition, CodeListDefinition, ElementDefinition};

/// `VALUE_TYPE_STRING` to `string`; unspecified and unknown to nothing.
fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase();
    if word == "unspecified" { String::new() } else { word }
}

pub(crate) fn element(e: &registry::Element) -> ElementDefinition {
    ElementDefinition {
        id: e.id.clone(),
        name_vi: e.name_vi.clone(),
        name_en: e.name_en.clone(),
        definition_vi: e.definition_vi.clone(),
        definition_en: e.definition_en.clone(),
        value_type: word(e.r#type().as_str_name(), "VALUE_TYPE_"),
        min_length: e.min_length,
        max_length: e.max_length,
        pattern: e.pattern.clone(),
        format: word(e.format().as_str_name(), "VALUE_FORMAT_"),
        minimum: e.minimum.clone(),
        maximum: e.maximum.clone(),
        code_list: e.code_list.clone(),
        identifier: word(e.identifier().as_str_name(), "IDENTIFIER_RULE_"),
        sensitivity: word(e.sensitivity().as_str_name(), "SENSITIVITY_"),
        unit: e.unit.clone(),
        source: e.source.clone(),
        unconfirmed: e.unconfirmed,
    }
}

pub(crate) fn code_list(list: &registry::CodeList) -> CodeListDefinition {
    let code = |c: &registry::Code| CodeDefinition {
        code: c.code.clone(),
        label_vi: c.label_vi.clone(),
        label_en: c.label_en.clone(),
        valid_from: c.valid_from.clone(),
        valid_to: c.valid_to.clone(),
        successor: c.successor.clone(),
    };
    CodeListDefinition {
        id: list.id.clone(),
        name_vi: list.name_vi.clone(),
        name_en: list.name_en.clone(),
        source: list.source.clone(),
        codes: list.codes.iter().map(code).collect(),
    }
}

pub(crate) fn agency(a: &catalog::Agency) -> AgencyDefinition {
    AgencyDefinition {
        id: a.id.clone(),
        name_vi: a.name_vi.clone(),
        name_en: a.name_en.clone(),
        agency_code: a.agency_code.clone(),
    }
}

pub(crate) fn system(s: &catalog::System) -> SystemDefinition {
    SystemDefinition {
        id: s.id.clone(),
        name_vi: s.name_vi.clone(),
        name_en: s.name_en.clone(),
        suspended: s.suspended,
    }
}

pub(crate) fn dataset(d: &catalog::Dataset) -> DatasetDefinition {
    DatasetDefinition {
        id: d.id.clone(),
        name_vi: d.name_vi.clone(),
        name_en: d.name_en.clone(),
        owning_agency: d.owning_agency.clone(),
        schema: d.schema.clone(),
        key_fields: d.key_fields.clone(),
        providers: d.providers.iter().map(|p| (p.system.clone(), stage_from_wire(p.stage))).collect(),
        partitions: d.partitions,
        retention_seconds: d.retention_seconds,
    }
}

pub(crate) fn agreement(a: &catalog::Agreement) -> AgreementDefinition {
    AgreementDefinition {
        id: a.id.clone(),
        provider: a.provider.clone(),
        consumer: a.consumer.clone(),
        dataset: a.dataset.clone(),
        stage: stage_from_wire(a.stage),
        purpose_vi: a.purpose_vi.clone(),
        purpose_en: a.purpose_en.clone(),
        legal_basis: a.legal_basis.clone(),
        granted_fields: a.granted_fields.clone(),
        valid_from: a.valid_from.as_ref().and_then(timestamp_from_wire),
        valid_until: a.valid_until.as_ref().and_then(timestamp_from_wire),
        ended: a.ended,
    }
}
