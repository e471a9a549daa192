//! An element in the book.

use ldop_dictionary::ElementDefinition;

use super::{
    Index,
    page::{both, escape, put, searched},
};
use crate::columns::{self, Column, Field, Form};

/// Attributes that stand at the head of an element, not among the others.
const AT_THE_HEAD: [&str; 8] =
    ["id", "name_vi", "name_en", "definition_vi", "definition_en", "usage_vi", "usage_en", "unconfirmed"];

/// What an element inherits where it does not state it itself (docs/dictionary.md).
const INHERITED: [&str; 15] = [
    "type",
    "min_length",
    "max_length",
    "pattern",
    "format",
    "minimum",
    "maximum",
    "code_list",
    "identifier",
    "unit",
    "semantic_type",
    "language",
    "normalisation",
    "normalisation_check",
    "sensitivity",
];

/// Longest chain of parents that is followed: one that leads in a circle has no end.
const MOST_PARENTS: usize = 16;

pub(super) fn article(html: &mut String, element: &ElementDefinition, index: &Index<'_>) {
    let e = element;
    let texts = [&*e.id, &e.name_vi, &e.name_en, &e.technical_name];
    let searched = searched(texts.into_iter().chain(e.synonyms.iter().map(String::as_str)));
    put(
        html,
        format_args!(
            "<article id=\"element:{}\" data-search=\"{searched}\">\n<h3>{}{}</h3>\n<p class=\"id\"><code>{}</code>",
            escape(&e.id),
            both(&e.name_vi, &e.name_en),
            other_name(&e.name_vi, &e.name_en),
            escape(&e.id),
        ),
    );
    badges(html, e, sensitivity(e, index));
    html.push_str("</p>\n");
    for (vi, en) in [(&e.definition_vi, &e.definition_en), (&e.usage_vi, &e.usage_en)] {
        if !(vi.is_empty() && en.is_empty()) {
            put(html, format_args!("<p class=\"text\">{}</p>\n", both(if vi.is_empty() { en } else { vi }, en)));
        }
    }
    html.push_str("<dl>\n");
    for column in columns::elements().iter().filter(|column| !AT_THE_HEAD.contains(&column.about.key)) {
        attribute(html, column, e, index);
    }
    let links =
        |ids: Option<&Vec<&str>>| ids.into_iter().flatten().map(|id| index.element_link(id)).collect::<Vec<_>>();
    row(html, ("Phần tử kế thừa", "Derived elements"), &links(index.derived.get(&*e.id)));
    let uses = index.uses.get(&e.id).map(Vec::as_slice).unwrap_or_default();
    let uses: Vec<String> = uses
        .iter()
        .map(|used| {
            let pointers: Vec<_> = used.pointers.iter().map(|p| format!("<code>{}</code>", escape(p))).collect();
            format!("{}: {}", escape(used.schema), pointers.join(" "))
        })
        .collect();
    row(html, ("Lược đồ sử dụng", "Schemas that use it"), &uses);
    html.push_str("</dl>\n</article>\n");
}

/// The name in the language that the page does not show, small.
fn other_name(vi: &str, en: &str) -> String {
    if en.is_empty() || en == vi { String::new() } else { format!(" <small>{}</small>", both(en, vi)) }
}

/// The element's own, or that of the nearest parent that states one.
fn sensitivity<'e>(element: &'e ElementDefinition, index: &Index<'e>) -> &'e str {
    let mut at = Some(element);
    for _ in 0..MOST_PARENTS {
        match at {
            Some(element) if element.sensitivity.is_empty() => at = index.elements.get(&*element.derives_from).copied(),
            _ => break,
        }
    }
    at.map_or("", |element| &element.sensitivity)
}

