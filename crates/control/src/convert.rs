//! From stored and wire resources to domain values. Enum words are those of the definition files.

use ldop_catalog::{
    AgencyDefinition, AgreementDefinition, CurrentCopyDefinition, DatasetDefinition, MaskDefinition, QuotasDefinition,
    SystemDefinition,
    life::{Party, State},
};
use ldop_contract::{
    catalog::v1 as catalog,
    convert::{stage_from_wire, timestamp_from_wire},
    registry::v1 as registry,
};
use ldop_dictionary::{
    CodeDefinition, CodeListDefinition, CodePairDefinition, ElementDefinition, ElementStatus, ValueMapDefinition,
};

/// `VALUE_TYPE_STRING` to `string`; unspecified and unknown to nothing.
fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase();
    if word == "unspecified" { String::new() } else { word }
}

/// What a status is called in definitions; unspecified is registered, as all elements were before they had one.
pub(crate) fn status(status: registry::ElementStatus) -> ElementStatus {
    let word = word(status.as_str_name(), "ELEMENT_STATUS_");
    ElementStatus::parse(&word).unwrap_or(ElementStatus::Registered)
}

pub(crate) fn element(e: &registry::Element) -> ElementDefinition {
    let attributes = |all: &[registry::Attribute]| all.iter().map(|a| (a.name.clone(), a.value.clone())).collect();
    let relation = |r: &registry::Relation| (word(r.kind().as_str_name(), "RELATION_KIND_"), r.element.clone());
    let step = |step: registry::NormalisationStep| word(step.as_str_name(), "NORMALISATION_STEP_");
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
        domain: e.domain.clone(),
        group: e.group.clone(),
        entity: e.entity.clone(),
        usage_vi: e.usage_vi.clone(),
        usage_en: e.usage_en.clone(),
        creating_unit: e.creating_unit.clone(),
        owning_unit: e.owning_unit.clone(),
        language: e.language.clone(),
        status: word(e.status().as_str_name(), "ELEMENT_STATUS_"),
        legal_basis: e.legal_basis.clone(),
        synonyms: e.synonyms.clone(),
        related_terms: e.related_terms.clone(),
        business_attributes: attributes(&e.business_attributes),
        technical_name: e.technical_name.clone(),
        semantic_type: e.semantic_type.clone(),
        relations: e.relations.iter().map(relation).collect(),
        technical_attributes: attributes(&e.technical_attributes),
        normalisation: e.normalisation().map(step).collect(),
        normalisation_check: word(e.normalisation_check().as_str_name(), "NORMALISATION_CHECK_"),
        api_access: e.api_access.clone(),
        mappings: e.mappings.clone(),
        validation_rules: e.validation_rules.clone(),
        derives_from: e.derives_from.clone(),
        effective_from: e.effective_from.clone(),
    }
}

pub(crate) fn code_list(list: &registry::CodeList) -> CodeListDefinition {
    let code = |c: &registry::Code| CodeDefinition {
        code: c.code.clone(),
        label_vi: c.label_vi.clone(),
        label_en: c.label_en.clone(),
        valid_from: c.valid_from.clone(),
        valid_to: c.valid_to.clone(),
        parent: c.parent.clone(),
        successors: Some(&c.successor)
            .filter(|code| !code.is_empty())
            .into_iter()
            .chain(&c.successors)
            .cloned()
            .collect(),
    };
    let value_map = |map: &registry::ValueMap| ValueMapDefinition {
        to: map.to.clone(),
        source: map.source.clone(),
        pairs: map.pairs.iter().map(|p| CodePairDefinition { from: p.from.clone(), to: p.to.clone() }).collect(),
    };
    CodeListDefinition {
        id: list.id.clone(),
        name_vi: list.name_vi.clone(),
        name_en: list.name_en.clone(),
        source: list.source.clone(),
        codes: list.codes.iter().map(code).collect(),
        value_maps: list.value_maps.iter().map(value_map).collect(),
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
        revoked_certificates: s.revoked_certificates.clone(),
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
        wire_format: match catalog::WireFormat::try_from(d.wire_format) {
            Ok(catalog::WireFormat::Unspecified) => String::new(),
            Ok(catalog::WireFormat::Confluent) => "confluent".to_owned(),
            // One of a newer release; no word stands for it.
            Err(_) => d.wire_format.to_string(),
        },
        current_copy: d.current_copy.as_ref().map(|copy| CurrentCopyDefinition {
            secondary_keys: copy.secondary_keys.iter().map(|key| key.fields.clone()).collect(),
            max_age_seconds: copy.max_age_seconds,
            history: copy.history,
        }),
        look_up_sources: d.look_up_sources.iter().map(|source| source_word(*source)).collect(),
        hashed_keys: d.hashed_keys,
    }
}

/// One of a newer release is a number, which no word is.
fn source_word(source: i32) -> String {
    let known = catalog::LookUpSource::try_from(source);
    known.map_or_else(|_| source.to_string(), |source| word(source.as_str_name(), "LOOK_UP_SOURCE_"))
}

/// One of a newer release is a number, which no word is.
fn mode_word(mode: i32) -> String {
    catalog::Mode::try_from(mode).map_or_else(|_| mode.to_string(), |mode| word(mode.as_str_name(), "MODE_"))
}

fn mask(mask: &catalog::FieldMask) -> MaskDefinition {
    MaskDefinition {
        field: mask.field.clone(),
        kind: word(mask.kind().as_str_name(), "MASK_KIND_"),
        shown_first: mask.shown_first,
        shown_last: mask.shown_last,
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
        masks: a.masks.iter().map(mask).collect(),
        row_condition: a.row_condition.clone(),
        modes: a.modes.iter().map(|mode| mode_word(*mode)).collect(),
        officer_required: a.officer_required,
        case_number_required: a.case_number_required,
        purpose: a.purpose.clone(),
        legal_bases: a.legal_bases.clone(),
        quotas: a.quotas.as_ref().map(quotas),
    }
}

fn quotas(q: &catalog::Quotas) -> QuotasDefinition {
    QuotasDefinition {
        calls_per_second: q.calls_per_second,
        burst: q.burst,
        records_per_day: q.records_per_day,
        allowed_hours: q.allowed_hours.clone(),
    }
}

/// Where a version of an agreement stands; none for what a newer release wrote.
pub(crate) fn agreement_state(state: catalog::AgreementState) -> Option<State> {
    State::parse(&word(state.as_str_name(), "AGREEMENT_STATE_"))
}

pub(crate) fn agreement_state_to_wire(state: State) -> catalog::AgreementState {
    match state {
        State::Draft => catalog::AgreementState::Draft,
        State::FieldsAgreed => catalog::AgreementState::FieldsAgreed,
        State::Testing => catalog::AgreementState::Testing,
        State::Live => catalog::AgreementState::Live,
        State::Suspended => catalog::AgreementState::Suspended,
        State::Ended => catalog::AgreementState::Ended,
        State::Refused => catalog::AgreementState::Refused,
    }
}

pub(crate) fn party(party: catalog::AgreementParty) -> Option<Party> {
    Party::parse(&word(party.as_str_name(), "AGREEMENT_PARTY_"))
}

pub(crate) fn party_to_wire(party: Party) -> catalog::AgreementParty {
    match party {
        Party::Provider => catalog::AgreementParty::Provider,
        Party::Consumer => catalog::AgreementParty::Consumer,
        Party::Steward => catalog::AgreementParty::Steward,
    }
}
