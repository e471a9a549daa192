//! The dictionary in the control state: life cycle, effective dates, and what a change of a code list touches.

use ldop_contract::{
    catalog::v1::{Agency, Agreement, Dataset, Provider, System},
    control::v1::{Change, change::Resource},
    exchange::v1::Stage as WireStage,
    registry::v1::{Code, CodeList, Element, ElementStatus, Schema, Sensitivity, ValueType},
};
use ldop_control::{ControlState, Impact, Refused, impact::CodeChangeKind};
use ldop_types::{Date, Stage, TimestampMs};

fn element(id: &str, change: impl FnOnce(&mut Element)) -> Resource {
    let mut element = Element {
        id: id.into(),
        name_vi: "Tên".into(),
        r#type: ValueType::String.into(),
        sensitivity: Sensitivity::None.into(),
        ..Element::default()
    };
    change(&mut element);
    Resource::Element(element)
}

fn schema(name: &str, element: &str) -> Resource {
    let text = format!(
        r#"{{"type": "object", "required": ["id"], "properties": {{
            "id": {{"type": "string", "x-ldop-element": "key"}},
            "value": {{"type": "string", "x-ldop-element": "{element}"}}}}}}"#
    );
    Resource::Schema(Schema { name: name.into(), text, ..Schema::default() })
}

fn code(code: &str, valid_to: &str, successors: &[&str]) -> Code {
    Code {
        code: code.into(),
        label_vi: format!("Mã {code}"),
        valid_to: valid_to.into(),
        successors: successors.iter().map(ToString::to_string).collect(),
        ..Code::default()
    }
}

fn list(codes: Vec<Code>) -> Resource {
    Resource::CodeList(CodeList { id: "communes".into(), name_vi: "Xã".into(), codes, ..CodeList::default() })
}

fn after(
    state: &ControlState,
    time: i64,
    resources: impl IntoIterator<Item = Resource>,
) -> Result<ControlState, Refused> {
    let changes: Vec<Change> = resources.into_iter().map(|resource| Change { resource: Some(resource) }).collect();
    state.after(&changes, "operator", TimestampMs(time))
}

fn refused(result: Result<ControlState, Refused>) -> Vec<String> {
    result.expect_err("refused").problems.into_iter().map(|problem| problem.field).collect()
}

#[test]
fn the_hub_writes_down_who_moved_an_element_and_when() {
    let with = |status: ElementStatus| element("a", |e| e.status = status.into());
    let mut state = after(&ControlState::default(), 1, [with(ElementStatus::Proposed)]).expect("new");
    for (time, status) in [(2, ElementStatus::InReview), (3, ElementStatus::Consulted), (4, ElementStatus::Registered)]
    {
        state = after(&state, time, [with(status)]).expect("a move");
    }
    // Sent again, as a folder is that is applied twice.
    state = after(&state, 5, [with(ElementStatus::Registered)]).expect("nothing new");
    let stored = &state.stored.elements["a"];
    let told: Vec<_> = stored.history.iter().map(|m| (m.status(), m.author.as_str(), m.time_ms, m.version)).collect();
    assert_eq!(
        told,
        [
            (ElementStatus::Proposed, "operator", 1, 1),
            (ElementStatus::InReview, "operator", 2, 2),
            (ElementStatus::Consulted, "operator", 3, 3),
            (ElementStatus::Registered, "operator", 4, 4),
        ]
    );
    assert_eq!(refused(after(&state, 6, [with(ElementStatus::Retired)])), ["changes[0].element(a).status"]);
}

#[test]
fn new_schema_versions_bind_registered_elements_and_old_ones_go_on() {
    let with = |status: ElementStatus| element("a", |e| e.status = status.into());
    let key = || element("key", |_| {});
    let at = "changes[2].schema(s)#/properties/value/x-ldop-element";
    let unready = [with(ElementStatus::Consulted), key(), schema("s", "a")];
    assert_eq!(refused(after(&ControlState::default(), 1, unready)), [at]);
    let ready = [with(ElementStatus::Registered), key(), schema("s", "a")];
    let state = after(&ControlState::default(), 1, ready).expect("registered");
    let state = after(&state, 2, [with(ElementStatus::Deprecated), schema("t", "a")]).expect("deprecated may be bound");
    let state = after(&state, 3, [with(ElementStatus::Retired)]).expect("its schemas go on");
    let state = after(&state, 4, [schema("s", "a")]).expect("the same again is no new version");
    let live = |name: &str| state.schema(name, Stage::Live).expect("is there").get().is_ok();
    assert!(live("s") && live("t"));
    let anew = "changes[0].schema(u)#/properties/value/x-ldop-element";
    assert_eq!(refused(after(&state, 5, [schema("u", "a")])), [anew]);
}

