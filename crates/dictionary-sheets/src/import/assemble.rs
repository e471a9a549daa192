//! Puts rows together to definitions, and asks the dictionary whether each holds together.

use std::collections::BTreeMap;

use ldop_definitions::reading::suggestion;
use ldop_dictionary::{
    CodeDefinition, CodeList, CodeListDefinition, CodePairDefinition, DefinitionError, Element, ElementDefinition,
    ValueMapDefinition,
};

use super::row::Table;
use crate::{
    Definitions,
    columns::{self, CodeRow, Column, MapRow, Sheet},
    grid::{Grid, Notes, Origin},
};

/// Makes definitions of the tables; what is wrong is noted.
pub(super) fn assemble(tables: &[(Sheet, Grid)], notes: &Notes) -> Definitions {
    let nowhere = Origin::Csv { file: Default::default() };
    let elements = table(tables, Sheet::Elements, columns::elements(), &nowhere, notes);
    let lists = table(tables, Sheet::Lists, columns::lists(), &nowhere, notes);
    let codes = table(tables, Sheet::Codes, columns::codes(), &nowhere, notes);
    let maps = table(tables, Sheet::Maps, columns::maps(), &nowhere, notes);
    Definitions::new(check_elements(&elements, notes), Gathered::new(&lists, &codes, &maps, notes).check(notes))
}

fn table<'g, R: Default>(
    tables: &'g [(Sheet, Grid)],
    sheet: Sheet,
    columns: &[Column<R>],
    nowhere: &'g Origin,
    notes: &Notes,
) -> Table<'g, R> {
    match tables.iter().enumerate().find(|(_, (name, _))| *name == sheet) {
        Some((position, (_, grid))) => Table::read(position, grid, columns, notes),
        None => Table::none(nowhere),
    }
}

/// Notes ids that stand twice; for each id the first row it stands in.
fn first_rows<'t, R>(
    table: &'t Table<'_, R>,
    id: impl Fn(&'t R) -> &'t str,
    notes: &Notes,
) -> BTreeMap<&'t str, usize> {
    let mut first = BTreeMap::new();
    for (index, (_, row)) in table.rows.iter().enumerate() {
        let id = id(row);
        if let Some(before) = first.get(id)
            && !id.is_empty()
        {
            let found = format!("{id:?} stands in row {} already", table.row(*before));
            table.note(notes, index, "id", found, "an id of its own");
        } else {
            first.insert(id, index);
        }
    }
    first
}

fn check_elements(table: &Table<'_, ElementDefinition>, notes: &Notes) -> Vec<ElementDefinition> {
    first_rows(table, |element| &element.id, notes);
    for (index, (_, element)) in table.rows.iter().enumerate() {
        for error in Element::new(element.clone()).err().unwrap_or_default() {
            note(table, notes, index, plain(&error.field), &error);
        }
    }
    table.rows.iter().map(|(_, element)| element.clone()).collect()
}

fn note<R>(table: &Table<'_, R>, notes: &Notes, index: usize, key: &str, error: &DefinitionError) {
    table.note(notes, index, key, error.message.en.clone(), error.expected.clone());
}

/// `synonyms[3]` and `relations[0].kind` to the column they stand in.
fn plain(field: &str) -> &str {
    field.split(['[', '.']).next().unwrap_or(field)
}

/// Lists with their codes and maps, and the rows all of it stands in.
struct Gathered<'t, 'g> {
    lists: &'t Table<'g, CodeListDefinition>,
    codes: &'t Table<'g, CodeRow>,
    maps: &'t Table<'g, MapRow>,
    found: Vec<List>,
}

struct List {
    definition: CodeListDefinition,
    /// Its row among the lists.
    row: usize,
    /// Row of each code.
    codes: Vec<usize>,
    /// Row of each pair of each map.
    pairs: Vec<Vec<usize>>,
}

impl<'t, 'g> Gathered<'t, 'g> {
    fn new(
        lists: &'t Table<'g, CodeListDefinition>,
        codes: &'t Table<'g, CodeRow>,
        maps: &'t Table<'g, MapRow>,
        notes: &Notes,
    ) -> Self {
        let first = first_rows(lists, |list| &list.id, notes);
        let list = |(row, (_, list)): (usize, &(u32, CodeListDefinition))| List {
            definition: list.clone(),
            row,
            codes: Vec::new(),
            pairs: Vec::new(),
        };
        let mut found: Vec<List> = lists.rows.iter().enumerate().map(list).collect();
        for (index, (_, row)) in codes.rows.iter().enumerate() {
            let Some(at) = owner(codes, index, &row.list, &first, notes) else { continue };
            found[at].definition.codes.push(row.code.clone());
            found[at].codes.push(index);
        }
        for (index, (_, row)) in maps.rows.iter().enumerate() {
            let Some(at) = owner(maps, index, &row.list, &first, notes) else { continue };
            found[at].pair(index, row, maps, notes);
        }
        Self { lists, codes, maps, found }
    }

