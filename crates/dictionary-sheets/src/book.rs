//! The dictionary as a book: one HTML file that needs nothing else, in Vietnamese and English.
//!
//! Everything definitions say is escaped; the script of the page has no data in it and the page may load nothing. Without
//! scripts the book can still be read and its links followed; searching and the switch of languages need them.

mod codes;
mod element;
mod page;
mod uses;

use std::collections::BTreeMap;

use ldop_dictionary::{CodeDefinition, CodeListDefinition, ElementDefinition};

use crate::Definitions;
use page::{both, escape, put};

/// Code list that names the domains.
const DOMAINS: &str = ldop_dictionary::dictionary::DOMAINS;
const STYLE: &str = include_str!("book/style.css");
const SCRIPT: &str = include_str!("book/script.js");

/// What a book is made of.
#[derive(Debug, Clone, Copy)]
pub struct Book<'a> {
    /// Title in Vietnamese; the page adds what it is.
    pub title: &'a str,
    /// Elements and code lists.
    pub definitions: &'a Definitions,
    /// Name and text of each schema that binds elements.
    pub schemas: &'a [(String, String)],
}

impl Book<'_> {
    /// The page. The same definitions give the same bytes.
    #[must_use]
    pub fn html(&self) -> String {
        let index = Index::new(self);
        let mut html = String::with_capacity(1 << 20);
        put(
            &mut html,
            format_args!(
                "<!DOCTYPE html>\n<html lang=\"vi\" data-language=\"vi\">\n<head>\n<meta charset=\"utf-8\">\n\
                 <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
                 script-src 'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
                 <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
                escape(self.title)
            ),
        );
        self.head(&mut html, &index);
        contents(&mut html, &index);
        html.push_str("<main>\n");
        for (domain, elements) in &index.domains {
            put(
                &mut html,
                format_args!(
                    "<section id=\"domain:{}\">\n<h2>{} <small>{}</small></h2>\n",
                    escape(domain),
                    index.domain_name(domain),
                    elements.len()
                ),
            );
            elements.iter().for_each(|element| element::article(&mut html, element, &index));
            html.push_str("</section>\n");
        }
        put(
            &mut html,
            format_args!("<section id=\"lists\">\n<h2>{}</h2>\n", both("Danh mục dùng chung", "Code lists")),
        );
        self.definitions.code_lists.iter().for_each(|list| codes::article(&mut html, list, &index));
        put(&mut html, format_args!("</section>\n</main>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
        html
    }

    fn head(&self, html: &mut String, index: &Index<'_>) {
        let counts = format!(
            "{} {} · {} {} · {} {}",
            index.elements.len(),
            both("phần tử", "elements"),
            index.lists.len(),
            both("danh mục", "code lists"),
            self.schemas.len(),
            both("lược đồ", "schemas"),
        );
        put(
            html,
            format_args!(
                "<header>\n<h1>{}</h1>\n<p class=\"counts\">{counts}</p>\n<div class=\"tools\">\n\
                 <input type=\"search\" id=\"search\" autocomplete=\"off\" aria-label=\"Tìm / Search\" \
                 placeholder=\"Tìm theo tên, mã / Search names, ids\">\n<output id=\"found\" for=\"search\"></output>\n\
                 <span class=\"languages\" role=\"group\" aria-label=\"Ngôn ngữ / Language\">\
                 <button type=\"button\" data-to=\"vi\" aria-pressed=\"true\">Tiếng Việt</button>\
                 <button type=\"button\" data-to=\"en\" aria-pressed=\"false\" lang=\"en\">English</button></span>\n</div>\n</header>\n",
                escape(self.title)
            ),
        );
    }
}

fn contents(html: &mut String, index: &Index<'_>) {
    put(html, format_args!("<nav>\n<h2>{}</h2>\n<ul>\n", both("Miền dữ liệu", "Domains")));
    for (domain, elements) in &index.domains {
        put(
            html,
            format_args!(
                "<li><a href=\"#domain:{}\">{}</a> <small>{}</small></li>\n",
                escape(domain),
                index.domain_name(domain),
                elements.len()
            ),
        );
    }
    put(html, format_args!("</ul>\n<h2><a href=\"#lists\">{}</a></h2>\n<ul>\n", both("Danh mục", "Code lists")));
    for list in index.lists.values() {
        put(html, format_args!("<li>{}</li>\n", index.list_link(&list.id)));
    }
    html.push_str("</ul>\n</nav>\n");
}

/// What refers to what.
struct Index<'a> {
    elements: BTreeMap<&'a str, &'a ElementDefinition>,
    lists: BTreeMap<&'a str, &'a CodeListDefinition>,
    /// Elements of each domain: in the order of the list of domains, then those it does not have.
    domains: Vec<(&'a str, Vec<&'a ElementDefinition>)>,
    derived: BTreeMap<&'a str, Vec<&'a str>>,
    /// Elements whose values are of each list.
    of_list: BTreeMap<&'a str, Vec<&'a str>>,
    /// For each element, the schemas that bind it and where.
    uses: BTreeMap<String, Vec<uses::Use<'a>>>,
}

