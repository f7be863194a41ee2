//! How far a spool has been delivered, in a file of its own.
//!
//! Two places are written in turn, so that one is whole whenever the writer is killed, and the file never grows: it can be
//! written on a full disk. A position that is lost costs some entries sent again, which is harmless, so it is not forced
//! to the disk.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
};

const PLACE: usize = 40;
const CONTENT: usize = 36;

/// The first entry that is not confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::logger) struct Position {
    /// Number of the file.
    pub(super) segment: u64,
    /// Where its frame begins; 0 stands for the first frame.
    pub(super) offset: u64,
    /// Entries of that frame that are confirmed.
    pub(super) skip: u64,
}

#[derive(Debug)]
pub(super) struct PositionFile {
    file: File,
    turn: u64,
}

impl PositionFile {
    /// Takes over an open file; answers what it says.
    pub(super) fn open(mut file: File) -> io::Result<(Self, Position)> {
        let mut bytes = Vec::new();
        (&mut file).take(2 * PLACE as u64).read_to_end(&mut bytes)?;
        let newest = bytes.chunks(PLACE).filter_map(read).max_by_key(|(turn, _)| *turn);
        let (turn, position) = newest.unwrap_or_default();
        let mut this = Self { file, turn };
        if bytes.len() < 2 * PLACE {
            // Takes its room on the disk now.
            this.write(position)?;
            this.write(position)?;
        }
        Ok((this, position))
    }

    pub(super) fn write(&mut self, position: Position) -> io::Result<()> {
        self.turn += 1;
        let mut place = Vec::with_capacity(PLACE);
        for number in [self.turn, position.segment, position.offset, position.skip] {
            place.extend(number.to_le_bytes());
        }
        place.resize(CONTENT, 0);
        place.extend(crc32fast::hash(&place).to_le_bytes());
        let start = (self.turn % 2) * PLACE as u64;
        self.file.seek(SeekFrom::Start(start))?;
        self.file.write_all(&place)
    }
}

fn read(place: &[u8]) -> Option<(u64, Position)> {
    let (content, sum) = place.split_at_checked(CONTENT)?;
    if crc32fast::hash(content).to_le_bytes() != sum {
        return None;
    }
    let mut numbers = content
        .chunks_exact(8)
        .filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
    let turn = numbers.next()?;
    let position = Position {
        segment: numbers.next()?,
        offset: numbers.next()?,
        skip: numbers.next()?,
    };
    Some((turn, position))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(segment: u64) -> Position {
        Position {
            segment,
            offset: 7,
            skip: 3,
        }
    }

    #[test]
    fn the_last_position_that_is_whole_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (mut positions, first) = PositionFile::open(file.reopen().unwrap()).unwrap();
        assert_eq!(first, Position::default());
        for segment in 1..=3 {
            positions.write(at(segment)).unwrap();
        }
        let (_, last) = PositionFile::open(file.reopen().unwrap()).unwrap();
        assert_eq!(last, at(3));
        let mut bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(bytes.len(), 2 * PLACE);
        // The writer was killed while it wrote the third: its place is torn.
        let place = bytes
            .chunks(PLACE)
            .position(|place| read(place).unwrap().1 == at(3))
            .unwrap();
        bytes[place * PLACE + 20] ^= 1;
        std::fs::write(file.path(), bytes).unwrap();
        let (_, last) = PositionFile::open(file.reopen().unwrap()).unwrap();
        assert_eq!(last, at(2));
    }
}
