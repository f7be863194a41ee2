//! Randomness: ids, boundaries, and pauses that do not come in step.
//!
//! None of it is a secret; what counts is that no two are alike. The keys of the standard library's hasher come from the
//! operating system, once for each thread, and no two hashers of a thread have the same ones. That spares every program
//! that uses this crate a library for random numbers.

use std::hash::{BuildHasher, Hasher, RandomState};

use uuid::{Builder, Uuid};

/// A UUID of version 4.
pub(crate) fn uuid() -> Uuid {
    let [high, low] = [bits(), bits()].map(u128::from);
    Builder::from_random_bytes((high << 64 | low).to_be_bytes()).into_uuid()
}

fn bits() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, thread};

    use super::*;

    #[test]
    fn no_two_are_alike_in_any_thread() {
        let threads: Vec<_> = (0..4)
            .map(|_| thread::spawn(|| (0..2_000).map(|_| uuid()).collect::<Vec<_>>()))
            .collect();
        let all: Vec<Uuid> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 8_000);
        assert!(all.iter().all(|id| id.get_version_num() == 4));
        // Every bit but the six of version and variant is as often set as not.
        for bit in 0..128 {
            let set = all.iter().filter(|id| id.as_u128() >> bit & 1 == 1).count();
            let fixed = matches!(bit, 62 | 63 | 76..80);
            assert!(fixed || (3_500..4_500).contains(&set), "bit {bit}: {set}");
        }
    }
}
