//! How entries stand in a spool file.
//!
//! A file is a header and then frames. All numbers are little-endian.
//!
//! | Part | Bytes |
//! |---|---|
//! | header | `MLFSPOOL`, version `u16`, length of the run's id `u16`, the id, CRC-32 of all this `u32` |
//! | frame | length of the content `u32`, CRC-32 of the content `u32`, content |
//! | content | items, each with a first byte that tells its kind |
//! | 0: key | number `u32`, length `u16`, name; stands before the first point of the key in this file |
//! | 1: point | number of the key `u32`, value `f64`, timestamp `i64`, step `i64` |
//! | 2: parameter, 3: tag | length `u32`, key, length `u32`, value |

use std::collections::{HashMap, HashSet};

use crate::{
    logger::entry::{Entry, KeyId, Keys, Point, Rare, Tables},
    metric::Param,
    tag::Tag,
};

const MAGIC: &[u8; 8] = b"MLFSPOOL";
const VERSION: u16 = 1;
/// Length and checksum before the content of a frame.
pub(super) const FRAME_HEAD: usize = 8;
/// Contents do not grow beyond this by much; a length far above it is damage.
const CONTENT: usize = 256 << 10;
pub(super) const MOST_CONTENT: usize = 4 << 20;
/// A run's id is shorter than 256 bytes.
pub(super) const MOST_HEADER: usize = 16 + 256;

pub(super) fn header(run_id: &str) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(VERSION.to_le_bytes());
    header.extend(u16::try_from(run_id.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend(run_id.as_bytes());
    let sum = crc32fast::hash(&header);
    header.extend(sum.to_le_bytes());
    header
}

/// Why a header is not one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// It ends too early or its checksum is wrong: the writer was killed at its beginning.
    Torn,
    Foreign(String),
}

/// Length of the header, if `file` begins with one of this run.
pub(super) fn read_header(file: &[u8], run_id: &str) -> Result<usize, BadHeader> {
    let mut rest = Reader(file);
    let Some(magic) = rest.take(MAGIC.len()) else {
        return Err(BadHeader::Torn);
    };
    if magic != MAGIC {
        return Err(BadHeader::Foreign("it does not begin as one".to_owned()));
    }
    let version = rest.u16().ok_or(BadHeader::Torn)?;
    if version != VERSION {
        return Err(BadHeader::Foreign(format!(
            "its version is {version}; this program knows version {VERSION}"
        )));
    }
    let length = rest.u16().ok_or(BadHeader::Torn)?;
    let id = rest.take(length.into()).ok_or(BadHeader::Torn)?;
    let end = file.len() - rest.0.len();
    let sum = rest.u32().ok_or(BadHeader::Torn)?;
    if file.get(..end).map(crc32fast::hash) != Some(sum) {
        return Err(BadHeader::Torn);
    }
    if id != run_id.as_bytes() {
        return Err(BadHeader::Foreign("it is of another run".to_owned()));
    }
    Ok(end + 4)
}

/// Makes frames of `entries`; answers how many of them are in the first frame, which is appended to `out`.
pub(super) fn write(entries: &[Entry], keys: &Tables, defined: &mut HashSet<KeyId>, out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend([0; FRAME_HEAD]);
    let mut count = 0;
    for entry in entries {
        if out.len() - start >= CONTENT {
            break;
        }
        count += 1;
        match entry {
            Entry::Point(point) => {
                if defined.insert(point.key) {
                    let name = keys.name(point.key);
                    out.push(0);
                    out.extend(point.key.0.get().to_le_bytes());
                    out.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
                    out.extend(name.as_bytes());
                }
                out.push(1);
                out.extend(point.key.0.get().to_le_bytes());
                out.extend(point.value.to_le_bytes());
                out.extend(point.timestamp.to_le_bytes());
                out.extend(point.step.to_le_bytes());
            }
            Entry::Rare(rare) => match &**rare {
                Rare::Param(param) => pair(2, &param.key, &param.value, out),
                Rare::Tag(tag) => pair(3, &tag.key, &tag.value, out),
                Rare::Marker(_) => {}
            },
        }
    }
    let (head, content) = out.split_at_mut(start + FRAME_HEAD);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(content).to_le_bytes();
    for (place, byte) in head.iter_mut().skip(start).zip(length.into_iter().chain(sum)) {
        *place = byte;
    }
    count
}

fn pair(kind: u8, key: &str, value: &str, out: &mut Vec<u8>) {
    out.push(kind);
    for text in [key, value] {
        out.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend(text.as_bytes());
    }
}

/// What stands at the beginning of some bytes.
#[derive(Debug)]
pub(super) enum Found {
    Frame {
        entries: Vec<Entry>,
        length: usize,
    },
    /// A frame of this length whose content is damaged; the next one may be whole.
    Damaged {
        length: usize,
    },
    /// No frame that is complete.
    Nothing,
}

/// Length of the frame whose head this is; `None` if it is none.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    let length = Reader(head).u32()? as usize;
    (1..=MOST_CONTENT).contains(&length).then_some(length + FRAME_HEAD)
}

/// Reads the frame at the beginning of `bytes`. `numbers` are the keys that this file has defined until here.
pub(super) fn read(bytes: &[u8], keys: &Keys, numbers: &mut HashMap<u32, KeyId>) -> Found {
    let Some(length) = length(bytes).filter(|length| *length <= bytes.len()) else {
        return Found::Nothing;
    };
    let mut rest = Reader(bytes.get(4..length).unwrap_or_default());
    let sum = rest.u32();
    if sum != Some(crc32fast::hash(rest.0)) {
        return Found::Damaged { length };
    }
    let mut entries = Vec::new();
    while !rest.0.is_empty() {
        if item(&mut rest, keys, numbers, &mut entries).is_none() {
            return Found::Damaged { length };
        }
    }
    Found::Frame { entries, length }
}

