//! What a page holds, whoever made it: title, forms, links. The parsed document itself stays in here.

use scraper::{ElementRef, Html, Selector};
use url::Url;

/// No login page comes near these; a page beyond them is cut, not trusted.
const MAX_FORMS: usize = 20;
const MAX_FIELDS: usize = 200;
const MAX_LINKS: usize = 500;
const MAX_CLASSES: usize = 50;
/// Links can hold each other and with them the same text again and again.
const MAX_LINK_TEXT: usize = 1000;

/// How a form is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormMethod {
    /// Fields in the query.
    Get,
    /// Fields in the body, `application/x-www-form-urlencoded`.
    Post,
}

/// A field of a form that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FormField {
    /// Its name.
    pub name: String,
    /// Its preset value.
    pub value: String,
    /// Its `type` in lower case, such as `hidden`, `text`, `password`, `submit`; `button` for buttons without one.
    pub kind: String,
}

/// A form of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Form {
    /// Its `id`, empty without.
    pub id: String,
    /// How it is sent.
    pub method: FormMethod,
    /// Where it is sent: its `action` resolved as browsers do it; `None` when that is no URL.
    pub target: Option<Url>,
    /// Its named fields, in order.
    pub fields: Vec<FormField>,
}

impl Form {
    /// The first field of this name.
    pub fn field(&self, name: &str) -> Option<&FormField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A link of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Where it leads.
    pub target: Url,
    /// Its text.
    pub text: String,
    /// All classes of the link and of the elements inside it.
    pub classes: Vec<String>,
}

/// A selector that is part of this source; a wrong one selects nothing and fails the tests of its page.
pub(crate) fn select<'a>(scope: ElementRef<'a>, selector: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(selector)
        .map(|parsed| scope.select(&parsed).collect())
        .unwrap_or_default()
}

/// The text of an element, white space collapsed.
pub(crate) fn text(element: ElementRef<'_>) -> String {
    element
        .text()
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

/// As [`text`], cut.
fn beginning(element: ElementRef<'_>) -> String {
    let mut all = String::new();
    for word in element.text().flat_map(str::split_whitespace) {
        if all.len() + word.len() > MAX_LINK_TEXT {
            break;
        }
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(word);
    }
    all
}

/// The text of the first element the selector finds.
pub(crate) fn first_text(document: &Html, selector: &str) -> Option<String> {
    select(document.root_element(), selector)
        .first()
        .map(|element| text(*element))
}

/// What relative URLs of the page are relative to: browsers apply `<base href>`, so this does.
pub(crate) fn base(document: &Html, url: &Url) -> Url {
    select(document.root_element(), "base[href]")
        .first()
        .and_then(|element| element.attr("href"))
        .and_then(|href| url.join(href).ok())
        .unwrap_or_else(|| url.clone())
}

pub(crate) fn forms(document: &Html, url: &Url) -> Vec<Form> {
    let base = base(document, url);
    select(document.root_element(), "form")
        .into_iter()
        .take(MAX_FORMS)
        .map(|form| Form {
            id: form.attr("id").unwrap_or_default().to_owned(),
            method: match form.attr("method") {
                Some(method) if method.trim().eq_ignore_ascii_case("post") => FormMethod::Post,
                _ => FormMethod::Get,
            },
            // An empty action is the page itself with its query, whatever the base is.
            target: match form.attr("action").map(str::trim) {
                None | Some("") => Some(url.clone()),
                Some(action) => base.join(action).ok(),
            },
            fields: fields(form),
        })
        .collect()
}

fn fields(form: ElementRef<'_>) -> Vec<FormField> {
    select(form, "input, button, select, textarea")
        .into_iter()
        .filter_map(|field| {
            let name = field.attr("name").filter(|name| !name.is_empty())?;
            let element = field.value().name();
            Some(FormField {
                name: name.to_owned(),
                value: field.attr("value").unwrap_or_default().to_owned(),
                kind: match field.attr("type") {
                    Some(kind) => kind.trim().to_ascii_lowercase(),
                    None if element == "input" => "text".to_owned(),
                    None => element.to_owned(),
                },
            })
        })
        .take(MAX_FIELDS)
        .collect()
}

pub(crate) fn links(document: &Html, url: &Url) -> Vec<Link> {
    let base = base(document, url);
    select(document.root_element(), "a[href]")
        .into_iter()
        .take(MAX_LINKS)
        .filter_map(|link| {
            let target = base.join(link.attr("href")?.trim()).ok()?;
            let inner = select(link, "[class]").into_iter().take(MAX_CLASSES);
            let classes = std::iter::once(link)
                .chain(inner)
                .flat_map(|element| element.value().classes())
                .take(MAX_CLASSES)
                .map(str::to_owned)
                .collect();
            Some(Link {
                target,
                text: beginning(link),
                classes,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(html: &str) -> (Html, Url) {
        (
            Html::parse_document(html),
            Url::parse("https://a.test/dex/approval?req=1&hmac=2").unwrap(),
        )
    }

    #[test]
    fn a_form_without_action_goes_to_the_page_with_its_query() {
        let (document, url) = page("<base href='https://evil.test/'><form METHOD=Post><input name=a value='1'></form>");
        let form = forms(&document, &url).remove(0);
        assert_eq!(form.target, Some(url));
        assert_eq!(form.method, FormMethod::Post);
        assert_eq!(form.field("a").unwrap().value, "1");
        assert_eq!(form.field("a").unwrap().kind, "text");
    }

    #[test]
    fn the_base_element_counts_as_in_browsers() {
        let (document, url) = page("<base href='https://evil.test/x/'><form action='y'></form><a href='z'>Z</a>");
        assert_eq!(
            forms(&document, &url).remove(0).target.unwrap().as_str(),
            "https://evil.test/x/y"
        );
        assert_eq!(
            links(&document, &url).remove(0).target.as_str(),
            "https://evil.test/x/z"
        );
    }

    #[test]
    fn entities_are_decoded_and_nameless_fields_left_out() {
        let (document, url) =
            page("<form action='/p?a=1&amp;b=&#43;'><input value=x><button name=go>Go</button></form>");
        let form = forms(&document, &url).remove(0);
        assert_eq!(form.target.unwrap().as_str(), "https://a.test/p?a=1&b=+");
        assert_eq!(form.fields.len(), 1);
        assert_eq!(form.fields[0].kind, "button");
    }
}
