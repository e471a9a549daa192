//! Binds every place a record can have to its element, by walking the schema.
//!
//! A place is seen by several subschemas at once: `properties` of the schema itself, of what it refers to, of the
//! branches of `allOf`, `anyOf`, `oneOf` and conditions. They are gathered into one set, and places with equal sets are
//! one, so schemas that refer to themselves end too.

mod checks;
mod looser;
mod rules;
mod shortcut;
mod sites;
pub(super) mod types;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jsonschema::Draft;
use ldop_dictionary::{Dictionary, Element};
use ldop_types::{Sensitivity, Text};
use serde_json::Value;

use super::{
    ELEMENT_KEYWORD, RULES_KEYWORD, SchemaFinding, SchemaRule, TopLevelField,
    plan::{Bound, Field, FieldName, Fields, Place, PlaceId, Plan, Shortcut},
};
use sites::{Site, SiteKey, Sites, Strength};
use types::{ANY, NULL, OBJECT, SCALARS, Types};

/// Most different places of one schema.
const MAX_PLACES: usize = 20_000;

/// Compiles the plan of a schema, or adds what hinders it to `findings`.
pub(super) fn bind(
    tree: &Value,
    draft: Draft,
    dictionary: &Dictionary,
    findings: &mut Vec<SchemaFinding>,
) -> Option<Plan> {
    let before = findings.len();
    let mut binder = Binder {
        dictionary,
        sites: Sites::new(tree, draft),
        types: Types::default(),
        places: Vec::new(),
        known: HashMap::new(),
        queue: VecDeque::new(),
        is_quick: true,
        checks: Vec::new(),
        rules: Vec::new(),
        permitted: Vec::new(),
        members: Vec::new(),
        bindings: Vec::new(),
        looser: Vec::new(),
        required: BTreeSet::new(),
        findings,
    };
    binder.check_root(tree);
    binder.place_of(vec![Site::root(tree)]);
    while let Some((place, sites)) = binder.queue.pop_front() {
        binder.fill(place, &sites);
    }
    binder.resolve_checks();
    binder.resolve_rules();
    let Binder { mut places, sites, is_quick, bindings, looser, required, .. } = binder;
    places.iter_mut().for_each(Place::take_notes);
    findings.extend(sites.findings);
    let prefixes = dictionary.code_list(ldop_dictionary::identifier::PREFIX_LIST).cloned();
    (findings.len() == before).then_some(Plan { places, prefixes, is_quick, bindings, looser, required })
}

/// Whether something within the place is bound to an element of which `is_meant` holds.
pub(super) fn holds_within(plan: &Plan, id: PlaceId, is_meant: &dyn Fn(&Element) -> bool) -> bool {
    places_within(plan, id).any(|place| place.element.as_ref().is_some_and(|bound| is_meant(&bound.element)))
}

/// The root's fields with the sensitivity of all each contains.
pub(super) fn top_level_fields(plan: &Plan) -> Vec<TopLevelField> {
    let root = plan.place(0);
    let field = |(name, id): (&str, PlaceId)| TopLevelField {
        name: name.to_owned(),
        element: plan.place(id).element.as_ref().map(|bound| bound.element.id().clone()),
        sensitivity: sensitivity_within(plan, id),
        is_required: plan.required.contains(name),
        names_null: plan.place(id).names_null,
    };
    root.fields.iter().map(field).collect()
}

fn sensitivity_within(plan: &Plan, id: PlaceId) -> Sensitivity {
    let of_element = |bound: &Bound| bound.element.sensitivity();
    let own = |place: &Place| place.element.as_ref().map_or(Sensitivity::None, of_element).max(place.stated);
    places_within(plan, id).map(own).max().unwrap_or(Sensitivity::None)
}

/// A place and all that can stand within it, each once.
fn places_within(plan: &Plan, id: PlaceId) -> impl Iterator<Item = &Place> {
    let mut seen = vec![false; plan.places.len()];
    let mut left = vec![id];
    std::iter::from_fn(move || {
        while let Some(id) = left.pop() {
            if std::mem::replace(&mut seen[id as usize], true) {
                continue;
            }
            let place = plan.place(id);
            left.extend(place.fields.iter().map(|(_, id)| id));
            left.extend(place.prefix.iter().copied().chain(place.rest).chain(place.items));
            return Some(place);
        }
        None
    })
}