/// Reads one item; `None` if it is none.
fn item(rest: &mut Reader<'_>, keys: &Keys, numbers: &mut HashMap<u32, KeyId>, entries: &mut Vec<Entry>) -> Option<()> {
    let [kind] = *rest.take(1)? else { return None };
    match kind {
        0 => {
            let number = rest.u32()?;
            let length = rest.u16()?;
            let name = rest.text(length.into())?;
            numbers.insert(number, keys.intern(&name)?);
        }
        1 => entries.push(Entry::Point(Point {
            key: *numbers.get(&rest.u32()?)?,
            value: f64::from_le_bytes(rest.array()?),
            timestamp: i64::from_le_bytes(rest.array()?),
            step: i64::from_le_bytes(rest.array()?),
        })),
        2 | 3 => {
            let length = rest.u32()? as usize;
            let key = rest.text(length)?;
            let length = rest.u32()? as usize;
            let value = rest.text(length)?;
            entries.push(Entry::Rare(Box::new(if kind == 2 {
                Rare::Param(Param { key, value })
            } else {
                Rare::Tag(Tag { key, value })
            })));
        }
        _ => return None,
    }
    Some(())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text(&mut self, length: usize) -> Option<String> {
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(keys: &Keys) -> Vec<Entry> {
        let point = |key: &str, value, step| {
            Entry::Point(Point {
                key: keys.intern(key).unwrap(),
                value,
                timestamp: 1,
                step,
            })
        };
        vec![
            point("loss", 0.5, -1),
            Entry::Rare(Box::new(Rare::Param(Param::new("p", "größe")))),
            point("accuracy", f64::NAN, i64::MIN),
            Entry::Rare(Box::new(Rare::Tag(Tag::new("t", "")))),
            point("loss", f64::NEG_INFINITY, 2),
        ]
    }

    fn told(entries: &[Entry]) -> String {
        format!("{entries:?}")
    }

    #[test]
    fn what_was_written_is_read() {
        let keys = Keys::default();
        let entries = entries(&keys);
        let mut bytes = Vec::new();
        let count = write(&entries, &keys.read(), &mut HashSet::new(), &mut bytes);
        assert_eq!(count, entries.len());
        let Found::Frame { entries: found, length } = read(&bytes, &keys, &mut HashMap::new()) else {
            panic!("a frame");
        };
        assert_eq!((told(&found), length), (told(&entries), bytes.len()));
        for end in 0..bytes.len() {
            assert!(matches!(
                read(&bytes[..end], &keys, &mut HashMap::new()),
                Found::Nothing
            ));
        }
    }

    #[test]
    fn a_key_has_its_name_in_another_process() {
        let keys = Keys::default();
        let entries = entries(&keys);
        let mut bytes = Vec::new();
        write(&entries, &keys.read(), &mut HashSet::new(), &mut bytes);
        let others = Keys::default();
        others.intern("other").unwrap();
        let Found::Frame { entries, .. } = read(&bytes, &others, &mut HashMap::new()) else {
            panic!("a frame");
        };
        let names: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Point(point) => Some(others.read().name(point.key).to_owned()),
                Entry::Rare(_) => None,
            })
            .collect();
        assert_eq!(names, ["loss", "accuracy", "loss"]);
    }

    #[test]
    fn a_header_names_its_run() {
        let good = header("abc");
        assert_eq!(read_header(&good, "abc"), Ok(good.len()));
        assert!(matches!(read_header(&good, "abd"), Err(BadHeader::Foreign(_))));
        assert_eq!(read_header(&good[..good.len() - 1], "abc"), Err(BadHeader::Torn));
        assert_eq!(read_header(b"", "abc"), Err(BadHeader::Torn));
        assert!(matches!(read_header(b"#!/bin/sh\n", "abc"), Err(BadHeader::Foreign(_))));
        let mut newer = good.clone();
        newer[8] = 2;
        assert!(
            matches!(read_header(&newer, "abc"), Err(BadHeader::Foreign(reason)) if reason.contains("version is 2"))
        );
        assert!(header(&"r".repeat(255)).len() <= MOST_HEADER);
    }

    #[test]
    fn large_entries_are_spread_over_frames() {
        let keys = Keys::default();
        let entries: Vec<_> = (0..100)
            .map(|_| Entry::Rare(Box::new(Rare::Tag(Tag::new("t", "ü".repeat(8000))))))
            .collect();
        let mut bytes = Vec::new();
        let count = write(&entries, &keys.read(), &mut HashSet::new(), &mut bytes);
        assert!(count < 20 && bytes.len() < MOST_CONTENT, "{count} {}", bytes.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_fault(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes, &Keys::default(), &mut HashMap::new());
            let _ = read_header(&bytes, "r");
            let mut framed = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
            framed.extend(crc32fast::hash(&bytes).to_le_bytes());
            framed.extend(&bytes);
            let _ = read(&framed, &Keys::default(), &mut HashMap::new());
        }

        #[test]
        fn one_wrong_bit_is_found(bit in 0_usize..8 * 150) {
            let keys = Keys::default();
            let mut bytes = Vec::new();
            let written = entries(&keys);
            write(&written, &keys.read(), &mut HashSet::new(), &mut bytes);
            let bit = bit % (8 * bytes.len());
            bytes[bit / 8] ^= 1 << (bit % 8);
            let whole = matches!(read(&bytes, &keys, &mut HashMap::new()), Found::Frame { .. });
            prop_assert!(!whole);
        }
    }
}
