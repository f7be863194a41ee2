//! What happened in a login, for people: each request, the page that came, what was filled in.

use std::fmt::{self, Write as _};

use crate::error::one_line;

/// The steps of one login, without any secret: no query of an address, no value of a cookie or field.
///
/// [`Display`](fmt::Display) prints them as text, [`mermaid`](Self::mermaid) as a sequence diagram.
///
/// ```no_run
/// # async fn example(session: dex_auth::Session) {
/// if let Err(error) = session.login().await {
///     eprintln!("{error}");
///     if let Some(trace) = session.last_login() {
///         eprintln!("{trace}");
///     }
/// }
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginTrace {
    /// The steps in their order.
    pub steps: Vec<LoginStep>,
    /// How it ended: `None` for a session, otherwise the error's message.
    pub failure: Option<String>,
}

/// One request of a login and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginStep {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Scheme, host and port.
    pub origin: String,
    /// The path, without the query.
    pub path: String,
    /// What was filled in, by field: `password (password)`.
    pub filled: Vec<String>,
    /// The status; `None` when no answer came.
    pub status: Option<u16>,
    /// Where a redirect led, without the query.
    pub location: Option<String>,
    /// The names of the cookies that the answer set, and of those it deleted with `-` before them.
    pub cookies: Vec<String>,
    /// Which page it was, by the handler that knew it.
    pub page: Option<String>,
    /// Title, forms and fields of a page that no handler knew.
    pub unknown: Option<String>,
}

impl LoginTrace {
    /// The login as a Mermaid sequence diagram.
    pub fn mermaid(&self) -> String {
        let mut origins: Vec<&str> = Vec::new();
        for step in &self.steps {
            if !origins.contains(&step.origin.as_str()) {
                origins.push(&step.origin);
            }
        }
        let mut text = "sequenceDiagram\n    participant C as client\n".to_owned();
        for (number, origin) in origins.iter().enumerate() {
            let _ = writeln!(text, "    participant S{number} as {}", plain(origin));
        }
        for step in &self.steps {
            let number = origins
                .iter()
                .position(|origin| *origin == step.origin)
                .unwrap_or_default();
            let _ = writeln!(text, "    C->>S{number}: {}", plain(&step.request()));
            let _ = writeln!(text, "    S{number}-->>C: {}", plain(&step.answer()));
        }
        match &self.failure {
            None => text.push_str("    Note over C: logged in\n"),
            Some(failure) => {
                let _ = writeln!(text, "    Note over C: {}", plain(failure));
            }
        }
        text
    }
}

impl LoginStep {
    fn request(&self) -> String {
        let mut text = format!("{} {}", self.method, self.path);
        if !self.filled.is_empty() {
            let _ = write!(text, " with {}", self.filled.join(", "));
        }
        text
    }

    fn answer(&self) -> String {
        let Some(status) = self.status else {
            return "no answer".to_owned();
        };
        let mut text = status.to_string();
        if let Some(page) = &self.page {
            let _ = write!(text, " {page}");
        }
        if let Some(location) = &self.location {
            let _ = write!(text, " to {location}");
        }
        if let Some(unknown) = &self.unknown {
            let _ = write!(text, " unknown page: {unknown}");
        }
        if !self.cookies.is_empty() {
            let _ = write!(text, " (cookies: {})", self.cookies.join(", "));
        }
        text
    }
}

impl fmt::Display for LoginTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut origin = "";
        for (number, step) in self.steps.iter().enumerate() {
            if step.origin != origin {
                origin = &step.origin;
                writeln!(f, "{origin}")?;
            }
            writeln!(f, "{:>3}. {}\n     {}", number + 1, step.request(), step.answer())?;
        }
        match &self.failure {
            None => writeln!(f, "logged in"),
            Some(failure) => writeln!(f, "failed: {failure}"),
        }
    }
}

/// Text that Mermaid takes for text: `;` and `#` end a statement or begin an entity.
fn plain(text: &str) -> String {
    one_line(text).replace(['#', ';'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace() -> LoginTrace {
        let step = |method, path: &str, status, page: Option<&str>| LoginStep {
            method,
            origin: "https://a.test".to_owned(),
            path: path.to_owned(),
            filled: Vec::new(),
            status: Some(status),
            location: None,
            cookies: Vec::new(),
            page: page.map(str::to_owned),
            unknown: None,
        };
        LoginTrace {
            steps: vec![
                step("GET", "/dex/auth/local/login", 200, Some("Dex: password form")),
                LoginStep {
                    filled: vec!["login (user name)".to_owned(), "password (password)".to_owned()],
                    cookies: vec!["session".to_owned()],
                    origin: "https://b.test".to_owned(),
                    ..step("POST", "/x;#", 303, None)
                },
            ],
            failure: None,
        }
    }

    #[test]
    fn prints_as_text() {
        assert_eq!(
            trace().to_string(),
            "https://a.test\n  1. GET /dex/auth/local/login\n     200 Dex: password form\nhttps://b.test\n  2. POST /x;# \
             with login (user name), password (password)\n     303 (cookies: session)\nlogged in\n"
        );
    }

    #[test]
    fn prints_as_a_diagram() {
        let text = trace().mermaid();
        assert!(text.contains("participant S1 as https://b.test\n"));
        assert!(text.contains("C->>S1: POST /x   with login (user name)"), "{text}");
        assert!(text.ends_with("Note over C: logged in\n"));
    }
}
