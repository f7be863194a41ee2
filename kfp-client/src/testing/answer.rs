//! What handlers give back, and how each generation writes it.

use serde_json::{Map, Value, json};
use wiremock::ResponseTemplate;

use super::Generation;
use super::clock::rfc3339;

/// A successful answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// JSON of the gateway.
    Json(Value),
    /// Anything else: content type and text.
    Text(&'static str, String),
}

impl Answer {
    pub(super) fn empty() -> Self {
        Self::Json(json!({}))
    }

    pub(super) fn response(self) -> ResponseTemplate {
        match self {
            Self::Json(value) => gateway_json(200, &value),
            Self::Text(kind, text) => ResponseTemplate::new(200).set_body_raw(text, kind),
        }
    }
}

fn gateway_json(status: u16, value: &Value) -> ResponseTemplate {
    ResponseTemplate::new(status)
        .insert_header("grpc-metadata-content-type", "application/grpc")
        .set_body_raw(value.to_string(), "application/json")
}

/// gRPC codes that the servers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Code {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound => 404,
            Self::AlreadyExists | Self::Aborted => 409,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unknown | Self::Internal => 500,
        }
    }

    /// How the server's own error chain calls it.
    fn label(self) -> &'static str {
        match self {
            Self::InvalidArgument => "Invalid input error",
            Self::NotFound => "ResourceNotFoundError",
            Self::AlreadyExists => "Already exist error",
            Self::PermissionDenied => "PermissionDenied",
            Self::FailedPrecondition => "FailedPreconditionError",
            Self::Aborted => "BadRequestError",
            Self::Unauthenticated => "Unauthenticated",
            Self::Unavailable => "ServiceUnavailable",
            Self::Unknown | Self::Internal | Self::Unimplemented => "InternalServerError",
        }
    }
}

/// A refused request.
#[derive(Debug, Clone)]
pub(super) struct Refusal(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    code: Code,
    /// The text for users, without its wrapping.
    short: String,
    /// The wrapped text.
    message: String,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// From a handler: with `details`.
    Handler,
    /// As `Handler`, with another code in the details (a plain Go error).
    Plain,
    /// From the gateway: without `details`.
    Gateway,
    /// `{"error_message", "error_details"}` of the hand-written HTTP handlers; the status, JSON or not.
    Handwritten { status: u16, json: bool },
    /// A bare text.
    Text(u16),
    /// The connection ends without an answer.
    Silence,
    /// The answer never comes.
    Hang,
}

impl Refusal {
    pub(super) fn new(code: Code, short: impl Into<String>) -> Self {
        let short = short.into();
        let message = format!("{}: {short}", code.label());
        Self(Box::new(Inner {
            code,
            short,
            message,
            form: Form::Handler,
        }))
    }