#[test]
fn versions_with_effective_dates_stand_beside_one_another() {
    let version = |max: u32, from: &str| element("a", |e| (e.max_length, e.effective_from) = (Some(max), from.into()));
    let first = after(&ControlState::default(), 1, [version(5, "")]).expect("new");
    let state = after(&first, 2, [version(9, "2027-01-01")]).expect("a later version");
    let max_on = |day: &str| {
        let dictionary = state.dictionary.as_of(Date::parse(day).expect("a day"));
        dictionary.element("a").and_then(|a| a.definition().max_length)
    };
    assert_eq!([max_on("2026-12-31"), max_on("2027-01-01")], [Some(5), Some(9)]);
    assert_eq!(state.stored.elements["a"].version, 2);
    let earlier: Vec<_> = state.stored.earlier_elements["a"].iter().map(|a| (a.version, a.max_length)).collect();
    assert_eq!(earlier, [(1, Some(5))], "versions are kept");
}

#[test]
fn a_parent_cannot_become_narrower_than_its_children() {
    let parent = |max: u32| element("n", |e| e.max_length = Some(max));
    let child = element("p", |e| {
        (e.r#type, e.sensitivity) = (0, 0);
        (e.derives_from, e.max_length) = ("n".into(), Some(30));
    });
    let state = after(&ControlState::default(), 1, [child, parent(50)]).expect("narrower");
    assert_eq!(refused(after(&state, 2, [parent(20)])), ["dictionary.p.max_length"]);
}

/// A world with one list, and an element, a schema, a dataset and an agreement that rest on it.
fn world(codes: Vec<Code>) -> ControlState {
    let name = || "Tên".to_owned();
    let dataset = |id: &str, schema: &str| {
        Resource::Dataset(Dataset {
            id: id.into(),
            name_vi: name(),
            owning_agency: "so-a".into(),
            schema: schema.into(),
            key_fields: vec!["id".into()],
            providers: vec![Provider { system: "so-a/x".into(), stage: WireStage::Live.into() }],
            partitions: 1,
            ..Dataset::default()
        })
    };
    let agreement = |id: &str, dataset: &str, field: &str| {
        Resource::Agreement(Agreement {
            id: id.into(),
            provider: "so-a".into(),
            consumer: "so-a/x".into(),
            dataset: dataset.into(),
            stage: WireStage::Live.into(),
            purpose_vi: name(),
            granted_fields: vec![field.into()],
            ..Agreement::default()
        })
    };
    let resources = [
        list(codes),
        element("commune", |e| e.code_list = "communes".into()),
        element("commune.here", |e| {
            (e.r#type, e.sensitivity) = (0, 0);
            e.derives_from = "commune".into();
        }),
        element("key", |_| {}),
        schema("touched", "commune.here"),
        schema("apart", "key"),
        Resource::Agency(Agency { id: "so-a".into(), name_vi: name(), ..Agency::default() }),
        Resource::System(System { id: "so-a/x".into(), name_vi: name(), ..System::default() }),
        dataset("rests", "touched"),
        dataset("stands", "apart"),
        agreement("grants-it", "rests", "value"),
        agreement("grants-other", "rests", "id"),
        agreement("elsewhere", "stands", "value"),
    ];
    after(&ControlState::default(), 1, resources).unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn impact(before: Vec<Code>, now: Vec<Code>) -> Option<Impact> {
    let Resource::CodeList(wire) = list(now) else { unreachable!("a list") };
    let state = world(before);
    let next = after(&state, 2, [Resource::CodeList(wire)]).expect("a good list");
    Impact::of(&state, next.dictionary.code_list("communes").expect("is there"))
}

#[test]
fn a_change_of_a_list_tells_everything_that_rests_on_it() {
    let before = || vec![code("1", "", &[]), code("2", "", &[]), code("3", "", &[]), code("4", "", &[])];
    let ended = "2027-06-30";
    let now = vec![
        code("1", ended, &["5"]),
        code("2", ended, &["5"]),
        code("3", ended, &["5", "4"]),
        Code { label_vi: "Tên mới".into(), ..code("4", "", &[]) },
        Code { valid_from: "2027-07-01".into(), ..code("5", "", &[]) },
    ];
    let impact = impact(before(), now).expect("codes change");
    let kinds: Vec<_> = impact.changes.iter().map(|change| (change.code.as_str(), change.kind)).collect();
    assert_eq!(
        kinds,
        [
            ("1", CodeChangeKind::Merged),
            ("2", CodeChangeKind::Merged),
            ("3", CodeChangeKind::Split),
            ("4", CodeChangeKind::Relabelled),
            ("5", CodeChangeKind::Added),
        ]
    );
    let text = |ids: Vec<String>| ids.join(" ");
    assert_eq!(text(impact.elements.iter().map(ToString::to_string).collect()), "commune commune.here");
    assert_eq!(text(impact.schemas.iter().map(|used| used.schema.to_string()).collect()), "touched");
    assert_eq!(impact.schemas[0].pointers, ["/properties/value/x-ldop-element"]);
    assert_eq!(text(impact.datasets.iter().map(ToString::to_string).collect()), "rests");
    assert_eq!(text(impact.agreements.iter().map(|used| used.agreement.to_string()).collect()), "grants-it");
    assert_eq!(impact.agreements[0].fields, ["value"]);
    let stopping: Vec<_> = impact.stopping().map(|change| (&*change.code, &*change.valid_to)).collect();
    assert_eq!(stopping, [("1", ended), ("2", ended), ("3", ended)]);
}

#[test]
fn each_kind_of_change_is_told_apart() {
    let moved = |parent: &str| Code { parent: parent.into(), ..code("2", "", &[]) };
    let from = |day: &str| Code { valid_from: day.into(), ..code("2", "", &[]) };
    let ended = "2027-06-30";
    for (before, now, expected) in [
        (code("2", "", &[]), code("2", "", &[]), None),
        (code("2", "", &[]), code("2", ended, &[]), Some(CodeChangeKind::Ended)),
        (code("2", "", &[]), code("2", ended, &["1"]), Some(CodeChangeKind::Merged)),
        (code("2", ended, &[]), code("2", "", &[]), Some(CodeChangeKind::Reopened)),
        (moved(""), moved("1"), Some(CodeChangeKind::Moved)),
        (from("2020-01-01"), from("2021-01-01"), Some(CodeChangeKind::PeriodChanged)),
        (code("2", "", &[]), code("3", "", &[]), Some(CodeChangeKind::Removed)),
    ] {
        let told = impact(vec![code("1", "", &[]), before], vec![code("1", "", &[]), now]);
        let kind = told.and_then(|impact| impact.changes.into_iter().find(|change| change.code == "2"));
        assert_eq!(kind.map(|change| change.kind), expected);
    }
}

#[test]
fn what_datasets_have_for_a_key_has_to_stand_in_every_record() {
    let before = world(vec![code("1", "", &[])]);
    let schema = |text: &str| Resource::Schema(Schema { name: "apart".into(), text: text.into(), ..Schema::default() });
    let optional = r#"{"type": "object", "properties": {
        "id": {"type": "string", "x-ldop-element": "key"}, "value": {"type": "string", "x-ldop-element": "key"}}}"#;
    let fields = refused(after(&before, 2, [schema(optional)]));
    assert_eq!(fields, ["schema(apart)#/required"], "the schema of a dataset that is there");

    let given = before.stored.datasets["stands"].clone();
    let mut given = Dataset::clone(&given);
    given.key_fields = vec!["value".into()];
    let fields = refused(after(&before, 2, [Resource::Dataset(given)]));
    assert_eq!(fields, ["schema(apart)#/required"], "the key of a dataset that is given");
}
