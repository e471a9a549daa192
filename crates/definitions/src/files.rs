//! Schema files that refer to each other: `"$ref": "address.schema.json#/$defs/commune"`.
//!
//! A reference to the file `address.schema.json`, as seen from the file it stands in, is a reference to the registered
//! schema `address`: in the version the hub has of it when the folder is applied, which is the one the folder registers.
//! Without a hub the file itself stands for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use ldop_contract::{
    control::v1::{Change, change::Resource},
    registry::v1 as wire,
};
use ldop_schema_registry::{
    SchemaFinding,
    registry::{
        Reference,
        references::{self, Referred},
    },
};
use ldop_types::{SchemaName, SubjectName, Text};

use crate::{schemas::SchemaText, walk::SchemaFile};

/// How the name of a schema file ends.
pub(crate) const ENDING: &str = ".schema.json";

/// A schema file another one refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileReference {
    /// As `$ref` writes it.
    pub name: String,
    /// A `$ref` that does.
    pub pointer: String,
    /// The schema.
    pub subject: SubjectName,
    /// Whether the file is there.
    pub leads: Leads,
}

/// Where the name of a file leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To a schema file of the folders.
    There,
    /// Nowhere; the file of that name lies elsewhere in the folders.
    Elsewhere(PathBuf),
    /// Nowhere.
    Nowhere,
}

impl FileReference {
    /// As registered. Version 0 is the newest, whichever that will be.
    pub(crate) fn to_reference(&self) -> Reference {
        Reference { name: self.name.clone(), subject: self.subject.clone(), version: 0 }
    }
}

/// The files a text names, each with a pointer to a `$ref` that does; what names no schema file is for the compiler to
/// refuse.
pub(crate) fn named(text: &str) -> Vec<(String, String, SubjectName)> {
    let documents = references::documents(text).unwrap_or_default().into_iter();
    let named = documents.filter_map(|(document, pointer)| {
        let stem = document.rsplit('/').next()?.strip_suffix(ENDING)?;
        let is_relative = !document.contains(':') && !document.starts_with('/');
        let subject = SchemaName::parse(stem).ok().and_then(|_| SubjectName::parse(stem).ok())?;
        is_relative.then_some((document, pointer, subject))
    });
    named.collect()
}

/// Finds out what each schema refers to.
pub(crate) fn resolve(schemas: &mut [SchemaText], files: &[SchemaFile]) {
    let paths: BTreeMap<PathBuf, &Path> = files.iter().map(|file| (plain(&file.path), &*file.path)).collect();
    for schema in schemas {
        let folder = schema.source.file().parent().unwrap_or(Path::new("")).to_owned();
        let references = named(schema.source.text()).into_iter().map(|(name, pointer, subject)| {
            let same_name = || files.iter().find(|file| file.name == subject.as_str());
            let leads = match paths.contains_key(&plain(&folder.join(&name))) {
                true => Leads::There,
                false => same_name().map_or(Leads::Nowhere, |file| Leads::Elsewhere(file.path.clone())),
            };
            FileReference { name, pointer, subject, leads }
        });
        schema.references = references.collect();
    }
}

