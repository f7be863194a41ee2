//! The one field of an artifact's answer, decoded while it comes: `{"data": "<base64>"}`.

use bytes::{Bytes, BytesMut};

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It ended before its end.
    CutOff,
    /// It is something else.
    Shape,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before `{`.
    #[default]
    Start,
    /// Before the name, or the end of an empty object, which stands for an empty artifact.
    Name,
    /// Inside the name, so many bytes into it.
    InName(usize),
    Colon,
    Quote,
    Text,
    /// Behind the padding.
    Padded,
    Close,
    End,
}

/// Decodes without holding more than the piece at hand.
#[derive(Debug, Default)]
pub(crate) struct DataField {
    at: At,
    /// Bits that do not fill a byte yet, and how many they are.
    bits: u32,
    count: u32,
}

impl DataField {
    /// Decodes a piece of the answer.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<Bytes, Fault> {
        let mut out = BytesMut::with_capacity(piece.len() / 4 * 3 + 3);
        for &byte in piece {
            self.at = self.step(byte, &mut out)?;
        }
        Ok(out.freeze())
    }

    fn step(&mut self, byte: u8, out: &mut BytesMut) -> Result<At, Fault> {
        const NAME: &[u8] = b"data\"";
        let inside = matches!(self.at, At::InName(_) | At::Text | At::Padded);
        if !inside && byte.is_ascii_whitespace() {
            return Ok(self.at);
        }
        Ok(match (self.at, byte) {
            (At::Start, b'{') => At::Name,
            (At::Name, b'"') => At::InName(0),
            (At::Name | At::Close, b'}') => At::End,
            (At::InName(done), byte) if NAME.get(done) == Some(&byte) => {
                if done + 1 == NAME.len() {
                    At::Colon
                } else {
                    At::InName(done + 1)
                }
            }
            (At::Colon, b':') => At::Quote,
            // A slash may be escaped in JSON.
            (At::Quote, b'"') | (At::Text, b'\\') => At::Text,
            // What is left over fills no byte.
            (At::Text | At::Padded, b'"') if self.count < 6 => At::Close,
            (At::Text | At::Padded, b'=') => At::Padded,
            (At::Text, byte) => {
                self.bits = self.bits << 6 | u32::from(value(byte).ok_or(Fault::Shape)?);
                self.count += 6;
                if self.count >= 8 {
                    self.count -= 8;
                    let [.., full] = (self.bits >> self.count).to_be_bytes();
                    out.extend_from_slice(&[full]);
                    self.bits &= (1 << self.count) - 1;
                }
                At::Text
            }
            _ => return Err(Fault::Shape),
        })
    }

    /// Says whether the answer was complete.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.at == At::End { Ok(()) } else { Err(Fault::CutOff) }
    }
}

fn value(byte: u8) -> Option<u8> {
    Some(match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str, size: usize) -> Result<Vec<u8>, Fault> {
        let mut field = DataField::default();
        let mut all = Vec::new();
        for piece in text.as_bytes().chunks(size) {
            all.extend_from_slice(&field.push(piece)?);
        }
        field.end().map(|()| all)
    }

    #[test]
    fn any_cut_of_the_answer_gives_the_same_bytes() {
        for (text, bytes) in [
            (r#"{"data":"bG9nIGxpbmUgMQ=="}"#, &b"log line 1"[..]),
            ("{ \"data\" : \"bG9nIGxpbmUgMTI=\" }\n", b"log line 12"),
            (r#"{"data":"+\/\/+"}"#, &[0xfb, 0xff, 0xfe]),
            (r#"{"data":""}"#, b""),
            ("{}", b""),
        ] {
            for size in 1..=text.len() {
                assert_eq!(decode(text, size).unwrap(), bytes, "{text} {size}");
            }
        }
    }

    #[test]
    fn what_is_no_artifact_or_no_whole_one_is_told() {
        assert_eq!(decode(r#"{"data":"bG9n"#, 4), Err(Fault::CutOff));
        assert_eq!(decode("", 4), Err(Fault::CutOff));
        for text in [
            r#"{"date":"bG9n"}"#,
            r#"{"data":"b&"}"#,
            "[]",
            r#"{"data":"bG9n"}x"#,
            r#"{"data":"bG9nA"}"#,
            r#"{"data":"bG=9"}"#,
        ] {
            assert_eq!(decode(text, 3), Err(Fault::Shape), "{text}");
        }
    }
}