    /// Asks the dictionary; the answers go to the cells they are about.
    fn check(self, notes: &Notes) -> Vec<CodeListDefinition> {
        for list in &self.found {
            for error in CodeList::new(list.definition.clone()).err().unwrap_or_default() {
                let codes = indexed(&error.field, "codes[").and_then(|(at, key)| Some((*list.codes.get(at)?, key)));
                let pair = indexed(&error.field, "value_maps[").and_then(|(at, rest)| {
                    let (pair, key) = indexed(rest, "pairs[").unwrap_or((0, rest));
                    Some((*list.pairs.get(at)?.get(pair)?, key))
                });
                match (codes, pair) {
                    (Some((row, key)), _) => {
                        let key = if key.is_empty() { "code" } else { plain(key) };
                        note(self.codes, notes, row, key, &error);
                    }
                    (None, Some((row, key))) => {
                        let key = match key {
                            "from" | "" => "from_code",
                            key => key,
                        };
                        note(self.maps, notes, row, key, &error);
                    }
                    (None, None) if error.field == "codes" => note(self.lists, notes, list.row, "id", &error),
                    (None, None) => note(self.lists, notes, list.row, plain(&error.field), &error),
                }
            }
            self.check_predecessors(list, notes);
        }
        self.found.into_iter().map(|list| list.definition).collect()
    }

    /// The column is computed; whoever filled it in meant another one.
    fn check_predecessors(&self, list: &List, notes: &Notes) {
        let stated =
            |row: usize| self.codes.rows.get(row).map(|(_, row)| row.predecessors.as_slice()).unwrap_or_default();
        if list.codes.iter().all(|row| stated(*row).is_empty()) {
            return;
        }
        let computed = predecessors(&list.definition.codes);
        for (row, computed) in list.codes.iter().zip(computed) {
            let stated = stated(*row);
            if !stated.is_empty() && stated.iter().map(String::as_str).collect::<Vec<_>>() != computed {
                let expected = match &*computed {
                    [] => "an empty cell".to_owned(),
                    codes => format!("{:?} or an empty cell", codes.join(";")),
                };
                let expected = format!("{expected}: it follows from the column successors of the codes before it");
                self.codes.note(notes, *row, "predecessors", format!("{:?} stands here", stated.join(";")), expected);
            }
        }
    }
}

impl List {
    fn pair(&mut self, index: usize, row: &MapRow, table: &Table<'_, MapRow>, notes: &Notes) {
        let maps = &mut self.definition.value_maps;
        let pair = CodePairDefinition { from: row.from_code.clone(), to: row.to_code.clone() };
        match maps.iter().position(|map| map.to == row.to) {
            Some(at) => {
                if maps[at].source != row.source {
                    let first = self.pairs[at].first().map_or(0, |first| table.row(*first));
                    let found = format!("another source stands in row {first} of the same map");
                    table.note(notes, index, "source", found, "the same source on all rows of a map");
                }
                maps[at].pairs.push(pair);
                self.pairs[at].push(index);
            }
            None => {
                maps.push(ValueMapDefinition { to: row.to.clone(), source: row.source.clone(), pairs: vec![pair] });
                self.pairs.push(vec![index]);
            }
        }
    }
}

/// The list a row belongs to.
fn owner<R>(
    table: &Table<'_, R>,
    index: usize,
    list: &str,
    lists: &BTreeMap<&str, usize>,
    notes: &Notes,
) -> Option<usize> {
    let found = lists.get(list).copied();
    if found.is_none() && !list.is_empty() {
        let expected = match suggestion(list, lists.keys().copied()) {
            Some(near) => format!("the id of a list of the sheet {:?}; did you mean {near:?}?", Sheet::Lists.title()),
            None => format!("the id of a list of the sheet {:?}", Sheet::Lists.title()),
        };
        table.note(notes, index, "code_list", format!("{list:?} stands here"), expected);
    }
    found
}

/// Index and rest of `codes[3].valid_to`.
fn indexed<'f>(field: &'f str, prefix: &str) -> Option<(usize, &'f str)> {
    let (index, rest) = field.strip_prefix(prefix)?.split_once(']')?;
    Some((index.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// For each code of a list the codes it takes the place of: those that name it and ended before this row does.
pub(crate) fn predecessors(codes: &[CodeDefinition]) -> Vec<Vec<&str>> {
    let mut before: BTreeMap<&str, Vec<&CodeDefinition>> = BTreeMap::new();
    for code in codes {
        for successor in &code.successors {
            before.entry(successor).or_default().push(code);
        }
    }
    let ends_before = |one: &CodeDefinition, other: &CodeDefinition| match (&*one.valid_to, &*other.valid_to) {
        ("", _) => false,
        (_, "") => true,
        (one, other) => one < other,
    };
    let of = |code: &CodeDefinition| {
        let named = before.get(&*code.code).map(Vec::as_slice).unwrap_or_default();
        let mut found: Vec<&str> = named.iter().filter(|one| ends_before(one, code)).map(|one| &*one.code).collect();
        found.sort_unstable();
        found.dedup();
        found
    };
    codes.iter().map(of).collect()
}
