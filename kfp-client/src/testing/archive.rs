//! Unpacking uploaded archives.

use std::io::Read as _;

use flate2::read::{DeflateDecoder, GzDecoder};

/// Largest document that is unpacked.
const LIMIT: u64 = 32 << 20;

/// The pipeline document of an upload, by file name or by its first bytes.
pub(super) fn document(name: &str, data: &[u8]) -> Result<String, String> {
    let lower = name.to_lowercase();
    let plain = [".yaml", ".yml", ".json"].iter().any(|ending| lower.ends_with(ending));
    let bytes = if plain {
        data.to_vec()
    } else if data.starts_with(b"PK") {
        pick(zip_members(data).ok_or("not a zip file")?)?
    } else if data.starts_with(&[0x1f, 0x8b]) {
        pick(tar_members(&gunzip(data).ok_or("not a gzip file")?))?
    } else {
        return Err(format!(
            "Unexpected pipeline file format {name:?}. Support .zip, .tar.gz, .json or YAML"
        ));
    };
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

/// `pipeline.yaml`, else the first member, which has to be YAML.
fn pick(members: Vec<(String, Vec<u8>)>) -> Result<Vec<u8>, String> {
    let yaml = |name: &str| name.to_lowercase().ends_with(".yaml") || name.to_lowercase().ends_with(".yml");
    let named = members
        .iter()
        .position(|(name, _)| name == "pipeline.yaml")
        .unwrap_or(0);
    match members.into_iter().nth(named) {
        Some((name, data)) if yaml(&name) => Ok(data),
        Some((name, _)) => Err(format!("file in archive must be YAML, not {name:?}")),
        None => Err("empty archive".to_owned()),
    }
}

fn gunzip(data: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    GzDecoder::new(data).take(LIMIT).read_to_end(&mut out).ok()?;
    Some(out)
}

fn number(data: &[u8], at: usize, size: usize) -> Option<usize> {
    let bytes = data.get(at..at.checked_add(size)?)?;
    Some(bytes.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// Reads a zip through its central directory.
fn zip_members(data: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let end = data.windows(4).rposition(|window| window == b"PK\x05\x06")?;
    let count = number(data, end + 10, 2)?;
    let mut at = number(data, end + 16, 4)?;
    let mut members = Vec::new();
    for _ in 0..count {
        if data.get(at..at + 4)? != b"PK\x01\x02" {
            return None;
        }
        let (method, packed) = (number(data, at + 10, 2)?, number(data, at + 20, 4)?);
        let (name, extra, comment) = (
            number(data, at + 28, 2)?,
            number(data, at + 30, 2)?,
            number(data, at + 32, 2)?,
        );
        let header = number(data, at + 42, 4)?;
        let title = String::from_utf8_lossy(data.get(at + 46..at + 46 + name)?).into_owned();
        let start = header + 30 + number(data, header + 26, 2)? + number(data, header + 28, 2)?;
        let body = data.get(start..start.checked_add(packed)?)?;
        let body = if method == 8 {
            let mut out = Vec::new();
            DeflateDecoder::new(body).take(LIMIT).read_to_end(&mut out).ok()?;
            out
        } else {
            body.to_vec()
        };
        members.push((title, body));
        at += 46 + name + extra + comment;
    }
    Some(members)
}

/// The plain files of a tar.
fn tar_members(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut members = Vec::new();
    let mut at = 0;
    while let Some(header) = data.get(at..at + 512) {
        let text = |from: usize, to: usize| {
            let field = header.get(from..to).unwrap_or_default();
            String::from_utf8_lossy(field.split(|byte| *byte == 0).next().unwrap_or_default())
                .trim()
                .to_owned()
        };
        let name = text(0, 100);
        let Ok(size) = usize::from_str_radix(&text(124, 136), 8) else {
            break;
        };
        if name.is_empty() {
            break;
        }
        let Some(body) = data.get(at + 512..at + 512 + size) else {
            break;
        };
        if matches!(header.get(156), Some(b'0' | 0)) {
            members.push((name.trim_start_matches("./").to_owned(), body.to_vec()));
        }
        at += 512 + size.div_ceil(512) * 512;
    }
    members
}
