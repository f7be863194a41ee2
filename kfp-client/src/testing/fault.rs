//! Faults that tests order.

use std::time::Duration;

use super::call::Call;

/// Something that goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// Answered with this status and body instead of being handled.
    Status(u16, String),
    /// Handled, but the answer comes late.
    Delay(Duration),
    /// Handled, but the client never gets the answer: the connection ends. For a run creation this means that row and
    /// workflow exist.
    LostAnswer,
    /// Not handled; the connection ends.
    NeverStarted,
    /// Of a run creation only the workflow comes to be, without its row: no request will find the run, and the
    /// connection ends. Other requests are handled and their answer is lost.
    Orphan,
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
    /// A fault of the next request, whatever it is.
    pub fn new(trouble: Trouble) -> Self {
        Self {
            method: None,
            path: None,
            times: 1,
            trouble,
        }
    }

    /// The next request is answered with this status and the text of a gateway.
    pub fn status(status: u16) -> Self {
        Self::new(Trouble::Status(
            status,
            "upstream connect error or disconnect/reset before headers".to_owned(),
        ))
    }

    /// The answer to the next request comes late.
    pub fn delay(by: Duration) -> Self {
        Self::new(Trouble::Delay(by))
    }

    /// The next request is handled, its answer lost.
    pub fn lost_answer() -> Self {
        Self::new(Trouble::LostAnswer)
    }

    /// Only requests with this method, such as `POST`.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Only requests whose path holds this text, such as `/runs`.
    pub fn path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// As many requests as this; default 1.
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    fn befalls(&self, call: &Call) -> bool {
        self.times > 0
            && self
                .method
                .as_ref()
                .is_none_or(|method| method.eq_ignore_ascii_case(&call.method))
            && self.path.as_ref().is_none_or(|part| call.path.contains(part.as_str()))
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

    /// Takes the first fault that befalls this request.
    pub(super) fn take(&mut self, call: &Call) -> Option<Trouble> {
        let at = self.0.iter().position(|fault| fault.befalls(call))?;
        let fault = self.0.get_mut(at)?;
        fault.times -= 1;
        let trouble = fault.trouble.clone();
        if fault.times == 0 {
            drop(self.0.remove(at));
        }
        Some(trouble)
    }

    /// Whether the request would meet a fault that ends its connection.
    pub(super) fn will_break(&self, call: &Call) -> bool {
        let trouble = self
            .0
            .iter()
            .find(|fault| fault.befalls(call))
            .map(|fault| &fault.trouble);
        matches!(
            trouble,
            Some(Trouble::LostAnswer | Trouble::NeverStarted | Trouble::Orphan)
        )
    }
}
