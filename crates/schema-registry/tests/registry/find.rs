//! Where values of certain elements stand in a record.

use ldop_dictionary::{CodeDefinition, CodeList, CodeListDefinition, Dictionary, Element, ElementDefinition};
use ldop_schema_registry::{CompiledSchema, Parser};

fn dictionary() -> Dictionary {
    let element = |id: &str, code_list: &str| {
        Element::new(ElementDefinition {
            id: id.into(),
            name_vi: "Tên".into(),
            value_type: "string".into(),
            sensitivity: "none".into(),
            code_list: code_list.into(),
            ..ElementDefinition::default()
        })
        .expect("a good definition")
    };
    let code = |code: &str| CodeDefinition { code: code.into(), label_vi: "Mã".into(), ..CodeDefinition::default() };
    let list = CodeList::new(CodeListDefinition {
        id: "colours".into(),
        name_vi: "Màu".into(),
        codes: vec![code("red"), code("blue")],
        ..CodeListDefinition::default()
    });
    let elements = [element("colour", "colours"), element("text", "")];
    Dictionary::default().with_changes(elements, [list.expect("a good list")]).expect("holds together")
}

#[test]
fn values_are_found_at_whatever_depth_and_names_of_the_record_are_never_told() {
    let text = r##"{
        "type": "object",
        "properties": {
            "a/b": {"type": "string", "x-ldop-element": "colour"},
            "text": {"type": "string", "x-ldop-element": "text"},
            "list": {"type": "array", "items": {"type": "object", "properties": {
                "colour": {"type": ["string", "null"], "x-ldop-element": "colour"},
                "next": {"$ref": "#"}}}},
            "open": {"type": "object", "additionalProperties": {"type": "string", "x-ldop-element": "colour"}}}}"##;
    let schema = CompiledSchema::compile(text, &dictionary()).expect("a good schema");
    let is_meant = |element: &Element| element.code_list().is_some();
    let finder = schema.finder(is_meant).expect("the list is bound");
    let record = r#"{"a/b": "red", "text": "red", "none": "red",
        "list": [{"colour": "blue"}, {"colour": null}, {"colour": "red", "next": {"a/b": "red"}}],
        "open": {"Nguyễn Văn An": "red"}}"#;
    let mut parser = Parser::default();
    let document = parser.parse(record.as_bytes()).expect("well-formed");
    let mut found = Vec::new();
    finder.find(&document, |text| text == "red", |pointer, text| found.push((pointer, text.to_owned())));
    let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/a~1b", "/list/*/colour", "/list/*/next/a~1b", "/open/*"]);
    assert!(found.iter().all(|(_, text)| text == "red"));

    let unbound = r#"{"type": "object", "properties": {"text": {"type": "string", "x-ldop-element": "text"}}}"#;
    let unbound = CompiledSchema::compile(unbound, &dictionary()).expect("a good schema");
    assert!(unbound.finder(is_meant).is_none());
}