struct Binder<'s, 'f> {
    dictionary: &'f Dictionary,
    sites: Sites<'s>,
    types: Types,
    places: Vec<Place>,
    known: HashMap<Vec<SiteKey>, PlaceId>,
    queue: VecDeque<(PlaceId, Vec<Site<'s>>)>,
    /// Whether the shortcut knows every keyword so far.
    is_quick: bool,
    /// Comparisons wait until all places have their elements.
    checks: Vec<(PlaceId, String, &'s Value)>,
    /// So do rules.
    rules: Vec<rules::Waiting<'s>>,
    /// What each place may hold, as far as is known.
    permitted: Vec<u8>,
    /// The members that are there in every object of each place.
    members: Vec<BTreeSet<String>>,
    bindings: Vec<(String, Element)>,
    looser: Vec<SchemaFinding>,
    required: BTreeSet<String>,
    findings: &'f mut Vec<SchemaFinding>,
}

impl<'s> Binder<'s, '_> {
    fn check_root(&mut self, tree: &'s Value) {
        let has_properties = tree.get("properties").and_then(Value::as_object).is_some_and(|map| !map.is_empty());
        if self.types.permitted(&self.sites, tree) & !OBJECT != 0 || !has_properties {
            self.add(
                "",
                SchemaRule::Root,
                Text::new(
                    "bản ghi phải là một đối tượng có các trường nêu tên",
                    "a record must be an object with named fields",
                ),
                Text::new(
                    "ghi \"type\": \"object\" và \"properties\" ở gốc",
                    "write \"type\": \"object\" and \"properties\" at the root",
                ),
            );
        }
    }

    fn add(&mut self, pointer: &str, rule: SchemaRule, message: Text, remedy: Text) {
        self.findings.push(SchemaFinding { pointer: pointer.to_owned(), element: None, rule, message, remedy });
    }

    /// The place seen by these subschemas and all they apply in place.
    fn place_of(&mut self, seeds: Vec<Site<'s>>) -> PlaceId {
        let sites = self.sites.expand(seeds);
        let mut key: Vec<SiteKey> = sites.iter().map(Site::key).collect();
        key.sort_unstable();
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        if self.places.len() >= MAX_PLACES {
            self.add(
                "",
                SchemaRule::Root,
                Text::new("lược đồ có quá nhiều vị trí", "the schema has too many places"),
                Text::new(format!("tối đa {MAX_PLACES} vị trí"), format!("at most {MAX_PLACES} places")),
            );
            // The root always exists by now; the finding refuses the schema.
            return 0;
        }
        let id = self.places.len() as PlaceId;
        self.places.push(Place::default());
        self.permitted.push(ANY);
        self.members.push(BTreeSet::new());
        self.known.insert(key, id);
        self.queue.push_back((id, sites));
        id
    }

    fn fill(&mut self, id: PlaceId, sites: &[Site<'s>]) {
        let (element, permitted) = self.element(id, sites);
        let stated = self.stated_sensitivity(sites, element.as_ref());
        if id == 0 {
            self.required = self.required(sites);
        }
        let shortcut = Shortcut::of(&self.sites, sites, element.as_ref());
        self.is_quick &= shortcut.is_some();
        let shortcut = shortcut.unwrap_or_default();
        let place = Place {
            fields: self.fields(sites, &shortcut),
            types: shortcut.types,
            tests: shortcut.tests,
            is_closed: !shortcut.closed.is_empty(),
            required: shortcut.required.len(),
            names_null: permitted != ANY && permitted & NULL != 0,
            element,
            stated,
            rest: self.rest(sites),
            prefix: self.prefix(sites),
            items: self.items(sites),
            checks: Vec::new(),
            rules: Vec::new(),
        };
        self.places[id as usize] = place;
        for site in sites.iter().filter(|site| site.strength != Strength::Condition) {
            if let Some(checks) = site.keyword(super::CHECKS_KEYWORD) {
                self.checks.push((id, site.pointer_to(&[super::CHECKS_KEYWORD]), checks));
            }
        }
        // Also where they ask nothing, so that nobody takes them for asked.
        for site in sites {
            if let Some(list) = site.keyword(RULES_KEYWORD) {
                let pointer = site.pointer_to(&[RULES_KEYWORD]);
                let is_always = site.strength == Strength::Always && !self.sites.refers_only(site.schema);
                self.rules.push(rules::Waiting { place: id, pointer, is_always, list });
            }
        }
        self.note_shape(id, sites);
    }

    /// Keeps what rules ask of a place.
    fn note_shape(&mut self, id: PlaceId, sites: &[Site<'s>]) {
        let binding: Vec<&Site<'s>> = sites.iter().filter(|site| site.strength != Strength::Condition).collect();
        self.permitted[id as usize] = self.permitted(&binding).unwrap_or(ANY);
        self.members[id as usize] = self.required(sites);
    }

    /// Names that every record has.
    fn required(&self, sites: &[Site<'s>]) -> BTreeSet<String> {
        let always = sites.iter().filter(|site| site.strength == Strength::Always);
        let stated = always.filter(|site| !self.sites.refers_only(site.schema));
        let lists = stated.filter_map(|site| site.keyword("required")?.as_array());
        lists.flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
    }

    /// The element of a place, or a finding; and the types that the schema permits there.
    fn element(&mut self, id: PlaceId, sites: &[Site<'s>]) -> (Option<Bound>, u8) {
        let binding: Vec<&Site<'s>> = sites.iter().filter(|site| site.strength != Strength::Condition).collect();
        match self.permitted(&binding) {
            Some(permitted) => (self.element_of(id, &binding, permitted), permitted),
            None => (None, ANY),
        }
    }

    fn element_of(&mut self, id: PlaceId, binding: &[&Site<'s>], permitted: u8) -> Option<Bound> {
        let named: Vec<(&Site<'s>, &Value)> =
            binding.iter().filter_map(|site| site.keyword(ELEMENT_KEYWORD).map(|id| (*site, id))).collect();
        let Some((site, name)) = named.first() else {
            if id != 0 && permitted & SCALARS != 0 {
                self.unbound(binding[0]);
            }
            return None;
        };
        let pointer = site.pointer_to(&[ELEMENT_KEYWORD]);
        if let Some((_, other)) = named.iter().find(|(_, other)| other != name) {
            self.conflict(&pointer, name, other);
            return None;
        }
        let Some(element) = name.as_str().and_then(|id| self.dictionary.element(id)).cloned() else {
            self.unknown(&pointer, name);
            return None;
        };
        let own = types::of_element(element.value_type());
        let present = permitted & !NULL;
        if permitted != ANY && (present & !own != 0 || (present & own == 0 && present != 0)) {
            self.misfit(&site.pointer, &element, present);
            return None;
        }
        let codes = self.dictionary.codes_of(&element).cloned();
        self.compare(binding, &element, codes.as_ref());
        self.bindings.push((pointer, element.clone()));
        Some(Bound { element, codes })
    }

    /// The types a place may hold; none if only conditions look at it.
    fn permitted(&mut self, binding: &[&Site<'s>]) -> Option<u8> {
        let mut always = binding.iter().filter(|site| site.strength == Strength::Always).peekable();
        if always.peek().is_some() {
            let types = &mut self.types;
            let permitted = always.map(|site| types.permitted(&self.sites, site.schema));
            return permitted.reduce(|all, one| all & one);
        }
        let types = &mut self.types;
        binding.iter().map(|site| types.permitted(&self.sites, site.schema)).reduce(|all, one| all | one)
    }

    fn fields(&mut self, sites: &[Site<'s>], shortcut: &Shortcut) -> Fields {
        let mut by_name: BTreeMap<&'s str, Vec<Site<'s>>> = BTreeMap::new();
        for site in sites {
            for (name, child) in site.children("properties") {
                by_name.entry(name).or_default().push(child);
            }
        }
        if by_name.len() > Fields::MAX {
            self.add(
                &sites[0].pointer,
                SchemaRule::Root,
                Text::new("đối tượng có quá nhiều trường", "the object has too many fields"),
                Text::new(format!("tối đa {} trường", Fields::MAX), format!("at most {} fields", Fields::MAX)),
            );
            return Fields::default();
        }
        let fields = by_name.into_iter().map(|(name, sites)| Field {
            name: FieldName::new(name),
            place: self.place_of(sites),
            is_required: shortcut.required.contains(name),
            is_permitted: shortcut.permits(name),
        });
        Fields::new(fields.collect())
    }

    /// Members without a name of their own in the schema.
    fn rest(&mut self, sites: &[Site<'s>]) -> Option<PlaceId> {
        let mut rest = Vec::new();
        for site in sites {
            rest.extend(site.child("additionalProperties"));
            rest.extend(site.child("unevaluatedProperties"));
            rest.extend(site.children("patternProperties").map(|(_, child)| child));
        }
        // `true`, `{}` and `false` say nothing of what such a member holds.
        rest.retain(|site| site.schema.as_object().is_some_and(|map| !map.is_empty()));
        // Which of them a name falls to differs from name to name.
        let rest: Vec<_> = rest.into_iter().map(|site| site.weakened(Strength::Sometimes)).collect();
        (!rest.is_empty()).then(|| self.place_of(rest))
    }

    fn prefix(&mut self, sites: &[Site<'s>]) -> Vec<PlaceId> {
        let lists: Vec<Vec<Site<'s>>> = sites.iter().map(|site| self.sites.prefix_items(site)).collect();
        let length = lists.iter().map(Vec::len).max().unwrap_or(0);
        let mut places = Vec::with_capacity(length);
        for index in 0..length {
            let mut seeds = Vec::new();
            for (site, list) in sites.iter().zip(&lists) {
                match list.get(index) {
                    Some(item) => seeds.push(item.clone()),
                    None => seeds.extend(self.sites.other_items(site)),
                }
            }
            places.push(self.place_of(seeds));
        }
        places
    }

    fn items(&mut self, sites: &[Site<'s>]) -> Option<PlaceId> {
        let seeds: Vec<Site<'s>> = sites.iter().flat_map(|site| self.sites.other_items(site)).collect();
        (!seeds.is_empty()).then(|| self.place_of(seeds))
    }

    fn unbound(&mut self, site: &Site<'s>) {
        self.add(
            &site.pointer,
            SchemaRule::Unbound,
            Text::new(
                "trường có thể chứa giá trị nhưng chưa gắn phần tử từ điển",
                "the field may hold a value but is bound to no element of the dictionary",
            ),
            Text::new(
                format!("thêm \"{ELEMENT_KEYWORD}\": \"<mã phần tử>\", hoặc \"type\": \"object\" hay \"array\""),
                format!("add \"{ELEMENT_KEYWORD}\": \"<element id>\", or \"type\": \"object\" or \"array\""),
            ),
        );
    }

    fn conflict(&mut self, pointer: &str, one: &Value, other: &Value) {
        self.add(
            pointer,
            SchemaRule::ElementConflict,
            Text::new(
                format!("một trường gắn với hai phần tử {one} và {other}"),
                format!("one field is bound to two elements, {one} and {other}"),
            ),
            Text::new(
                "đặt tên khác nhau cho hai trường, hoặc dùng một phần tử",
                "give the fields two names, or use one element",
            ),
        );
    }

    fn unknown(&mut self, pointer: &str, name: &Value) {
        self.add(
            pointer,
            SchemaRule::ElementUnknown,
            Text::new(format!("từ điển chưa có phần tử {name}"), format!("the dictionary has no element {name}")),
            Text::new("đăng ký phần tử trước, hoặc sửa mã", "register the element first, or mend its id"),
        );
        if let Some(finding) = self.findings.last_mut() {
            finding.element = name.as_str().map(str::to_owned);
        }
    }

    fn misfit(&mut self, pointer: &str, element: &Element, present: u8) {
        let (own, permitted) = (element.value_type().as_str(), types::words(present));
        self.add(
            pointer,
            SchemaRule::ElementType,
            Text::new(
                format!("lược đồ cho phép kiểu {permitted} nhưng phần tử {} là {own}", element.id()),
                format!("the schema permits {permitted} but the element {} is {own}", element.id()),
            ),
            Text::new(
                format!("ghi \"type\": \"{own}\" (có thể thêm \"null\")"),
                format!("write \"type\": \"{own}\" (with \"null\" if need be)"),
            ),
        );
        if let Some(finding) = self.findings.last_mut() {
            finding.element = Some(element.id().to_string());
        }
    }
}
