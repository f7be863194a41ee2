//! Bodies that are read or sent piece by piece.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tokio::io::AsyncReadExt;

use crate::{
    client::Inner,
    endpoint::Call,
    error::{Error, Result},
    http::{Reply, check, context, transport_error},
};

/// Longest silence within an answer that is read piece by piece: a log grows as its step works.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// Size of the pieces in which a file is sent.
const PIECE: usize = 64 << 10;

/// The pieces of an answer.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes>>;

impl Inner {
    /// Sends a call once and gives its answer in pieces as they come. Errors that come with a status are returned, not
    /// streamed.
    pub(crate) async fn pieces(&self, call: Call) -> Result<Pieces> {
        self.refuse_older(&call)?;
        let head = tokio::time::timeout(self.timeout, self.head(&call, &Arc::default())).await;
        let response = head.map_err(|_| Error::Timeout(context(&call, "no answer")))??;
        let reply = Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body: Bytes::new(),
            attempts: 1,
        };
        if check(&call, &reply).is_err() {
            // The body says what is wrong.
            let body = tokio::time::timeout(self.timeout, response.bytes()).await;
            let body = body.ok().and_then(Result::ok).unwrap_or_default();
            let reply = Reply { body, ..reply };
            check(&call, &reply)?;
            return Err(Error::UnexpectedResponse(context(&call, "an answer that is no data")));
        }
        let pieces = response.bytes_stream().boxed();
        Ok(stream::unfold(Some((pieces, call)), |state| async move {
            let (mut pieces, call) = state?;
            match tokio::time::timeout(LONGEST_SILENCE, pieces.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some((pieces, call)))),
                Ok(Some(Err(error))) => Some((Err(transport_error(&call, error.into())), None)),
                Err(_) => Some((Err(Error::Timeout(context(&call, "the answer went silent"))), None)),
            }
        })
        // Whoever chains streams asks again behind the end.
        .fuse()
        .boxed())
    }
}

/// All pieces in one.
pub(crate) async fn whole(mut pieces: Pieces, limit: usize, call: &Call) -> Result<Bytes> {
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        if body.len() + piece.len() > limit {
            let message = format!("the answer is larger than {limit} bytes");
            return Err(Error::UnexpectedResponse(context(call, message)));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body.freeze())
}

/// The content of a request that is too large to be held in memory.
#[derive(Clone)]
pub(crate) enum Content {
    Bytes(Bytes),
    /// A file; read anew each time it is sent.
    File {
        path: PathBuf,
        length: u64,
    },
    /// Pieces that can be read once.
    Once(Arc<std::sync::Mutex<Option<BoxStream<'static, io::Result<Bytes>>>>>),
}

impl Content {
    /// Bytes, if that is known before they are read.
    pub(crate) fn length(&self) -> Option<u64> {
        match self {
            Self::Bytes(bytes) => u64::try_from(bytes.len()).ok(),
            Self::File { length, .. } => Some(*length),
            Self::Once(_) => None,
        }
    }

    /// The pieces, from the beginning.
    pub(crate) async fn pieces(&self) -> io::Result<BoxStream<'static, io::Result<Bytes>>> {
        Ok(match self {
            Self::Bytes(bytes) => stream::iter([Ok(bytes.clone())]).boxed(),
            Self::File { path, length } => file_pieces(tokio::fs::File::open(path).await?, *length).boxed(),
            Self::Once(pieces) => pieces
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .take()
                .ok_or_else(|| io::Error::other("the content can be read only once, and it was"))?,
        })
    }
}

/// A file that grows or shrinks while it is sent would not be as long as was announced.
fn file_pieces(file: tokio::fs::File, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::try_unfold((file, length), |(mut file, left)| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        let left = left.checked_sub(u64::try_from(read).unwrap_or(u64::MAX));
        match (read, left) {
            (0, Some(0)) => Ok(None),
            (1.., Some(left)) => Ok(Some((piece.freeze(), (file, left)))),
            _ => Err(io::Error::other("the file changed while it was read")),
        }
    })
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File { path, length } => write!(f, "{length} bytes of {}", path.display()),
            Self::Once(_) => f.write_str("a stream"),
        }
    }
}

/// A form with one file, to be sent in pieces.
#[derive(Debug, Clone)]
pub(crate) struct FormFile {
    pub(crate) boundary: String,
    pub(crate) head: Bytes,
    pub(crate) content: Content,
    pub(crate) tail: Bytes,
    /// Most bytes of content that are sent.
    pub(crate) limit: u64,
    /// Whether the content could not be read to its end, so that the server never got the whole.
    broken_off: Arc<AtomicBool>,
}

impl FormFile {
    pub(crate) fn new(field: &str, file_name: &str, content: Content, limit: u64) -> Self {
        let boundary = format!("part-{}", crate::random::uuid().simple());
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        let tail = format!("\r\n--{boundary}--\r\n");
        Self {
            boundary,
            head: head.into(),
            content,
            tail: tail.into(),
            limit,
            broken_off: Arc::default(),
        }
    }

    /// Whether the last body ended before its end, by a fault of its content.
    pub(crate) fn was_broken_off(&self) -> bool {
        self.broken_off.load(Ordering::SeqCst)
    }

    /// Whether it can be sent again.
    pub(crate) fn is_repeatable(&self) -> bool {
        !matches!(self.content, Content::Once(_))
    }

    /// Length of the whole body, if it is known.
    pub(crate) fn length(&self) -> Option<u64> {
        let frame = u64::try_from(self.head.len() + self.tail.len()).ok()?;
        self.content.length()?.checked_add(frame)
    }

    /// The body, anew each time.
    pub(crate) async fn body(&self) -> io::Result<reqwest::Body> {
        let limit = self.limit;
        let broken_off = Arc::clone(&self.broken_off);
        broken_off.store(false, Ordering::SeqCst);
        let content = self.content.pieces().await?;
        let content = content.scan(0_u64, move |sent, piece| {
            let length = piece.as_ref().map_or(0, Bytes::len);
            *sent = sent.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            // An error breaks the request off, so that the server does not take what came so far for the whole.
            let piece = if *sent > limit {
                Err(io::Error::other(format!("the content is longer than {limit} bytes")))
            } else {
                piece
            };
            if piece.is_err() {
                broken_off.store(true, Ordering::SeqCst);
            }
            std::future::ready(Some(piece))
        });
        let head = stream::iter([Ok(self.head.clone())]);
        let tail = stream::iter([Ok(self.tail.clone())]);
        Ok(reqwest::Body::wrap_stream(head.chain(content).chain(tail)))
    }
}
