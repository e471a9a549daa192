//! From definitions to the messages the hub takes.

use ldop_catalog::{
    AgreementDefinition, DatasetDefinition, LookUpSource, MaskDefinition, Mode, QuotasDefinition, WireFormat,
};
use ldop_contract::{
    catalog::v1 as catalog,
    control::v1::{Change, change::Resource},
    convert::{stage_to_wire, timestamp_to_wire},
    exchange::v1::Stage as WireStage,
    registry::v1 as registry,
};
use ldop_dictionary::{CodeListDefinition, ElementDefinition};
use ldop_types::Mask;

use crate::{
    entry::Folder,
    files::{FileReference, Library},
    reading::Place,
};

/// Everything of a folder in order of dependency: what is referred to stands before what refers to it.
pub(crate) fn changes(folder: &Folder) -> Vec<(Place, Change)> {
    let mut changes = Vec::new();
    let mut push = |place: &Place, resource| changes.push((place.clone(), Change { resource: Some(resource) }));
    for entry in &folder.code_lists {
        push(entry.places.table(), Resource::CodeList(code_list(&entry.definition)));
    }
    for entry in &folder.elements {
        push(entry.places.table(), Resource::Element(element(&entry.definition)));
    }
    for schema in Library::new(&folder.schemas).in_order(&folder.schemas) {
        let (name, text) = (schema.name.clone(), schema.source.text().to_owned());
        let references = schema.references.iter().map(FileReference::to_reference);
        let references = references
            .map(|r| registry::SchemaReference { name: r.name, subject: r.subject.to_string(), version: r.version })
            .collect();
        push(
            &Place::file(schema.source.file()),
            Resource::Schema(registry::Schema { name, text, references, ..Default::default() }),
        );
    }
    for entry in &folder.agencies {
        let d = &entry.definition;
        let agency = catalog::Agency {
            id: d.id.clone(),
            version: 0,
            name_vi: d.name_vi.clone(),
            name_en: d.name_en.clone(),
            agency_code: d.agency_code.clone(),
        };
        push(entry.places.table(), Resource::Agency(agency));
    }
    for entry in &folder.systems {
        let d = &entry.definition;
        let system = catalog::System {
            id: d.id.clone(),
            version: 0,
            name_vi: d.name_vi.clone(),
            name_en: d.name_en.clone(),
            suspended: d.suspended,
            revoked_certificates: d.revoked_certificates.clone(),
        };
        push(entry.places.table(), Resource::System(system));
    }
    for entry in &folder.datasets {
        push(entry.places.table(), Resource::Dataset(dataset(&entry.definition)));
    }
    for entry in &folder.agreements {
        push(entry.places.table(), Resource::Agreement(agreement(&entry.definition)));
    }
    changes
}

/// `string` and `VALUE_TYPE_` to `VALUE_TYPE_STRING`; no word to the unspecified value.
fn name(prefix: &str, word: &str) -> String {
    format!("{prefix}{}", if word.is_empty() { "UNSPECIFIED".to_owned() } else { word.to_ascii_uppercase() })
}

