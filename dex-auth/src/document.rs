//! Parses HTML within limits, so that no page costs more time and memory than its size is worth.
//!
//! The parser follows the standard, and the standard lets a short page grow: elements left open are opened again in
//! every paragraph, each element walks through all that enclose it, each attribute through all before it. A page beyond
//! these limits is no login page, so nothing of it is read.

use html5ever::ParseOpts;
use html5ever::driver::parse_document;
use html5ever::tendril::TendrilSink as _;
use scraper::{Html, HtmlTreeSink, Node, StrTendril};

/// Bytes between two looks at the limits.
const PIECE: usize = 1024;
/// Login pages have some hundred elements.
const MAX_NODES: usize = 20_000;
/// Browsers nest no deeper either.
const MAX_DEPTH: usize = 512;
/// What may separate two attributes, in one tag or comment that has not ended yet. A response of SAML in one attribute
/// has its lines and the `/` of base64, in proportion to its length.
const MAX_SEPARATORS: usize = 4000;
const BYTES_PER_SEPARATOR: usize = 16;
const MAX_SEPARATORS_EVER: usize = 30_000;

/// The page, or an empty one in place of a page that is beyond the limits.
pub(crate) fn parse(html: &str) -> Html {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let mut growth = Growth::default();
    for piece in Pieces(html) {
        parser.process(StrTendril::from(piece));
        if !growth.is_within_limits(&parser.tokenizer.sink.sink.0.borrow(), piece) {
            tracing::debug!("a page that is nested too deep or holds too much is not read");
            return Html::parse_document("");
        }
    }
    parser.finish()
}

struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut end = PIECE.min(self.0.len());
        while !self.0.is_char_boundary(end) {
            end += 1;
        }
        let (piece, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

/// How the tree grows while the parser is fed.
#[derive(Default)]
struct Growth {
    nodes: usize,
    last_text: usize,
    /// Since the tree grew: it does not while the parser is inside of a tag.
    bytes: usize,
    separators: usize,
}

impl Growth {
    fn is_within_limits(&mut self, document: &Html, piece: &str) -> bool {
        let nodes = document.tree.values().len();
        let last = document.tree.nodes().next_back();
        let text = match last.map(|node| node.value()) {
            Some(Node::Text(text)) => text.len(),
            _ => 0,
        };
        if nodes == self.nodes && text == self.last_text {
            self.bytes += piece.len();
            self.separators += piece.bytes().filter(|byte| separates(*byte)).count();
        } else {
            (self.bytes, self.separators) = (0, 0);
        }
        (self.nodes, self.last_text) = (nodes, text);
        let allowed = (MAX_SEPARATORS + self.bytes / BYTES_PER_SEPARATOR).min(MAX_SEPARATORS_EVER);
        nodes <= MAX_NODES
            && self.separators <= allowed
            && last.is_none_or(|node| node.ancestors().take(MAX_DEPTH + 1).count() <= MAX_DEPTH)
    }
}

fn separates(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'/')
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    fn is_empty(html: &str) -> bool {
        let start = Instant::now();
        let document = parse(html);
        // Without limits most of these take minutes, or more memory than there is.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        document.tree.values().len() < 10
    }

    #[test]
    fn pieces_change_nothing() {
        let mut html = "<title>é</title>".to_owned();
        for number in 0..500 {
            let _ = write!(
                html,
                "<p class=\"a{number}\">Grüße &amp; 日本語\r\n<input value='&#43;{number}'></p>"
            );
        }
        let html_of = |document: &Html| document.root_element().html();
        assert_eq!(html_of(&parse(&html)), html_of(&Html::parse_document(&html)));
    }

    #[test]
    fn what_pages_really_hold_is_within_the_limits() {
        let saml = format!(
            "<input name=SAMLResponse value='{}'>",
            "abcdefghijklmn/q".repeat(20_000)
        );
        let script = format!("<script>var text = \"{}\";</script>", "word 'word' /".repeat(20_000));
        let style = format!("<style>{}</style>", "a { b: c }\n".repeat(20_000));
        for html in [saml, script, style, "<p>text ".repeat(5000), "<div>".repeat(400)] {
            assert!(!is_empty(&format!("{html}<a><b><i><u><s><em><p><p>")));
        }
    }

    #[test]
    fn a_page_that_grows_beyond_its_size_is_not_read() {
        let numbered = |count: usize, text: fn(usize, &mut String)| {
            let mut html = String::new();
            (0..count).for_each(|number| text(number, &mut html));
            html
        };
        let attributes = numbered(100_000, |number, html| {
            let _ = write!(html, " a{number}");
        });
        let quoted = numbered(80_000, |number, html| {
            let _ = write!(html, "a{number}='>'");
        });
        let formatting = numbered(400, |number, html| {
            let _ = write!(html, "<b id=b{number}>");
        });
        for html in [
            "<div>".repeat(100_000),
            "<table><tr><td>".repeat(60_000),
            "<table><div>".repeat(60_000),
            "<svg><g>".repeat(60_000),
            format!("{formatting}{}", "<p>x".repeat(200_000)),
            format!("<p {attributes}>"),
            format!("<p {quoted}>"),
            "<br>".repeat(200_000),
        ] {
            assert!(is_empty(&html), "{}", &html[..40]);
        }
    }
}