    pub(super) fn invalid(short: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, short)
    }

    /// As [`invalid`](Self::invalid), with an error of a library below it, which changes the label too.
    pub(super) fn invalid_because(short: impl Into<String>, cause: &str) -> Self {
        Self::labelled("InvalidInputError", short).because(cause)
    }

    /// As [`invalid`](Self::invalid), under a label of its own.
    pub(super) fn labelled(label: &str, short: impl Into<String>) -> Self {
        let mut refusal = Self::invalid(short);
        refusal.0.message = format!("{label}: {}", refusal.0.short);
        refusal
    }

    pub(super) fn not_found(kind: &str, id: &str) -> Self {
        Self::new(Code::NotFound, format!("{kind} {id} not found"))
    }

    pub(super) fn internal(cause: impl Into<String>) -> Self {
        let mut refusal = Self::new(Code::Internal, cause);
        "Internal Server Error".clone_into(&mut refusal.0.short);
        refusal
    }

    /// An error without a code of its own: 13 outside, 2 inside, the whole text in both.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        let text = format!("Internal error: {}", text.into());
        Self(Box::new(Inner {
            code: Code::Internal,
            short: text.clone(),
            message: text,
            form: Form::Plain,
        }))
    }

    /// The gateway refuses before any handler sees the request.
    pub(super) fn gateway(code: Code, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            code,
            short: message.clone(),
            message,
            form: Form::Gateway,
        }))
    }

    pub(super) fn handwritten(status: u16, json: bool, message: impl Into<String>) -> Self {
        let message = message.into();
        let form = Form::Handwritten { status, json };
        Self(Box::new(Inner {
            code: Code::Unknown,
            short: message.clone(),
            message,
            form,
        }))
    }

    pub(super) fn text(status: u16, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Inner {
            code: Code::Unknown,
            short: message.clone(),
            message,
            form: Form::Text(status),
        }))
    }

    pub(super) fn silence() -> Self {
        let message = String::new();
        Self(Box::new(Inner {
            code: Code::Unknown,
            short: message.clone(),
            message,
            form: Form::Silence,
        }))
    }

    pub(super) fn hang() -> Self {
        let mut refusal = Self::silence();
        refusal.0.form = Form::Hang;
        refusal
    }

    pub(super) fn is_silence(&self) -> bool {
        self.0.form == Form::Silence
    }

    /// Wraps the message as the server's layers do.
    pub(super) fn context(mut self, outer: &str) -> Self {
        if matches!(self.0.form, Form::Handler) {
            self.0.message = format!("{outer}: {}", self.0.message);
        }
        self
    }

    /// Adds what lies below, which is told in the wrapped text alone.
    pub(super) fn because(mut self, cause: &str) -> Self {
        self.0.message = format!("{}: {cause}", self.0.message);
        self
    }

    /// The innermost of the wrapped text.
    pub(super) fn bare(&self) -> String {
        format!("{}: {}", self.0.code.label(), self.0.short)
    }

    pub(super) fn code(&self) -> Code {
        self.0.code
    }

    pub(super) fn message(&self) -> &str {
        &self.0.message
    }

    pub(super) fn status(&self) -> u16 {
        match self.0.form {
            Form::Handwritten { status, .. } | Form::Text(status) => status,
            Form::Silence => 503,
            Form::Hang => 504,
            Form::Gateway | Form::Handler | Form::Plain => self.0.code.status(),
        }
    }

    pub(super) fn response(&self, generation: Generation) -> ResponseTemplate {
        let inner = &*self.0;
        match inner.form {
            Form::Handwritten { status, json } => {
                let body = json!({"error_message": inner.message, "error_details": inner.message});
                let kind = if json {
                    "application/json"
                } else {
                    "text/plain; charset=utf-8"
                };
                ResponseTemplate::new(status).set_body_raw(body.to_string(), kind)
            }
            Form::Text(status) => {
                ResponseTemplate::new(status).set_body_raw(inner.message.clone(), "text/plain; charset=utf-8")
            }
            Form::Silence => ResponseTemplate::new(503).set_body_raw(
                "upstream connect error or disconnect/reset before headers. reset reason: connection termination",
                "text/plain",
            ),
            // Longer than any client waits, and not for ever.
            Form::Hang => ResponseTemplate::new(504).set_delay(std::time::Duration::from_secs(3600)),
            Form::Gateway | Form::Handler | Form::Plain => inner.status_body(generation),
        }
    }
}

impl Inner {
    fn status_body(&self, generation: Generation) -> ResponseTemplate {
        // Servers of 1.8 end this sentence with a point.
        let ended = |text: &str| {
            let bare = generation == Generation::V1_8 && self.form == Form::Handler && text.ends_with(" not found");
            format!("{text}{}", if bare { "." } else { "" })
        };
        let (short, message) = (ended(&self.short), ended(&self.message));
        let mut body = Map::new();
        if !generation.new_gateway() {
            body.insert("error".into(), message.clone().into());
        }
        body.insert("code".into(), (self.code as i32).into());
        body.insert("message".into(), message.clone().into());
        if self.form == Form::Gateway {
            return with_challenge(gateway_json(self.code.status(), &Value::Object(body)), self, generation);
        }
        let detail = if generation == Generation::V1_8 {
            json!({"@type": "type.googleapis.com/api.Error", "error_message": short, "error_details": message})
        } else {
            let code = if self.form == Form::Plain {
                Code::Unknown
            } else {
                self.code
            };
            json!({"@type": "type.googleapis.com/google.rpc.Status", "code": code as i32, "message": short})
        };
        body.insert("details".into(), json!([detail]));
        with_challenge(gateway_json(self.code.status(), &Value::Object(body)), self, generation)
    }
}

/// gRPC-gateway v2 repeats the message of a 401 as its challenge.
fn with_challenge(response: ResponseTemplate, inner: &Inner, generation: Generation) -> ResponseTemplate {
    if inner.code == Code::Unauthenticated && generation.new_gateway() {
        response.insert_header("www-authenticate", inner.message.as_str())
    } else {
        response
    }
}

/// A response message: zero values are left out, as protobuf's JSON does.
#[derive(Debug, Default)]
pub(super) struct Message(Map<String, Value>);

impl Message {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn text(mut self, key: &str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.insert(key.to_owned(), value.into());
        }
        self
    }

    pub(super) fn time(mut self, key: &str, seconds: i64) -> Self {
        self.0.insert(key.to_owned(), rfc3339(seconds).into());
        self
    }

    pub(super) fn flag(mut self, key: &str, value: bool) -> Self {
        if value {
            self.0.insert(key.to_owned(), true.into());
        }
        self
    }

    /// Leaves out null, empty lists and `None`.
    pub(super) fn value(mut self, key: &str, value: impl Into<Option<Value>>) -> Self {
        match value.into() {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.is_empty() => {}
            Some(value) => {
                self.0.insert(key.to_owned(), value);
            }
        }
        self
    }

    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }
}
