//! Paths, query strings and bodies. Names that are not known are passed over, as clients expect.

use std::collections::{BTreeMap, HashMap};

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::PathRejection},
    http::{StatusCode, request::Parts},
};
use ldop_contract::registry::v1 as wire;
use ldop_types::SubjectName;
use serde::Deserialize;

use super::reply::{Error, brief};
use crate::Identity;

/// Who asks, and what the path and the query string say.
pub(super) struct Ask {
    pub(super) identity: Identity,
    path: HashMap<String, String>,
    query: HashMap<String, String>,
}

/// The version of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VersionAsked {
    /// `latest` or -1.
    Latest,
    /// A number, from 1.
    Number(u32),
}

impl<S: Send + Sync> FromRequestParts<S> for Ask {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let path: Result<Path<HashMap<String, String>>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(path) = path.map_err(|rejection| Error::bad_request(rejection.body_text()))?;
        let identity = parts.extensions.get::<Identity>().cloned().ok_or_else(Error::unauthorized)?;
        Ok(Self { identity, path, query: query_of(parts.uri.query().unwrap_or_default()) })
    }
}

/// The parameters of a query string, percent-decoded; of one given twice the last counts.
fn query_of(query: &str) -> HashMap<String, String> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

impl Ask {
    fn segment(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A parameter; none where it is absent or empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// A parameter that is true or false in any case, as Python and Java write them.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.parameter(name) {
            None => Ok(false),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Err(Error::bad_request(format!("{name} must be true or false"))),
        }
    }

    /// A parameter that is a number, at least `least`.
    pub(super) fn number(&self, name: &str, least: i64) -> Result<Option<i64>, Error> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(Error::bad_request(format!("{name} must be a number, at least {least}"))),
        }
    }

    /// The subject of the path. `:.:` before it names the one context there is.
    pub(super) fn subject(&self) -> Result<SubjectName, Error> {
        let text = self.segment("subject");
        let text = text.strip_prefix(":.:").unwrap_or(text);
        SubjectName::parse(text).map_err(|error| Error::invalid_subject(error.expected))
    }

    /// The subject of the path, where it may be left out.
    pub(super) fn maybe_subject(&self) -> Result<Option<SubjectName>, Error> {
        if self.path.contains_key("subject") { self.subject().map(Some) } else { Ok(None) }
    }

    /// The version of the path.
    pub(super) fn version(&self) -> Result<VersionAsked, Error> {
        let text = self.segment("version");
        match text {
            "latest" | "-1" => Ok(VersionAsked::Latest),
            text => match text.parse::<u32>() {
                Ok(number) if number >= 1 && i32::try_from(number).is_ok() => Ok(VersionAsked::Number(number)),
                _ => Err(Error::invalid_version(text)),
            },
        }
    }

    /// The id of the path.
    pub(super) fn id(&self) -> Result<u32, Error> {
        let text = self.segment("id");
        text.parse().map_err(|_| Error::new(StatusCode::NOT_FOUND, 404, "the id must be a number"))
    }

    /// The GUID of the path.
    pub(super) fn guid(&self) -> &str {
        self.segment("guid")
    }

    /// A page of a list by `offset` and `limit`; all of it without.
    pub(super) fn page<T>(&self, all: impl Iterator<Item = T>) -> Result<Vec<T>, Error> {
        let offset = self.number("offset", 0)?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        // -1 and 0 mean no limit.
        let limit = self.number("limit", -1)?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
        Ok(all.skip(offset).take(limit.unwrap_or(usize::MAX)).collect())
    }
}

/// A body in JSON, whatever media type it goes by.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: for<'de> Deserialize<'de>> FromRequest<S> for Body<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| Error::bad_request(rejection.body_text()))?;
        match serde_json::from_slice(&bytes) {
            Ok(body) => Ok(Self(body)),
            Err(error) => {
                Err(Error::bad_request(format!("the body is not the JSON expected: {}", without_value(&error))))
            }
        }
    }
}

/// What is wrong with a body, and where. The library's own words repeat a value of the wrong kind, however long it is.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if error.is_data() => format!("expected {expected}"),
        _ => text,
    }
}

