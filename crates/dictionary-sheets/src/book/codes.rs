//! A code list in the book.

use ldop_dictionary::{CodeDefinition, CodeListDefinition, ValueMapDefinition};

use super::{
    Index, element,
    page::{both, escape, put, searched},
};
use crate::import::predecessors;

/// Longer lists are folded.
const UNFOLDED: usize = 20;

pub(super) fn article(html: &mut String, list: &CodeListDefinition, index: &Index<'_>) {
    let searched = searched([&*list.id, &list.name_vi, &list.name_en]);
    put(
        html,
        format_args!(
            "<article id=\"list:{0}\" data-search=\"{searched}\">\n<h3>{1}</h3>\n<p class=\"id\"><code>{0}</code></p>\n<dl>\n",
            escape(&list.id),
            both(&list.name_vi, &list.name_en)
        ),
    );
    if !list.source.is_empty() {
        element::row(html, ("Nguồn", "Source"), &[escape(&list.source)]);
    }
    let users = index.of_list.get(&*list.id).into_iter().flatten().map(|id| index.element_link(id));
    element::row(html, ("Phần tử sử dụng", "Elements that use it"), &users.collect::<Vec<_>>());
    html.push_str("</dl>\n");
    table(html, list);
    list.value_maps.iter().for_each(|map| value_map(html, map, index));
    html.push_str("</article>\n");
}

fn table(html: &mut String, list: &CodeListDefinition) {
    let has = |column: fn(&CodeDefinition) -> bool| list.codes.iter().any(column);
    let has_period = has(|code| !(code.valid_from.is_empty() && code.valid_to.is_empty()));
    let has_parent = has(|code| !code.parent.is_empty());
    let has_successors = has(|code| !code.successors.is_empty());
    let open = if list.codes.len() <= UNFOLDED { " open" } else { "" };
    put(
        html,
        format_args!(
            "<details{open}><summary>{} {}</summary>\n<table>\n<thead><tr><th>{}</th><th>{}</th>",
            list.codes.len(),
            both("mã", "codes"),
            both("Mã", "Code"),
            both("Nhãn", "Label")
        ),
    );
    let mut head = |stands: bool, vi: &str, en: &str| {
        if stands {
            put(html, format_args!("<th>{}</th>", both(vi, en)));
        }
    };
    head(has_period, "Hiệu lực từ", "Valid from");
    head(has_period, "Hiệu lực đến", "Valid to");
    head(has_parent, "Thuộc", "Part of");
    head(has_successors, "Thay bằng", "Followed by");
    head(has_successors, "Thay cho", "Follows");
    html.push_str("</tr></thead>\n<tbody>\n");
    for (code, before) in list.codes.iter().zip(predecessors(&list.codes)) {
        let class = if code.valid_to.is_empty() { "" } else { " class=\"ended\"" };
        put(
            html,
            format_args!(
                "<tr{class}><td><code>{}</code></td><td>{}</td>",
                escape(&code.code),
                both(&code.label_vi, &code.label_en)
            ),
        );
        let mut cell = |stands: bool, text: &str| {
            if stands {
                put(html, format_args!("<td>{}</td>", escape(text)));
            }
        };
        cell(has_period, &code.valid_from);
        cell(has_period, &code.valid_to);
        cell(has_parent, &code.parent);
        cell(has_successors, &code.successors.join(" "));
        cell(has_successors, &before.join(" "));
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</details>\n");
}

fn value_map(html: &mut String, map: &ValueMapDefinition, index: &Index<'_>) {
    let open = if map.pairs.len() <= UNFOLDED { " open" } else { "" };
    put(
        html,
        format_args!(
            "<details{open}><summary>{}</summary>\n<p>{} <small>{}</small></p>\n<table>\n<tbody>\n",
            both("Chuyển đổi mã", "Value map"),
            index.list_link(&map.to),
            escape(&map.source)
        ),
    );
    for pair in &map.pairs {
        let (from, to) = (escape(&pair.from), escape(&pair.to));
        put(html, format_args!("<tr><td><code>{from}</code></td><td>→</td><td><code>{to}</code></td></tr>\n"));
    }
    html.push_str("</tbody>\n</table>\n</details>\n");
}