fn badges(html: &mut String, element: &ElementDefinition, sensitivity: &str) {
    let mut badge = |class: &str, vi: &str, en: &str| {
        put(html, format_args!(" <span class=\"badge {class}\">{}</span>", both(vi, en)));
    };
    match sensitivity {
        "basic_personal" => badge("personal", "dữ liệu cá nhân cơ bản", "basic personal data"),
        "sensitive_personal" => badge("sensitive", "dữ liệu cá nhân nhạy cảm", "sensitive personal data"),
        _ => {}
    }
    match &*element.status {
        "proposed" => badge("status", "đề xuất", "proposed"),
        "in_review" => badge("status", "đang rà soát", "in review"),
        "consulted" => badge("status", "đã lấy ý kiến", "consulted"),
        "deprecated" => badge("status", "sắp thay thế", "deprecated"),
        "retired" => badge("status", "hết hiệu lực", "retired"),
        _ => {}
    }
    if element.unconfirmed {
        badge("unconfirmed", "chưa kiểm chứng", "unconfirmed");
    }
}

fn attribute(html: &mut String, column: &Column<ElementDefinition>, element: &ElementDefinition, index: &Index<'_>) {
    let key = column.about.key;
    let mut values = values(column, element, index);
    if values.is_empty() && INHERITED.contains(&key) {
        let mut parent = index.elements.get(&*element.derives_from);
        for _ in 0..MOST_PARENTS {
            let Some(from) = parent.filter(|_| values.is_empty()) else { break };
            values = self::values(column, from, index);
            if let Some(last) = values.last_mut() {
                put(last, format_args!(" <small>({})</small>", both("kế thừa", "inherited")));
            }
            parent = index.elements.get(&*from.derives_from);
        }
    }
    row(html, (column.about.title, &english(key)), &values);
}

/// What stands in an attribute, as HTML; empty: nothing.
fn values(column: &Column<ElementDefinition>, element: &ElementDefinition, index: &Index<'_>) -> Vec<String> {
    // The description of a column leads to what it holds for writing, too.
    let mut element = element.clone();
    let word = |text: &String| match column.form {
        Form::Word(_) | Form::Code | Form::Decimal | Form::Day => format!("<code>{}</code>", escape(text)),
        Form::Free => escape(text),
    };
    match &column.field {
        Field::Text(field) => {
            let text = field(&mut element);
            match column.about.key {
                _ if text.is_empty() => Vec::new(),
                "domain" => vec![format!("<a href=\"#domain:{}\">{}</a>", escape(text), index.domain_name(text))],
                "code_list" => vec![index.list_link(text)],
                "derives_from" => vec![index.element_link(text)],
                "pattern" | "technical_name" | "semantic_type" | "unit" => {
                    vec![format!("<code>{}</code>", escape(text))]
                }
                _ => vec![word(text)],
            }
        }
        Field::Count(field) => field(&mut element).iter().map(ToString::to_string).collect(),
        Field::Flag(field) if *field(&mut element) => vec![both("có", "yes")],
        Field::Flag(_) => Vec::new(),
        Field::Texts(field) => field(&mut element).iter().map(word).collect(),
        Field::Pairs(field, ':') => {
            let relation =
                |(kind, id): &(String, String)| format!("<code>{}</code> {}", escape(kind), index.element_link(id));
            field(&mut element).iter().map(relation).collect()
        }
        Field::Pairs(field, _) => {
            let pair = |(name, value): &(String, String)| format!("<code>{}</code> {}", escape(name), escape(value));
            field(&mut element).iter().map(pair).collect()
        }
    }
}

/// A row of the attributes, where there is a value.
pub(super) fn row(html: &mut String, (vi, en): (&str, &str), values: &[String]) {
    match values {
        [] => {}
        [one] => put(html, format_args!("<dt>{}</dt><dd>{one}</dd>\n", both(vi, en))),
        several => {
            put(html, format_args!("<dt>{}</dt><dd><ul>", both(vi, en)));
            several.iter().for_each(|value| put(html, format_args!("<li>{value}</li>")));
            html.push_str("</ul></dd>\n");
        }
    }
}

/// `legal_basis` as `Legal basis`.
fn english(key: &str) -> String {
    let mut chars = key.chars();
    chars
        .next()
        .map(|first| first.to_uppercase().chain(chars).collect::<String>().replace('_', " "))
        .unwrap_or_default()
}
