//! Multipart forms, as uploads send them.

/// A file of a form.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) field: String,
    pub(super) file_name: String,
    pub(super) data: Vec<u8>,
}

/// The parts of a form; `None` if the content type is not that of a form.
pub(super) fn parts(content_type: &str, body: &[u8]) -> Option<Vec<Part>> {
    if !content_type.to_lowercase().starts_with("multipart/form-data") {
        return None;
    }
    let boundary = attribute(content_type, "boundary")?;
    let mark = format!("--{boundary}").into_bytes();
    let mut found = Vec::new();
    for piece in split(body, &mark).into_iter().skip(1) {
        let Some(piece) = piece.strip_prefix(b"\r\n") else {
            break;
        };
        let Some(at) = piece.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let headers = String::from_utf8_lossy(piece.get(..at).unwrap_or_default()).into_owned();
        let data = piece.get(at + 4..).unwrap_or_default();
        let data = data.strip_suffix(b"\r\n").unwrap_or(data).to_vec();
        let Some(line) = headers
            .lines()
            .find(|line| line.to_lowercase().starts_with("content-disposition"))
        else {
            continue;
        };
        let field = attribute(line, "name").unwrap_or_default();
        let file_name = attribute(line, "filename").unwrap_or_default();
        found.push(Part { field, file_name, data });
    }
    Some(found)
}

fn split<'a>(body: &'a [u8], mark: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.windows(mark.len()).position(|window| window == mark) {
        pieces.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + mark.len()..).unwrap_or_default();
    }
    pieces.push(rest);
    pieces
}

/// `name="value"` or `name=value` out of a header.
fn attribute(header: &str, name: &str) -> Option<String> {
    header.split(';').find_map(|part| {
        let (key, value) = part.split_once('=')?;
        (key.trim().eq_ignore_ascii_case(name)).then(|| value.trim().trim_matches('"').to_owned())
    })
}
