//! What is uploaded: a document, or an archive with one.

use std::{io, path::Path};

use bytes::Bytes;
use futures_core::Stream;
use futures_util::{StreamExt, stream};
use tokio::io::AsyncReadExt;

use super::upload::{MAX_FILE, PipelineFile};
use crate::{
    endpoint::Call,
    error::{Error, Result},
    stream::{Content, FormFile},
};

/// What is uploaded: a document that was read, or a `.zip` or `.tar.gz` with one, which is sent in pieces and never
/// held in memory as a whole.
///
/// Of an archive the server takes the member `pipeline.yaml`, or else the first, which then has to be `.yaml` or
/// `.yml`. At most 32 MiB.
///
/// **What is in an archive is not looked at here.** YAML in it that is not well-formed makes a server of KFP 2.0 to
/// 2.17 spin for ever, so send only archives of a known origin, or read the document and send that.
#[derive(Debug, Clone)]
pub struct PipelinePackage(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Document(PipelineFile),
    Archive { name: &'static str, content: Content },
}

impl From<PipelineFile> for PipelinePackage {
    fn from(file: PipelineFile) -> Self {
        Self(Kind::Document(file))
    }
}

impl PipelinePackage {
    /// Takes a file: `.yaml`, `.yml` and `.json` are read and checked as [`PipelineFile::parse`] does, archives are
    /// told by their first bytes and are read when they are sent.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the file cannot be read, is larger than 32 MiB, or is none of these.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let unreadable = |error: io::Error| Error::invalid("file", format!("a readable file: {error}"));
        let mut file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        let length = file.metadata().await.map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(too_large());
        }
        let mut begin = Vec::new();
        (&mut file).take(2).read_to_end(&mut begin).await.map_err(unreadable)?;
        // As on the server, the name goes first.
        let extension = path
            .extension()
            .and_then(|extension| extension.to_str())
            .unwrap_or_default();
        let is_text = ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension.eq_ignore_ascii_case(known));
        if let (Some(name), false) = (archive_name(&begin), is_text) {
            let path = path.to_owned();
            return Ok(Self(Kind::Archive {
                name,
                content: Content::File { path, length },
            }));
        }
        let mut text = begin;
        // A file that grew since its length was read is not read further.
        file.take(MAX_FILE).read_to_end(&mut text).await.map_err(unreadable)?;
        let text = String::from_utf8(text).map_err(|_| Error::invalid("file", "YAML, JSON, .zip or .tar.gz"))?;
        Ok(PipelineFile::parse(&text)?.into())
    }

    /// Takes an archive, `.zip` or `.tar.gz`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if it is larger than 32 MiB, or neither.
    pub fn archive(bytes: impl Into<Bytes>) -> Result<Self> {
        let content = Content::Bytes(bytes.into());
        if content.length().is_some_and(|length| length > MAX_FILE) {
            return Err(too_large());
        }
        let Content::Bytes(bytes) = &content else {
            return Err(no_archive());
        };
        let name = archive_name(bytes).ok_or_else(no_archive)?;
        Ok(Self(Kind::Archive { name, content }))
    }

    /// Takes an archive, `.zip` or `.tar.gz`, from where it comes from. It can be uploaded once: neither a clone of
    /// this nor a middleware can send it again. If more than 32 MiB come, the upload is broken off.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if the first pieces fail, or are not the begin of an archive.
    pub async fn archive_stream(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Result<Self> {
        let mut pieces = pieces.boxed();
        let mut first = Vec::new();
        let mut begin = Vec::new();
        while begin.len() < 2 {
            let Some(piece) = pieces.next().await else { break };
            let piece = piece.map_err(|error| Error::invalid("file", format!("readable: {error}")))?;
            begin.extend(piece.iter().take(2));
            first.push(Ok(piece));
        }
        let name = archive_name(&begin).ok_or_else(no_archive)?;
        let pieces = stream::iter(first).chain(pieces).boxed();
        let content = Content::Once(std::sync::Arc::new(std::sync::Mutex::new(Some(pieces))));
        Ok(Self(Kind::Archive { name, content }))
    }

    /// Whether it is known to be a pipeline in the newer format; what is in an archive is not looked at.
    pub(crate) fn is_newer_format(&self) -> bool {
        matches!(&self.0, Kind::Document(file) if !file.is_workflow())
    }

    /// Puts it into a call. A document is held in memory, so that every middleware can send it again.
    pub(crate) fn add_to(&self, call: Call) -> Result<Call> {
        match &self.0 {
            Kind::Document(file) => call.file("uploadfile", "pipeline.yaml", &file.content()?),
            Kind::Archive { name, content } => {
                Ok(call.form(FormFile::new("uploadfile", name, content.clone(), MAX_FILE)))
            }
        }
    }
}

/// The file name under which the server reads what begins like this.
fn archive_name(begin: &[u8]) -> Option<&'static str> {
    if begin.starts_with(b"PK") {
        Some("pipeline.zip")
    } else if begin.starts_with(&[0x1f, 0x8b]) {
        Some("pipeline.tar.gz")
    } else {
        None
    }
}

fn no_archive() -> Error {
    Error::invalid("file", "a .zip or .tar.gz")
}

fn too_large() -> Error {
    Error::invalid("file", "at most 32 MiB")
}
