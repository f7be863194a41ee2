//! Pages that lead on by `<meta http-equiv="refresh">`.

use crate::handler::{Action, Decision, PageHandler, Progress};
use crate::page::Page;

/// Follows a page that holds nothing but the way on. Where it leads is checked as any redirect is.
#[derive(Debug)]
pub(crate) struct Refresh;

impl PageHandler for Refresh {
    fn handle(&self, page: &Page, _progress: &Progress) -> Option<Decision> {
        if page.status() >= 400 || !page.forms().is_empty() {
            return None;
        }
        let content = page.attribute("meta[http-equiv='refresh' i]", "content")?;
        let target = page.join(address(&content)?)?;
        Some(Decision::step(
            "page that leads on by itself",
            Ok(Action::Follow(target)),
        ))
    }
}

/// The address in `0; url='/next'`. Without one the page only loads itself again.
fn address(content: &str) -> Option<&str> {
    let (_, rest) = content.split_once([';', ','])?;
    let rest = rest.trim();
    let named = rest.get(..3).filter(|name| name.eq_ignore_ascii_case("url"));
    let address = match named {
        Some(_) => rest.get(3..)?.trim_start().strip_prefix('=')?.trim(),
        None => rest,
    };
    let address = address.trim_matches(['\'', '"']).trim();
    (!address.is_empty()).then_some(address)
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn target(html: &str) -> Option<String> {
        let page = Page::parse(&Url::parse("https://a.test/x/y?z").unwrap(), 200, html);
        match Refresh.handle(&page, &Progress::default())?.outcome {
            Ok(Action::Follow(target)) => Some(target.into()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_address_is_found_as_browsers_find_it() {
        for content in ["0;url=/next", "0; URL = '/next'", "5,/next", "0; &quot;/next&quot;"] {
            let html = format!("<meta http-equiv=Refresh content=\"{content}\">");
            assert_eq!(target(&html).as_deref(), Some("https://a.test/next"), "{content}");
        }
        let with_base = "<base href='https://b.test/'><meta http-equiv=refresh content='0;url=n'>";
        assert_eq!(target(with_base).as_deref(), Some("https://b.test/n"));
    }

    #[test]
    fn a_page_that_loads_itself_again_or_asks_for_something_is_not_followed() {
        for html in [
            "<meta http-equiv=refresh content=30>",
            "<meta http-equiv=refresh content='0;url='>",
            "<meta http-equiv=refresh content='0;url=/n'><form></form>",
            "<meta name=refresh content='0;url=/n'>",
        ] {
            assert_eq!(target(html), None, "{html}");
        }
    }
}
