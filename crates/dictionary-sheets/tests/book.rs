//! The book: everything is in it, every link leads somewhere, and no text becomes anything but text.

use std::{collections::BTreeSet, path::Path};

use ldop_contract::control::v1::change::Resource;
use ldop_definitions::{References, load};
use ldop_dictionary::{CodeDefinition, CodeListDefinition, CodePairDefinition, ElementDefinition, ValueMapDefinition};
use ldop_dictionary_sheets::{Definitions, book::Book};

fn published() -> (Definitions, Vec<(String, String)>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let loaded = load(&[folder], References::Within).expect("the published folder is right");
    let schemas = loaded.changes.iter().filter_map(|(_, change)| match &change.resource {
        Some(Resource::Schema(schema)) => Some((schema.name.clone(), schema.text.clone())),
        _ => None,
    });
    let schemas = schemas.collect();
    (Definitions::new(loaded.elements, loaded.code_lists), schemas)
}

/// Values of an attribute, wherever it stands.
fn attributes<'h>(html: &'h str, name: &str) -> Vec<&'h str> {
    let begin = format!(" {name}=\"");
    html.match_indices(&begin)
        .map(|(at, _)| {
            let value = &html[at + begin.len()..];
            &value[..value.find('"').expect("quotes are closed")]
        })
        .collect()
}

#[test]
fn the_published_dictionary_is_all_there_and_every_link_leads_somewhere() {
    let (definitions, schemas) = published();
    let html = Book { title: "Từ điển dữ liệu", definitions: &definitions, schemas: &schemas }.html();
    let all = attributes(&html, "id");
    let ids: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(ids.len(), all.len(), "no id stands twice");
    for element in &definitions.elements {
        assert!(ids.contains(format!("element:{}", element.id).as_str()), "{}", element.id);
    }
    for list in &definitions.code_lists {
        assert!(ids.contains(format!("list:{}", list.id).as_str()), "{}", list.id);
    }
    let links = attributes(&html, "href");
    assert!(links.len() > definitions.elements.len());
    for link in links {
        let target = link.strip_prefix('#').unwrap_or_else(|| panic!("{link} leads out of the page"));
        assert!(ids.contains(target), "{link} leads nowhere");
    }
    assert!(attributes(&html, "src").is_empty() && !html.contains("url(") && !html.contains("@import"));
    assert!(html.contains("commune: <code>/properties/code</code>"), "schemas that use an element are named");
    assert!(html.contains("so dinh danh ca nhan"), "found without diacritics");
    assert!(html.contains("kế thừa"), "inherited attributes are marked");
}

#[test]
fn hostile_texts_stay_text() {
    const HOSTILE: &str =
        "</title></script><script>alert(1)</script><img src=x onerror=alert(2)>\"' onclick='a'&amp;--><!--";
    let text = || HOSTILE.to_owned();
    let element = ElementDefinition {
        id: text(),
        name_vi: text(),
        name_en: format!("{HOSTILE} en"),
        definition_vi: text(),
        definition_en: format!("{HOSTILE} en"),
        value_type: text(),
        pattern: text(),
        domain: text(),
        code_list: text(),
        derives_from: text(),
        sensitivity: text(),
        status: text(),
        synonyms: vec![text()],
        relations: vec![(text(), text())],
        business_attributes: vec![(text(), text())],
        ..ElementDefinition::default()
    };
    let code = CodeDefinition {
        code: text(),
        label_vi: text(),
        label_en: text(),
        valid_from: text(),
        valid_to: text(),
        parent: text(),
        successors: vec![text()],
    };
    let list = CodeListDefinition {
        id: text(),
        name_vi: text(),
        name_en: format!("{HOSTILE} en"),
        source: text(),
        codes: vec![code],
        value_maps: vec![ValueMapDefinition {
            to: text(),
            source: text(),
            pairs: vec![CodePairDefinition { from: text(), to: text() }],
        }],
    };
    let schema =
        format!(r#"{{"properties":{{{0}:{{"x-ldop-element":{0}}}}}}}"#, serde_json::to_string(HOSTILE).expect("JSON"));
    let definitions = Definitions::new(vec![element], vec![list]);
    let html = Book { title: HOSTILE, definitions: &definitions, schemas: &[(text(), schema)] }.html();
    assert_eq!(html.matches("<script").count(), 1, "ours alone");
    assert_eq!(html.matches("</title>").count(), 1);
    assert!(!html.contains("<img") && !html.contains("<!--"));
    assert!(attributes(&html, "onclick").is_empty() && attributes(&html, "onerror").is_empty());
    assert!(html.contains("&lt;img src=x onerror=alert(2)&gt;&quot;&#39; onclick=&#39;a&#39;&amp;amp;"));
}

#[test]
fn a_circle_of_parents_ends() {
    let element = |id: &str, parent: &str| ElementDefinition {
        id: id.to_owned(),
        name_vi: id.to_owned(),
        derives_from: parent.to_owned(),
        ..ElementDefinition::default()
    };
    let definitions = Definitions::new(vec![element("a", "b"), element("b", "a")], Vec::new());
    let html = Book { title: "x", definitions: &definitions, schemas: &[] }.html();
    assert!(html.contains("id=\"element:a\""));
}
