//! Faults that tests order.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Status {
        status: u16,
        body: String,
        retry_after: Option<u64>,
    },
    Delay(Duration),
    /// Handled; half of the answer's body is missing.
    Truncated,
    /// Handled; the connection ends without an answer.
    LostAnswer,
    /// Not handled; the connection ends.
    Reset,
}

/// A fault: which requests it befalls, how often, and what happens to them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Fault {
    method: Option<String>,
    path: Option<String>,
    times: usize,
    trouble: Trouble,
}

impl Fault {
    fn new(trouble: Trouble) -> Self {
        Self {
            method: None,
            path: None,
            times: 1,
            trouble,
        }
    }

    /// The next request is not handled but answered with this status and a line of text, as proxies do.
    pub fn status(status: u16) -> Self {
        Self::new(Trouble::Status {
            status,
            body: format!("fault ordered by a test: {status}"),
            retry_after: None,
        })
    }

    /// The next request is not handled but answered as an overloaded server does: status 400 and the text of a database
    /// error (MLflow 3.17).
    pub fn overload() -> Self {
        let body = r#"{"error_code": "BAD_REQUEST", "message": "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00"}"#;
        Self::new(Trouble::Status {
            status: 400,
            body: body.to_owned(),
            retry_after: None,
        })
    }

    /// The next request is handled, but its answer comes late.
    pub fn delay(by: Duration) -> Self {
        Self::new(Trouble::Delay(by))
    }

    /// The next request is handled, but the second half of its answer is missing, as if something on the way had given up.
    pub fn truncated() -> Self {
        Self::new(Trouble::Truncated)
    }

    /// The next request is not handled: its connection ends without an answer. Behind a gateway, where no connection can be
    /// ended, it is answered with 502.
    pub fn reset() -> Self {
        Self::new(Trouble::Reset)
    }

    /// The next request is handled, but its connection ends without an answer; behind a gateway it is answered with 502.
    pub fn lost_answer() -> Self {
        Self::new(Trouble::LostAnswer)
    }

    /// Body of the answer, JSON if it starts with a brace; only for faults with a status.
    pub fn body(mut self, text: impl Into<String>) -> Self {
        if let Trouble::Status { body, .. } = &mut self.trouble {
            *body = text.into();
        }
        self
    }

    /// Adds the header `Retry-After` in seconds; only for faults with a status.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        if let Trouble::Status { retry_after, .. } = &mut self.trouble {
            *retry_after = Some(seconds);
        }
        self
    }

    /// Only requests with this method, such as `POST`.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests whose path holds this text, such as `runs/log-batch`.
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// As many requests as this; default 1.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn befalls(&self, method: &str, path: &str) -> bool {
        self.times > 0
            && self
                .method
                .as_ref()
                .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|part| path.contains(part.as_str()))
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the first fault that befalls a request, if it is one that ends the connection.
    pub(super) fn take_break(&mut self, method: &str, path: &str) -> Option<Trouble> {
        let fault = self.0.iter().find(|fault| fault.befalls(method, path))?;
        match fault.trouble {
            Trouble::LostAnswer | Trouble::Reset => self.take(method, path),
            _ => None,
        }
    }

    /// Takes the first fault that befalls a request.
    pub(super) fn take(&mut self, method: &str, path: &str) -> Option<Trouble> {
        let at = self.0.iter().position(|fault| fault.befalls(method, path))?;
        let fault = self.0.get_mut(at)?;
        fault.times -= 1;
        let trouble = fault.trouble.clone();
        if fault.times == 0 {
            drop(self.0.remove(at));
        }
        Some(trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_befalls_what_it_was_ordered_for_and_then_is_gone() {
        let mut faults = Faults::default();
        faults.add(
            Fault::status(503)
                .method("post")
                .path("log-batch")
                .times(2)
                .retry_after(1),
        );
        assert_eq!(faults.take("GET", "/runs/log-batch"), None);
        assert_eq!(faults.take("POST", "/runs/create"), None);
        for _ in 0..2 {
            let trouble = faults.take("POST", "/runs/log-batch");
            assert!(matches!(
                trouble,
                Some(Trouble::Status {
                    status: 503,
                    retry_after: Some(1),
                    ..
                })
            ));
        }
        assert_eq!(faults.take("POST", "/runs/log-batch"), None);
    }
}