fn element(d: &ElementDefinition) -> registry::Element {
    let value_type = registry::ValueType::from_str_name(&name("VALUE_TYPE_", &d.value_type));
    let format = registry::ValueFormat::from_str_name(&name("VALUE_FORMAT_", &d.format));
    let identifier = registry::IdentifierRule::from_str_name(&name("IDENTIFIER_RULE_", &d.identifier));
    let sensitivity = registry::Sensitivity::from_str_name(&name("SENSITIVITY_", &d.sensitivity));
    let status = registry::ElementStatus::from_str_name(&name("ELEMENT_STATUS_", &d.status));
    let check = registry::NormalisationCheck::from_str_name(&name("NORMALISATION_CHECK_", &d.normalisation_check));
    let step = |word: &String| {
        registry::NormalisationStep::from_str_name(&name("NORMALISATION_STEP_", word)).unwrap_or_default().into()
    };
    let relation = |(kind, element): &(String, String)| registry::Relation {
        kind: registry::RelationKind::from_str_name(&name("RELATION_KIND_", kind)).unwrap_or_default().into(),
        element: element.clone(),
    };
    let attributes = |all: &[(String, String)]| {
        all.iter().map(|(name, value)| registry::Attribute { name: name.clone(), value: value.clone() }).collect()
    };
    registry::Element {
        id: d.id.clone(),
        version: 0,
        name_vi: d.name_vi.clone(),
        name_en: d.name_en.clone(),
        definition_vi: d.definition_vi.clone(),
        definition_en: d.definition_en.clone(),
        r#type: value_type.unwrap_or_default().into(),
        min_length: d.min_length,
        max_length: d.max_length,
        pattern: d.pattern.clone(),
        format: format.unwrap_or_default().into(),
        minimum: d.minimum.clone(),
        maximum: d.maximum.clone(),
        code_list: d.code_list.clone(),
        identifier: identifier.unwrap_or_default().into(),
        sensitivity: sensitivity.unwrap_or_default().into(),
        unit: d.unit.clone(),
        source: d.source.clone(),
        unconfirmed: d.unconfirmed,
        domain: d.domain.clone(),
        group: d.group.clone(),
        entity: d.entity.clone(),
        usage_vi: d.usage_vi.clone(),
        usage_en: d.usage_en.clone(),
        creating_unit: d.creating_unit.clone(),
        owning_unit: d.owning_unit.clone(),
        language: d.language.clone(),
        status: status.unwrap_or_default().into(),
        legal_basis: d.legal_basis.clone(),
        synonyms: d.synonyms.clone(),
        related_terms: d.related_terms.clone(),
        business_attributes: attributes(&d.business_attributes),
        technical_name: d.technical_name.clone(),
        semantic_type: d.semantic_type.clone(),
        relations: d.relations.iter().map(relation).collect(),
        technical_attributes: attributes(&d.technical_attributes),
        normalisation: d.normalisation.iter().map(step).collect(),
        normalisation_check: check.unwrap_or_default().into(),
        api_access: d.api_access.clone(),
        mappings: d.mappings.clone(),
        validation_rules: d.validation_rules.clone(),
        derives_from: d.derives_from.clone(),
        effective_from: d.effective_from.clone(),
        history: Vec::new(),
    }
}

fn code_list(d: &CodeListDefinition) -> registry::CodeList {
    // One successor stands where it always stood, so that a list that has not changed stays the same on the wire.
    let one = |all: &[String]| if let [one] = all { one.clone() } else { String::new() };
    let several = |all: &[String]| if all.len() > 1 { all.to_vec() } else { Vec::new() };
    let value_maps = d.value_maps.iter().map(|map| registry::ValueMap {
        to: map.to.clone(),
        source: map.source.clone(),
        pairs: map.pairs.iter().map(|p| registry::CodePair { from: p.from.clone(), to: p.to.clone() }).collect(),
    });
    let codes = d.codes.iter().map(|c| registry::Code {
        code: c.code.clone(),
        label_vi: c.label_vi.clone(),
        label_en: c.label_en.clone(),
        valid_from: c.valid_from.clone(),
        valid_to: c.valid_to.clone(),
        successor: one(&c.successors),
        parent: c.parent.clone(),
        successors: several(&c.successors),
    });
    registry::CodeList {
        id: d.id.clone(),
        version: 0,
        name_vi: d.name_vi.clone(),
        name_en: d.name_en.clone(),
        source: d.source.clone(),
        codes: codes.collect(),
        value_maps: value_maps.collect(),
    }
}