impl<'a> Index<'a> {
    fn new(book: &Book<'a>) -> Self {
        let definitions = book.definitions;
        let lists: BTreeMap<&str, &CodeListDefinition> =
            definitions.code_lists.iter().map(|list| (list.id.as_str(), list)).collect();
        let known = lists.get(DOMAINS).map(|list| list.codes.as_slice()).unwrap_or_default();
        let mut by_domain: BTreeMap<&str, Vec<&ElementDefinition>> = BTreeMap::new();
        let (mut derived, mut of_list) = (BTreeMap::<&str, Vec<&str>>::new(), BTreeMap::<&str, Vec<&str>>::new());
        for element in &definitions.elements {
            by_domain.entry(&element.domain).or_default().push(element);
            if !element.derives_from.is_empty() {
                derived.entry(&element.derives_from).or_default().push(&element.id);
            }
            if !element.code_list.is_empty() {
                of_list.entry(&element.code_list).or_default().push(&element.id);
            }
        }
        let mut domains: Vec<(&str, Vec<&ElementDefinition>)> =
            known.iter().filter_map(|code| by_domain.remove_entry(code.code.as_str())).collect();
        let without = by_domain.remove_entry("");
        domains.extend(by_domain);
        domains.extend(without);
        let elements = definitions.elements.iter().map(|element| (element.id.as_str(), element)).collect();
        Self { elements, lists, domains, derived, of_list, uses: uses::find(book.schemas) }
    }

    fn domain_name(&self, domain: &str) -> String {
        let codes = self.lists.get(DOMAINS).map(|list| list.codes.as_slice()).unwrap_or_default();
        match codes.iter().find(|code: &&CodeDefinition| code.code == domain) {
            Some(code) => both(&code.label_vi, &code.label_en),
            None if domain.is_empty() => both("Chưa phân miền", "Without a domain"),
            None => escape(domain),
        }
    }

    /// A link to an element, where the book has it.
    fn element_link(&self, id: &str) -> String {
        match self.elements.get(id) {
            Some(element) => format!(
                "<a href=\"#element:{0}\">{1}</a> <code>{0}</code>",
                escape(id),
                both(&element.name_vi, &element.name_en)
            ),
            None => format!("<code>{}</code>", escape(id)),
        }
    }

    /// A link to a code list, where the book has it.
    fn list_link(&self, id: &str) -> String {
        match self.lists.get(id) {
            Some(list) => format!(
                "<a href=\"#list:{}\">{}</a> <small>{}</small>",
                escape(id),
                both(&list.name_vi, &list.name_en),
                list.codes.len()
            ),
            None => format!("<code>{}</code>", escape(id)),
        }
    }
}
