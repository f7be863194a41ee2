//! A page of a login as handlers see it: status, forms, links, what a selector finds, what a script holds.

use scraper::Html;
use serde_json::Value;
use url::Url;

use crate::document;
use crate::error::one_line;
use crate::html::{self, Form, Link};
use crate::origin;

/// A page of a login: HTML, or the JSON that a handler asked for.
#[derive(Debug, Clone)]
pub struct Page {
    url: Url,
    status: u16,
    title: String,
    forms: Vec<Form>,
    links: Vec<Link>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Html(Box<Html>),
    Json(Value),
}

impl Page {
    /// Reads a page that was answered with `status` at `url`.
    ///
    /// ```
    /// let url = "https://login.example.com/".parse()?;
    /// let page = dex_auth::Page::parse(&url, 200, "<title>Log in</title><form id=f><input name=user></form>");
    /// assert_eq!(page.title(), "Log in");
    /// assert_eq!(page.forms()[0].fields[0].name, "user");
    /// # Ok::<(), url::ParseError>(())
    /// ```
    pub fn parse(url: &Url, status: u16, html: &str) -> Self {
        let document = document::parse(html);
        Self {
            url: url.clone(),
            status,
            title: one_line(&html::first_text(&document, "title").unwrap_or_default()),
            forms: html::forms(&document, url),
            links: html::links(&document, url),
            content: Content::Html(Box::new(document)),
        }
    }

    /// The answer to an [`Action::Call`](crate::Action::Call).
    pub(crate) fn of_json(url: &Url, status: u16, json: Value) -> Self {
        Self {
            url: url.clone(),
            status,
            title: String::new(),
            forms: Vec::new(),
            links: Vec::new(),
            content: Content::Json(json),
        }
    }

    /// Where the page stands.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Scheme, host and port of the page, as errors name it.
    pub fn origin(&self) -> String {
        origin::origin(&self.url)
    }

    /// The HTTP status it came with.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Its title as one line, empty without.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Its forms.
    pub fn forms(&self) -> &[Form] {
        &self.forms
    }

    /// The one form that is wanted; `None` when there are several, since the choice would be a guess.
    pub fn only_form(&self, wanted: impl Fn(&Form) -> bool) -> Option<&Form> {
        let mut matching = self.forms.iter().filter(|form| wanted(form));
        matching.next().filter(|_| matching.next().is_none())
    }

    /// Its links.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The JSON of an answer to [`Action::Call`](crate::Action::Call); `None` for HTML.
    pub fn json(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            Content::Html(_) => None,
        }
    }

    /// True when the CSS selector finds something. One that is not valid finds nothing.
    pub fn has(&self, selector: &str) -> bool {
        self.html()
            .is_some_and(|document| !html::select(document.root_element(), selector).is_empty())
    }

    /// The text of the first element that the CSS selector finds, white space collapsed.
    pub fn text(&self, selector: &str) -> Option<String> {
        html::first_text(self.html()?, selector)
    }

    /// The texts of all elements that the CSS selector finds, without empty ones.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let Some(document) = self.html() else { return Vec::new() };
        html::select(document.root_element(), selector)
            .into_iter()
            .map(html::text)
            .filter(|text| !text.is_empty())
            .collect()
    }

    /// An attribute of the first element that the CSS selector finds.
    pub fn attribute(&self, selector: &str, name: &str) -> Option<String> {
        self.attributes(selector, name).into_iter().next()
    }

    /// That attribute of every element that the CSS selector finds and that has it.
    pub fn attributes(&self, selector: &str, name: &str) -> Vec<String> {
        let Some(document) = self.html() else { return Vec::new() };
        html::select(document.root_element(), selector)
            .into_iter()
            .filter_map(|element| element.attr(name).map(str::to_owned))
            .collect()
    }

    /// The JSON value that follows `marker` in one of the page's inline scripts, such as `$Config=`. What comes after the
    /// value is ignored.
    ///
    /// ```
    /// let url = "https://login.example.com/".parse()?;
    /// let page = dex_auth::Page::parse(&url, 200, "<script>//<![CDATA[\n$Config={\"pgid\":\"A\"};\n//]]></script>");
    /// assert_eq!(page.script_value("$Config=").unwrap()["pgid"], "A");
    /// # Ok::<(), url::ParseError>(())
    /// ```
    pub fn script_value(&self, marker: &str) -> Option<Value> {
        let document = self.html()?;
        html::select(document.root_element(), "script")
            .into_iter()
            .find_map(|script| {
                let text: String = script.text().collect();
                let (_, rest) = text.split_once(marker)?;
                serde_json::Deserializer::from_str(rest).into_iter().next()?.ok()
            })
    }

    /// The text of all inline scripts, one after the other.
    pub fn scripts(&self) -> String {
        let Some(document) = self.html() else {
            return String::new();
        };
        html::select(document.root_element(), "script")
            .into_iter()
            .flat_map(|script| script.text().collect::<Vec<_>>())
            .collect()
    }

    /// An address on this page, resolved as browsers do it.
    pub fn join(&self, reference: &str) -> Option<Url> {
        match &self.content {
            Content::Html(document) => html::base(document, &self.url).join(reference.trim()).ok(),
            Content::Json(_) => self.url.join(reference.trim()).ok(),
        }
    }

    fn html(&self) -> Option<&Html> {
        match &self.content {
            Content::Html(document) => Some(document),
            Content::Json(_) => None,
        }
    }

    /// Names of all fields of all forms, for messages.
    pub(crate) fn field_names(&self) -> Vec<String> {
        self.forms
            .iter()
            .flat_map(|form| &form.fields)
            .take(30)
            .map(|field| one_line(&field.name))
            .collect()
    }
}
