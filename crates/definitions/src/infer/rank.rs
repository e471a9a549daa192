//! Ranks the elements a field could be.

use ldop_dictionary::{Dictionary, Element, ValueType};
use ldop_types::Text;

use super::{
    Candidate,
    names::{likeness, words},
    sample::Field,
};

/// Candidates told for a field.
const MOST: usize = 5;
/// Scores below are not told.
const LEAST: u32 = 30;

/// The elements a field could be, the best first.
pub(super) fn candidates(field: &Field, dictionary: &Dictionary) -> Vec<Candidate> {
    let last = field.path.rsplit('.').next().unwrap_or(&field.path);
    let names = [words(last), words(&field.path)];
    let mut found: Vec<Candidate> = dictionary
        .elements()
        .enumerate()
        .filter_map(|(at, element)| {
            let passed = field.passed.get(at).copied().unwrap_or(0);
            candidate(&names, element, dictionary, passed, field.checked)
        })
        .collect();
    found.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.element.cmp(&b.element)));
    found.truncate(MOST);
    found
}

fn candidate(
    names: &[Vec<String>; 2],
    element: &Element,
    dictionary: &Dictionary,
    passed: u32,
    checked: u32,
) -> Option<Candidate> {
    let (name, alike) = best_name(names, element);
    let share = if checked == 0 { 1.0 } else { f64::from(passed) / f64::from(checked) };
    let (strength, kind) = selectivity(element, dictionary);
    let by_content = if checked == 0 { 0.0 } else { strength * share };
    let score = (1.0 - (1.0 - 0.9 * alike) * (1.0 - 0.8 * by_content)) * (0.2 + 0.8 * share);
    let score = (score * 100.0).round() as u32;
    (score >= LEAST).then(|| {
        let mut reasons = Vec::new();
        if alike >= 0.4 {
            reasons.push((format!("tên giống {name:?}"), format!("named like {name:?}")));
        }
        if checked > 0 {
            reasons.push((
                format!("{passed}/{checked} giá trị thỏa {kind}"),
                format!("{passed} of {checked} values fit its {kind}"),
            ));
        }
        let joined = |texts: Vec<String>| texts.join("; ");
        let (vi, en): (Vec<String>, Vec<String>) = reasons.into_iter().unzip();
        Candidate { element: element.id().clone(), score, reason: Text::new(joined(vi), joined(en)) }
    })
}

/// The element's name that is most like the field's, and how alike it is.
fn best_name(names: &[Vec<String>; 2], element: &Element) -> (String, f64) {
    let definition = element.definition();
    let id = element.id().as_str();
    let own = id.rsplit('.').next().unwrap_or(id);
    let known = [id, own, &definition.name_vi, &definition.name_en, &definition.technical_name]
        .into_iter()
        .chain(definition.synonyms.iter().map(String::as_str));
    let rated = known.map(|known| {
        let of_known = words(known);
        let alike = names.iter().map(|name| likeness(name, &of_known)).fold(0.0, f64::max);
        (known.to_owned(), alike)
    });
    rated.fold((String::new(), 0.0), |best, next| if next.1 > best.1 { next } else { best })
}

/// How much it says that a value passes, 0 to 1, and what asks for it.
fn selectivity(element: &Element, dictionary: &Dictionary) -> (f64, &'static str) {
    let definition = element.definition();
    if element.identifier().is_some() {
        return (1.0, "identifier");
    }
    if let Some(codes) = dictionary.codes_of(element) {
        let strength = match codes.len() {
            0..=5 => 0.45,
            6..=50 => 0.7,
            _ => 0.85,
        };
        return (strength, "code list");
    }
    match element.value_type() {
        ValueType::String if element.format().is_some() => (0.6, "format"),
        ValueType::String if !definition.pattern.is_empty() => (0.5, "pattern"),
        ValueType::Integer | ValueType::Number if !definition.minimum.is_empty() && !definition.maximum.is_empty() => {
            (0.25, "limits")
        }
        ValueType::String if definition.max_length.is_some() => (0.05, "length"),
        _ => (0.05, "type"),
    }
}
