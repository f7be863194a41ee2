//! Errors of single request fields, collected so that a caller sees all of them at once.

use std::fmt;

/// One field of a request that was refused, before anything was sent anywhere.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// JSON Pointer (RFC 6901) to the field in the request body, for instance `/train_split` or `/environment/A B`.
    pub pointer: String,
    /// What is wrong and what is allowed, in one sentence.
    pub detail: String,
}

/// A request was refused; holds at least one [`FieldError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationError {
    errors: Vec<FieldError>,
}

impl ValidationError {
    /// The refused fields, in the order of the request's definition.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    pub(crate) fn of(pointer: &str, detail: impl Into<String>) -> Self {
        Self {
            errors: vec![FieldError {
                pointer: pointer.to_owned(),
                detail: detail.into(),
            }],
        }
    }
}

impl fmt::Display for ValidationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was refused: ")?;
        for (n, error) in self.errors.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", error.pointer.trim_start_matches('/'), error.detail)?;
        }
        Ok(())
    }
}

impl std::error::Error for ValidationError {}

/// Collects field errors while a request is read, so that the first bad field does not hide the others.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<FieldError>);

impl Problems {
    pub(crate) fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError {
            pointer: pointer.into(),
            detail: detail.into(),
        });
    }

    /// Keeps the value, or notes why it was refused.
    pub(crate) fn check<T>(&mut self, pointer: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|detail| self.add(pointer, detail)).ok()
    }

    pub(crate) fn merge(&mut self, other: ValidationError) {
        for error in other.errors {
            // A field that could not be read at all is reported once, not again as missing.
            if !self.0.iter().any(|known| known.pointer == error.pointer) {
                self.0.push(error);
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), ValidationError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ValidationError { errors: self.0 })
        }
    }
}

/// Escapes one segment of a JSON Pointer (RFC 6901, section 3).
pub(crate) fn pointer_segment(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
