//! An element as an operator writes it.

/// An element as an operator writes it; mirrors `ldop.registry.v1.Element`. Enums are their lower-case words, and an
/// empty text or list means none. docs/dictionary.md tells each attribute with its shape.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ElementDefinition {
    /// Element id, such as `person.personal-id`.
    pub id: String,
    /// Name, Vietnamese.
    pub name_vi: String,
    /// Name, English.
    pub name_en: String,
    /// Definition, Vietnamese.
    pub definition_vi: String,
    /// Definition, English.
    pub definition_en: String,
    /// A word of [`ValueType`](crate::ValueType).
    pub value_type: String,
    /// Shortest value in code points; strings only.
    pub min_length: Option<u32>,
    /// Longest value in code points; strings only.
    pub max_length: Option<u32>,
    /// ECMA 262 pattern without look-around and back references, anchored at both ends by the hub; strings only.
    pub pattern: String,
    /// A word of [`ValueFormat`](crate::ValueFormat), or empty.
    pub format: String,
    /// Smallest value, a decimal number; numbers only; empty when none.
    pub minimum: String,
    /// Largest value, a decimal number; numbers only; empty when none.
    pub maximum: String,
    /// Code list the value must be of; strings only; empty when none.
    pub code_list: String,
    /// A word of [`IdentifierRule`](crate::IdentifierRule), or empty; strings only.
    pub identifier: String,
    /// A word of [`Sensitivity`](ldop_types::Sensitivity).
    pub sensitivity: String,
    /// Unit, UCUM code; empty when none.
    pub unit: String,
    /// Source: law, standard or list, with place.
    pub source: String,
    /// True where no readable primary source was found.
    pub unconfirmed: bool,
    /// Domain: a code of the code list [`DOMAINS`](crate::dictionary::DOMAINS); empty when none.
    pub domain: String,
    /// Group of fields it stands in; empty when none.
    pub group: String,
    /// Entity it describes, such as `Person`; empty when none.
    pub entity: String,
    /// Where and for what it is used, Vietnamese.
    pub usage_vi: String,
    /// Where and for what it is used, English.
    pub usage_en: String,
    /// Unit that made the definition.
    pub creating_unit: String,
    /// Unit that answers for the definition.
    pub owning_unit: String,
    /// Language of the values, BCP 47; empty where it does not matter.
    pub language: String,
    /// A word of [`ElementStatus`](crate::ElementStatus); empty: registered.
    pub status: String,
    /// Legal basis: law, with article.
    pub legal_basis: String,
    /// Other names of the same.
    pub synonyms: Vec<String>,
    /// Names of related notions.
    pub related_terms: Vec<String>,
    /// Further business attributes, name and value.
    pub business_attributes: Vec<(String, String)>,
    /// Technical name, such as `Person.fullName`; empty when none.
    pub technical_name: String,
    /// Semantic type, such as `xsd:date`; empty when none.
    pub semantic_type: String,
    /// Relations to other elements: a word of [`RelationKind`](crate::RelationKind), and the id of the other.
    pub relations: Vec<(String, String)>,
    /// Further technical attributes, name and value.
    pub technical_attributes: Vec<(String, String)>,
    /// Words of [`NormalisationStep`](crate::NormalisationStep); strings only.
    pub normalisation: Vec<String>,
    /// A word of [`NormalisationCheck`](crate::NormalisationCheck); empty: refuse.
    pub normalisation_check: String,
    /// Who may ask for it through interfaces, in words.
    pub api_access: String,
    /// Terms of international vocabularies that mean the same, such as `schema:name`.
    pub mappings: Vec<String>,
    /// Validation rules in words, beyond those the hub checks by itself.
    pub validation_rules: Vec<String>,
    /// Element it derives from; empty when none.
    pub derives_from: String,
    /// First day of records this version judges, `YYYY-MM-DD`; empty: all days.
    pub effective_from: String,
}