/// A path without `.` and `..`, as far as the text of it says.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut parts: Vec<Component<'_>> = Vec::new();
    for part in path.components() {
        match (part, parts.last()) {
            (Component::CurDir, _) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.iter().collect()
}

/// Schemas of a folder by name.
pub(crate) struct Library<'f>(BTreeMap<&'f str, &'f SchemaText>);

impl<'f> Library<'f> {
    pub(crate) fn new(schemas: &'f [SchemaText]) -> Self {
        let mut library = BTreeMap::new();
        for schema in schemas {
            // Of two with one name the first counts.
            library.entry(schema.name.as_str()).or_insert(schema);
        }
        Self(library)
    }

    /// All schemas, those referred to before those that refer to them, else in their order.
    pub(crate) fn in_order(&self, schemas: &'f [SchemaText]) -> Vec<&'f SchemaText> {
        let mut order: Vec<&SchemaText> = Vec::with_capacity(schemas.len());
        let mut seen = BTreeSet::new();
        for schema in schemas {
            // What is still to be put, with the number of its references that were looked at.
            let mut open = vec![(schema, 0)];
            if !seen.insert(schema.source.file()) {
                continue;
            }
            while let Some((schema, at)) = open.pop() {
                match schema.references.get(at) {
                    None => order.push(schema),
                    Some(reference) => {
                        open.push((schema, at + 1));
                        if let Some(next) = self.0.get(reference.subject.as_str())
                            && seen.insert(next.source.file())
                        {
                            open.push((*next, 0));
                        }
                    }
                }
            }
        }
        order
    }

    /// Every schema that one refers to, at once or by way of others, with the reference of its own that leads there.
    pub(crate) fn reached(&self, schema: &'f SchemaText) -> BTreeMap<&'f str, Reached<'f>> {
        let mut reached = BTreeMap::new();
        let mut open: Vec<(&FileReference, &FileReference)> =
            schema.references.iter().rev().map(|own| (own, own)).collect();
        while let Some((own, reference)) = open.pop() {
            let name = reference.subject.as_str();
            if reached.contains_key(name) {
                continue;
            }
            let found = self.0.get(name).copied().filter(|_| reference.leads == Leads::There);
            reached.insert(name, Reached { own, found });
            open.extend(found.into_iter().flat_map(|next| &next.references).map(|reference| (own, reference)));
        }
        reached
    }

    /// The text together with what it refers to.
    pub(crate) fn bundle(&self, schema: &SchemaText) -> Result<String, Vec<SchemaFinding>> {
        let references = |schema: &SchemaText| schema.references.iter().map(FileReference::to_reference).collect();
        let load = |reference: &Reference| {
            let found = self.0.get(reference.subject.as_str())?;
            let references: Vec<Reference> = references(found);
            Some(Referred { text: found.source.text().into(), references: references.into() })
        };
        let own: Vec<Reference> = references(schema);
        references::bundle(schema.source.text(), &own, load)
    }
}

/// The text of a schema of a change set together with what it refers to there: what the hub would make of it. Where
/// something is not in the change set, the text as it is and its references.
#[must_use]
pub fn bundled(schema: &wire::Schema, changes: &[Change]) -> (String, Vec<wire::SchemaReference>) {
    let parse = |given: &wire::SchemaReference| {
        let subject = SubjectName::parse(&given.subject).ok()?;
        Some(Reference { name: given.name.clone(), subject, version: given.version })
    };
    let all = |schema: &wire::Schema| schema.references.iter().map(parse).collect::<Option<Vec<_>>>();
    let load = |reference: &Reference| {
        let mut schemas = changes.iter().filter_map(|change| match &change.resource {
            Some(Resource::Schema(schema)) => Some(schema),
            _ => None,
        });
        let found = schemas.find(|schema| schema.name == reference.subject.as_str())?;
        Some(Referred { text: found.text.as_str().into(), references: all(found)?.into() })
    };
    match all(schema).map(|references| references::bundle(&schema.text, &references, load)) {
        Some(Ok(text)) => (text, Vec::new()),
        _ => (schema.text.clone(), schema.references.clone()),
    }
}

/// A schema that another one refers to.
pub(crate) struct Reached<'f> {
    /// The reference of the other one that leads here.
    pub own: &'f FileReference,
    /// The schema; none where it does not lie in the folders.
    pub found: Option<&'f SchemaText>,
}

/// A finding in a text with what it refers to, where the schema's own file has it.
pub(crate) enum Placed {
    /// In the file, or at the reference that leads to it.
    Here(SchemaFinding),
    /// In a schema it refers to, with the pointer there.
    In(String, String, SchemaFinding),
}

/// Leads a finding of a bundled text back to the file.
pub(crate) fn placed(schema: &SchemaText, reached: &BTreeMap<&str, Reached<'_>>, mut finding: SchemaFinding) -> Placed {
    if let Some(rest) = finding.pointer.strip_prefix("/references/") {
        // By name; what is referred to by way of others has names of their own.
        let is_of =
            |r: &&FileReference| rest.strip_prefix(r.name.as_str()).is_some_and(|r| r.is_empty() || r.starts_with('/'));
        let reference = schema.references.iter().find(is_of).or(schema.references.first());
        if let Some(reference) = reference {
            finding.pointer.clone_from(&reference.pointer);
        }
        return Placed::Here(finding);
    }
    let inner = finding.pointer.strip_prefix("/$defs/").and_then(|rest| {
        let (key, inner) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let name = key.strip_suffix("@0")?;
        Some((name.to_owned(), inner.to_owned(), reached.get(name)?.own))
    });
    match inner {
        None => Placed::Here(finding),
        Some((name, inner, own)) => {
            let place = format!("{name}{ENDING}#{inner}");
            finding.pointer.clone_from(&own.pointer);
            finding.message =
                Text::new(format!("{place}: {}", finding.message.vi), format!("{place}: {}", finding.message.en));
            Placed::In(name, inner, finding)
        }
    }
}
