//! Looking whether what the server confirmed is there.
//!
//! A server that cannot read all of a body answers 200 and stores what it could read (MLflow 2.22 and 3.17), and a proxy
//! may answer without having passed anything on. Sending a point again is harmless: equal points are kept once.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
};

use super::{
    delivery::{Delivery, Tried},
    entry::{Entry, KeyId, Point},
    progress::Origin,
};

/// Points of a metric in one page of its history.
const PAGE: u32 = 10_000;
/// How often what is missing is sent again.
const ROUNDS: usize = 3;

/// What the server confirmed since the last look.
#[derive(Debug, Default)]
pub(super) struct Unverified {
    points: Vec<(Point, Origin)>,
    /// Parameters and tags, which are not looked for.
    others: Vec<Origin>,
}

impl Unverified {
    pub(super) fn add(&mut self, entries: &[Entry], origin: Origin) {
        for entry in entries {
            match entry {
                Entry::Point(point) => self.points.push((*point, origin)),
                Entry::Rare(_) => self.others.push(origin),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.points.len() + self.others.len()
    }
}

/// What makes a point the same row of the server's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    timestamp: i64,
    step: i64,
    value: u64,
}

pub(super) fn identity(timestamp: i64, step: i64, value: f64) -> Identity {
    // The server keeps infinities as the largest finite numbers; 0 and -0 are one number.
    let value = if value.is_nan() {
        f64::NAN
    } else {
        value.clamp(f64::MIN, f64::MAX) + 0.0
    };
    Identity {
        timestamp,
        step,
        value: value.to_bits(),
    }
}

impl Delivery {
    /// How many entries are confirmed and not yet looked for.
    pub(super) fn unverified(&self) -> usize {
        self.unverified
            .as_ref()
            .map_or(0, |unverified| unverified.borrow().len())
    }

    /// Looks for all that was confirmed, sends again what is missing, and writes the result into the books.
    pub(super) async fn verify(&self) {
        let Some(unverified) = &self.unverified else {
            return;
        };
        let Unverified { points, others } = mem::take(&mut *unverified.borrow_mut());
        let mut missing = Vec::new();
        let mut by_key: BTreeMap<u32, Vec<(Point, Origin)>> = BTreeMap::new();
        for (point, origin) in &points {
            by_key.entry(point.key.0.get()).or_default().push((*point, *origin));
        }
        for points in by_key.into_values() {
            missing.extend(self.missing(points).await);
        }
        let sent = missing.len() as u64;
        if sent > 0 {
            tracing::warn!(run_id = %self.run_id, points = sent, "the server confirmed points that it does not have");
            self.progress.update(|counts| counts.sent_again += sent);
        }
        for _ in 0..ROUNDS {
            if missing.is_empty() {
                break;
            }
            missing = self.send_again(missing).await;
        }
        for origin in [Origin::Memory, Origin::Spool] {
            let of = |other: Origin| other == origin;
            let lost: Vec<_> = missing
                .iter()
                .filter(|(_, other)| of(*other))
                .map(|(point, _)| Entry::Point(*point))
                .collect();
            let all = points.iter().filter(|(_, other)| of(*other)).count()
                + others.iter().filter(|other| of(**other)).count();
            self.reject(&lost, "the server confirmed this point and does not have it", origin);
            self.progress.delivered((all - lost.len()) as u64, origin);
        }
    }

    async fn send_again(&self, points: Vec<(Point, Origin)>) -> Vec<(Point, Origin)> {
        for chunk in points.chunks(500) {
            let entries: Vec<_> = chunk.iter().map(|(point, _)| Entry::Point(*point)).collect();
            // Refused or given up now, they are found missing below.
            self.send(&entries).await;
        }
        let mut by_key: BTreeMap<u32, Vec<(Point, Origin)>> = BTreeMap::new();
        for (point, origin) in points {
            by_key.entry(point.key.0.get()).or_default().push((point, origin));
        }
        let mut missing = Vec::new();
        for points in by_key.into_values() {
            missing.extend(self.missing(points).await);
        }
        missing
    }

    /// Which of these points, all of one key, are not in its history. What cannot be looked for counts as being there:
    /// the server has confirmed it.
    async fn missing(&self, points: Vec<(Point, Origin)>) -> Vec<(Point, Origin)> {
        let Some(key) = points.first().map(|(point, _)| point.key) else {
            return Vec::new();
        };
        let name = self.name(key);
        let mut wanted: HashMap<Identity, (Point, Origin)> = points
            .into_iter()
            .map(|(point, origin)| (identity(point.timestamp, point.step, point.value), (point, origin)))
            .collect();
        let runs = self.client.runs();
        let mut token: Option<String> = None;
        while !wanted.is_empty() {
            let page = self
                .persist(async || {
                    runs.metric_history_page(&self.run_id, &name, PAGE, token.as_deref())
                        .await
                })
                .await;
            let Tried::Done(page) = page else {
                return Vec::new();
            };
            for point in page.items {
                wanted.remove(&identity(point.timestamp, point.step, point.value));
            }
            match page.next_page_token {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => break,
            }
        }
        wanted.into_values().collect()
    }

    fn name(&self, key: KeyId) -> String {
        self.keys.read().name(key).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_makes_of_a_value_is_the_same_value() {
        for (sent, kept) in [
            (f64::INFINITY, f64::MAX),
            (f64::NEG_INFINITY, f64::MIN),
            (-0.0, 0.0),
            (f64::NAN, -f64::NAN),
        ] {
            assert_eq!(identity(1, 2, sent), identity(1, 2, kept));
        }
        assert_ne!(identity(1, 2, 0.0), identity(1, 2, f64::NAN));
    }
}