/// A schema as clients send it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SchemaBody {
    pub(super) schema: Option<String>,
    pub(super) schema_type: Option<String>,
    pub(super) references: Option<Vec<ReferenceBody>>,
    pub(super) metadata: Option<MetadataBody>,
    pub(super) rule_set: Option<serde_json::Value>,
    pub(super) id: Option<i64>,
    pub(super) version: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReferenceBody {
    pub(super) name: String,
    pub(super) subject: String,
    pub(super) version: i64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct MetadataBody {
    pub(super) tags: Option<BTreeMap<String, Vec<String>>>,
    pub(super) properties: Option<BTreeMap<String, String>>,
    pub(super) sensitive: Option<Vec<String>>,
}

impl SchemaBody {
    /// The schema for a subject. Version -1 of a reference is resolved by `latest`.
    pub(super) fn into_wire(
        self,
        subject: &SubjectName,
        latest: impl Fn(&str) -> Option<u32>,
    ) -> Result<wire::Schema, Error> {
        match self.schema_type.as_deref() {
            Some(kind) if kind.eq_ignore_ascii_case("JSON") => {}
            kind => {
                let kind = kind.unwrap_or("AVRO");
                let kind: String = kind.chars().filter(|c| !c.is_control()).take(40).collect();
                return Err(Error::invalid_schema(format!("schemaType {kind} is not supported; it must be JSON")));
            }
        }
        let has_rules = |rules: &serde_json::Value| match rules {
            serde_json::Value::Object(map) => map.values().any(|rules| rules.as_array().is_some_and(|r| !r.is_empty())),
            other => !other.is_null(),
        };
        if self.rule_set.as_ref().is_some_and(has_rules) {
            return Err(Error::invalid_rules());
        }
        let text = self.schema.ok_or_else(|| Error::invalid_schema("schema is missing"))?;
        let reference = |given: ReferenceBody| {
            let version = match given.version {
                -1 => latest(&given.subject),
                version => u32::try_from(version).ok().filter(|version| *version != 0),
            };
            let ReferenceBody { name, subject, .. } = given;
            let none = || {
                let message = format!(
                    "reference {} has no version of {}; expected a version, from 1",
                    brief(&name),
                    brief(&subject)
                );
                Error::invalid_schema(message)
            };
            Ok(wire::SchemaReference { version: version.ok_or_else(none)?, name, subject })
        };
        let references: Result<_, Error> = self.references.unwrap_or_default().into_iter().map(reference).collect();
        let metadata = self.metadata.map(|given| wire::SchemaMetadata {
            properties: (given.properties.unwrap_or_default().into_iter())
                .map(|(key, value)| wire::MetadataProperty { key, value })
                .collect(),
            tags: (given.tags.unwrap_or_default().into_iter())
                .map(|(path, tags)| wire::MetadataTags { path, tags })
                .collect(),
            sensitive: given.sensitive.unwrap_or_default(),
        });
        let positive = |number: Option<i64>| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
        Ok(wire::Schema {
            name: subject.to_string(),
            text,
            references: references?,
            metadata,
            id: positive(self.id),
            version: positive(self.version),
            ..Default::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(query: &str) -> Ask {
        let identity = Identity::parse("spiffe://d/agency/a/operator/b", "d").expect("an identity");
        Ask { identity, path: HashMap::new(), query: query_of(query) }
    }

    #[test]
    fn flags_are_read_in_any_case_and_nonsense_is_told() {
        for (query, expected) in [
            ("", Some(false)),
            ("normalize", Some(false)),
            ("normalize=", Some(false)),
            ("normalize=True", Some(true)),
            ("normalize=FALSE&other=1", Some(false)),
            ("normalize=false&normalize=true", Some(true)),
            ("normaliz%65=%74rue", Some(true)),
            ("normalize=yes", None),
            ("normalize=%ff", None),
        ] {
            assert_eq!(ask(query).flag("normalize").ok(), expected, "{query}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_told_without_its_values() {
        for (body, told) in [
            (r#"{"id": "bí mật"}"#, "expected i64 at line 1 column"),
            (r#"{"schema": ["bí mật, expected nothing"]}"#, "expected a string at line 1 column"),
            (r#"{"references": [{"name": "bí mật"}]}"#, "missing field `subject` at line 1 column"),
            (r#"{"schema": "bí mật"#, "EOF while parsing a string at line 1 column"),
        ] {
            let error = serde_json::from_str::<SchemaBody>(body).expect_err("refused");
            let text = without_value(&error);
            assert!(text.starts_with(told) && !text.contains("mật"), "{text}");
        }
    }

    #[test]
    fn lists_are_paged() {
        let page = |query: &str| ask(query).page(1..=5).ok();
        assert_eq!(page(""), Some(vec![1, 2, 3, 4, 5]));
        assert_eq!(page("offset=1&limit=2"), Some(vec![2, 3]));
        assert_eq!(page("limit=-1&offset=9"), Some(vec![]));
        assert_eq!(page("limit=x"), None);
        assert_eq!(page("offset=-1"), None);
    }
}
