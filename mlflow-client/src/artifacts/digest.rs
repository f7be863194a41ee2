//! Digests of files.

use std::fmt::Write as _;
use std::{fmt, io::Read, path::Path, str::FromStr};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::error::{Error, FileError, Result};

/// Kind of digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256.
    Sha256,
    /// MD5, which stores give as `ETag`. It does not protect against intent.
    Md5,
}

/// Digest of a file's content. Its text is that of `sha256sum` with the name of the algorithm before it.
///
/// ```
/// use mlflow_client::Digest;
///
/// let digest: Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?;
/// assert_eq!(digest.to_hex().len(), 64);
/// # Ok::<(), mlflow_client::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: DigestAlgorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(algorithm: DigestAlgorithm, content: impl AsRef<[u8]>) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content.as_ref());
        hasher.finish()
    }

    /// The digest of a local file, which is read piece by piece.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it cannot be read.
    pub async fn of_file(algorithm: DigestAlgorithm, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let failed = path.clone();
        let work = tokio::task::spawn_blocking(move || -> std::io::Result<Self> {
            let mut file = std::fs::File::open(path)?;
            let mut hasher = Hasher::new(algorithm);
            let mut buffer = vec![0; 256 << 10];
            loop {
                let read = file.read(&mut buffer)?;
                match buffer.get(..read) {
                    Some(part) if read > 0 => hasher.update(part),
                    _ => return Ok(hasher.finish()),
                }
            }
        });
        let result = work.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        result.map_err(|error| FileError::of("artifacts.digest", &failed, error))
    }

    /// Kind.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The digest in hexadecimal digits, in lower case.
    pub fn to_hex(&self) -> String {
        self.bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.algorithm {
            DigestAlgorithm::Sha256 => "sha256",
            DigestAlgorithm::Md5 => "md5",
        };
        write!(f, "{name}:{}", self.to_hex())
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = || Error::invalid("digest", "`sha256:` and 64, or `md5:` and 32 hexadecimal digits");
        let (name, hex) = text.split_once(':').ok_or_else(refused)?;
        let (algorithm, size) = match name {
            "sha256" => (DigestAlgorithm::Sha256, 32),
            "md5" => (DigestAlgorithm::Md5, 16),
            _ => return Err(refused()),
        };
        let nibble = |digit: u8| {
            char::from(digit)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.filter(|bytes| bytes.len() == size).ok_or_else(refused)?;
        Ok(Self { algorithm, bytes })
    }
}

/// A digest in the making.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Md5(Md5),
}

impl Hasher {
    pub(super) fn new(algorithm: DigestAlgorithm) -> Self {
        match algorithm {
            DigestAlgorithm::Sha256 => Self::Sha256(Sha256::new()),
            DigestAlgorithm::Md5 => Self::Md5(Md5::new()),
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Digest {
        match self {
            Self::Sha256(hasher) => Digest {
                algorithm: DigestAlgorithm::Sha256,
                bytes: hasher.finalize().to_vec(),
            },
            Self::Md5(hasher) => Digest {
                algorithm: DigestAlgorithm::Md5,
                bytes: hasher.finalize().to_vec(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        for (text, content) in [
            ("md5:900150983cd24fb0d6963f7d28e17f72", "abc"),
            (
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                "abc",
            ),
        ] {
            let digest: Digest = text.parse().unwrap();
            assert_eq!(Digest::of(digest.algorithm(), content), digest);
            assert_eq!(digest.to_string(), text);
        }
        for bad in [
            "",
            "abc",
            "md5:",
            "md5:0g",
            "sha256:00",
            "sha1:00",
            "md5:900150983cd24fb0d6963f7d28e17f7",
        ] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_missing_file_is_named() {
        let error = Digest::of_file(DigestAlgorithm::Md5, "/nowhere/at/all")
            .await
            .unwrap_err();
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
        assert!(matches!(error, Error::File(_)));
    }
}
