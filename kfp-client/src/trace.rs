//! Joining a trace that the caller has begun.

use std::{fmt, str::FromStr, sync::Arc};

use http::{HeaderMap, HeaderValue};

use crate::error::{Error, Result};

/// Place in a distributed trace, as W3C Trace Context writes it into headers.
///
/// ```
/// use kfp_client::TraceContext;
///
/// let context: TraceContext = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// let context = context.tracestate("vendor=value")?;
/// # let _ = context;
/// # Ok::<(), kfp_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    traceparent: HeaderValue,
    tracestate: Option<HeaderValue>,
}

impl FromStr for TraceContext {
    type Err = Error;

    /// Reads the value of the header `traceparent`.
    fn from_str(text: &str) -> Result<Self> {
        let refused = || {
            Error::invalid(
                "traceparent",
                "VERSION-TRACE-SPAN-FLAGS in 2, 32, 16 and 2 lower case hexadecimal digits, trace and span not zero",
            )
        };
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags] = parts.as_slice() else {
            return Err(refused());
        };
        let hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let zero = |part: &str| part.bytes().all(|byte| byte == b'0');
        let shape = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
        if !shape || *version == "ff" || zero(trace) || zero(span) {
            return Err(refused());
        }
        Ok(Self {
            traceparent: HeaderValue::from_str(text).map_err(|_| refused())?,
            tracestate: None,
        })
    }
}

impl TraceContext {
    /// Adds the value of the header `tracestate`: at most 512 characters.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if it is longer, or not printable.
    pub fn tracestate(mut self, tracestate: &str) -> Result<Self> {
        let value = HeaderValue::from_str(tracestate)
            .ok()
            .filter(|value| value.len() <= 512);
        let refused = || Error::invalid("tracestate", "at most 512 printable ASCII characters");
        self.tracestate = Some(value.ok_or_else(refused)?);
        Ok(self)
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert("traceparent", self.traceparent.clone());
        if let Some(tracestate) = &self.tracestate {
            headers.insert("tracestate", tracestate.clone());
        }
    }
}

/// Tells where in a trace a call is made.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<dyn Fn() -> Option<TraceContext> + Send + Sync>);

impl Tracer {
    pub(crate) fn new(current: impl Fn() -> Option<TraceContext> + Send + Sync + 'static) -> Self {
        Self(Arc::new(current))
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if let Some(context) = (self.0)() {
            context.write(headers);
        }
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_others_can_read_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        good.parse::<TraceContext>()
            .unwrap()
            .tracestate("a=b")
            .unwrap()
            .write(&mut headers);
        assert_eq!(
            (headers["traceparent"].as_bytes(), headers["tracestate"].as_bytes()),
            (good.as_bytes(), &b"a=b"[..])
        );
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx: y",
        ] {
            assert!(bad.parse::<TraceContext>().is_err(), "{bad:?}");
        }
    }
}