fn dataset(d: &DatasetDefinition) -> catalog::Dataset {
    let providers = d.providers.iter().map(|(system, stage)| catalog::Provider {
        system: system.clone(),
        stage: stage.map_or(WireStage::Unspecified, stage_to_wire).into(),
    });
    catalog::Dataset {
        id: d.id.clone(),
        version: 0,
        name_vi: d.name_vi.clone(),
        name_en: d.name_en.clone(),
        owning_agency: d.owning_agency.clone(),
        schema: d.schema.clone(),
        key_fields: d.key_fields.clone(),
        providers: providers.collect(),
        partitions: d.partitions,
        retention_seconds: d.retention_seconds,
        wire_format: match WireFormat::parse(&d.wire_format) {
            Some(WireFormat::Confluent) => catalog::WireFormat::Confluent,
            // What is no word was refused when the definition was read.
            Some(WireFormat::Json) | None => catalog::WireFormat::Unspecified,
        }
        .into(),
        current_copy: d.current_copy.as_ref().map(|copy| {
            let keys = copy.secondary_keys.iter();
            let secondary_keys = keys.map(|fields| catalog::SecondaryKey { fields: fields.clone() }).collect();
            let (max_age_seconds, history) = (copy.max_age_seconds, copy.history);
            catalog::CurrentCopy { secondary_keys, max_age_seconds, history }
        }),
        look_up_sources: d.look_up_sources.iter().filter_map(|word| source_to_wire(word)).map(Into::into).collect(),
        hashed_keys: d.hashed_keys,
    }
}

fn source_to_wire(word: &str) -> Option<catalog::LookUpSource> {
    Some(match LookUpSource::parse(word)? {
        LookUpSource::Provider => catalog::LookUpSource::Provider,
        LookUpSource::CurrentCopy => catalog::LookUpSource::CurrentCopy,
    })
}

fn mode_to_wire(mode: Mode) -> catalog::Mode {
    match mode {
        Mode::Subscribe => catalog::Mode::Subscribe,
        Mode::LookUp => catalog::Mode::LookUp,
        Mode::Changes => catalog::Mode::Changes,
        Mode::Export => catalog::Mode::Export,
        Mode::Delivery => catalog::Mode::Delivery,
    }
}

fn mask(d: &MaskDefinition) -> catalog::FieldMask {
    let kind = match Mask::parse(&d.kind, d.shown_first, d.shown_last) {
        Some(Mask::PartlyHidden { .. }) => catalog::MaskKind::PartlyHidden,
        Some(Mask::KeyedHash) => catalog::MaskKind::KeyedHash,
        Some(Mask::YearOnly) => catalog::MaskKind::YearOnly,
        Some(Mask::Dropped) => catalog::MaskKind::Dropped,
        // What is no word was refused when the definition was read.
        None => catalog::MaskKind::Unspecified,
    };
    let (shown_first, shown_last) = (d.shown_first, d.shown_last);
    catalog::FieldMask { field: d.field.clone(), kind: kind.into(), shown_first, shown_last }
}

fn quotas(d: &QuotasDefinition) -> catalog::Quotas {
    catalog::Quotas {
        calls_per_second: d.calls_per_second,
        burst: d.burst,
        records_per_day: d.records_per_day,
        allowed_hours: d.allowed_hours.clone(),
    }
}

fn agreement(d: &AgreementDefinition) -> catalog::Agreement {
    catalog::Agreement {
        id: d.id.clone(),
        version: 0,
        provider: d.provider.clone(),
        consumer: d.consumer.clone(),
        dataset: d.dataset.clone(),
        stage: d.stage.map_or(WireStage::Unspecified, stage_to_wire).into(),
        purpose_vi: d.purpose_vi.clone(),
        purpose_en: d.purpose_en.clone(),
        legal_basis: d.legal_basis.clone(),
        granted_fields: d.granted_fields.clone(),
        valid_from: d.valid_from.map(timestamp_to_wire),
        valid_until: d.valid_until.map(timestamp_to_wire),
        ended: d.ended,
        masks: d.masks.iter().map(mask).collect(),
        row_condition: d.row_condition.clone(),
        modes: d.modes.iter().filter_map(|word| Mode::parse(word)).map(|mode| mode_to_wire(mode).into()).collect(),
        officer_required: d.officer_required,
        case_number_required: d.case_number_required,
        quotas: d.quotas.as_ref().map(quotas),
        purpose: d.purpose.clone(),
        legal_bases: d.legal_bases.clone(),
    }
}
