//! Schemas as operators register them.

use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
use ldop_types::Date;

use crate::{record, world::world};

/// A few records to ask a compiled schema about.
const RECORDS: [&[u8]; 4] = [
    b"{}",
    br#"{"code":"21583","area_m2":-1.5,"holders":[{}]}"#,
    b"[1,\"a\",null]",
    br#"{"a":{"b":[{"c":"2026-02-30"}]}}"#,
];

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match CompiledSchema::compile(text, &world().state.dictionary) {
        Ok(schema) => {
            assert_eq!(schema.text(), text);
            let day = Date::parse("2026-07-01").expect("a day");
            let mut outcome = Outcome::default();
            let mut parser = Parser::default();
            for bytes in RECORDS {
                let document = parser.parse(bytes).expect("well-formed");
                outcome.clear();
                assert_eq!(schema.check(&document, day, &mut outcome), outcome.is_accepted());
                outcome.findings.iter().for_each(record::tells_no_value);
            }
            CompiledSchema::compile(schema.text(), &world().state.dictionary).expect("what compiled compiles again");
        }
        Err(findings) => assert!(!findings.is_empty(), "a refusal says why"),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = world().schemas.iter().map(|(_, schema)| schema.text().as_bytes().to_vec()).collect();
    let small = [
        r#"{"type":"object","required":["code"],"additionalProperties":false,"properties":{"code":{"type":"string","x-ldop-element":"address.commune-code","pattern":"^[0-9]{5}$"}}}"#,
        r##"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","definitions":{"a":{"type":"object"}},"properties":{"a":{"$ref":"#/definitions/a"}}}"##,
        r##"{"$defs":{"n":{"properties":{"n":{"$ref":"#/$defs/n"}}}},"$ref":"#/$defs/n","if":{"required":["n"]},"then":{"minProperties":1}}"##,
        r##"{"type":"object","required":["code"],"properties":{"code":{"type":"string","x-ldop-element":"address.commune-code"},"holders":{"type":"array","items":{"$ref":"#"}}},"x-ldop-rules":[{"id":"r","when":"has(this.holders)","rule":"this.holders.all(h, h.code == this.code || !(h.code in ['1', '2']))","severity":"refuse","at":"/code","message":{"vi":"Sai","en":"Wrong"}}]}"##,
    ];
    seeds.extend(small.map(|text| text.as_bytes().to_vec()));
    seeds
}
