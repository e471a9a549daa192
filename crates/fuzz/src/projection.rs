//! Projection: granted fields and nothing else, of whatever the parser accepts.

use ldop_schema_registry::{Grant, Parser};

use crate::record::same;

const GRANTED: [&str; 9] =
    ["register_no", "full_name", "father", "parcel_id", "holders", "tax_id", "code", "a", "nothing has this name"];

pub(crate) fn run(data: &[u8]) {
    let granted_fields = GRANTED.map(str::to_owned);
    let grant = Grant { granted_fields: &granted_fields, masks: &[], row_condition: "", key_fields: &[] };
    let view = grant.view(None, b"key");
    let (mut parser, mut reduced) = (Parser::default(), Vec::new());
    let applied = view.show(&mut parser, data, &mut reduced);
    let Ok(document) = parser.parse(data) else { return };
    let mut whole = document.root().to_tree();
    let Some(members) = whole.as_object_mut() else {
        assert!(applied.is_err(), "only an object is a record");
        return;
    };
    applied.expect("an accepted object is projected");
    members.retain(|name, _| GRANTED.contains(&name.as_str()));
    let mut again = Parser::default();
    let document = again.parse(&reduced).expect("a projection is well-formed");
    assert!(same(&document.root().to_tree(), &whole), "granted fields, all of them and as they were");
    let mut twice = Vec::new();
    view.show(&mut Parser::default(), &reduced, &mut twice).expect("a projection can be projected");
    assert!(twice == reduced, "projecting twice changes nothing");
}
