//! When a recurring run is due next: the arithmetic of the scheduled-workflow controller.

use serde_json::{Value, json};

use super::answer::{Message, Refusal};
use super::call::Json;
use super::clock::rfc3339;
use super::cron::Cron;

/// A time that never comes.
pub(super) const NEVER: i64 = i64::MAX;

/// What makes a recurring run fire. Times are seconds since 1970.
#[derive(Debug, Clone)]
pub(super) enum Schedule {
    Cron {
        cron: Cron,
        start: Option<i64>,
        end: Option<i64>,
    },
    Periodic {
        interval: i64,
        start: Option<i64>,
        end: Option<i64>,
    },
    /// Without a trigger the controller makes one run, at once.
    Once,
}

/// What is known of a recurring run when its next time is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) created: i64,
    /// The time for which the last run was made.
    pub(super) last: Option<i64>,
    pub(super) now: i64,
    /// Whether missed times are made up for one by one.
    pub(super) catchup: bool,
}

impl Schedule {
    /// Reads the `trigger` of a request, together with how servers give it back.
    pub(super) fn read(body: &Value) -> Result<(Self, Value), Refusal> {
        let empty = json!({});
        let trigger = body.get("trigger").unwrap_or(&empty);
        if let Some(given) = trigger.get("cron_schedule") {
            let cron = Cron::parse(given.text("cron")).map_err(|cause| {
                let text = "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). Error: ";
                Refusal::invalid(format!("{text}{cause}"))
            })?;
            let (start, end) = (seconds(given, "start_time"), seconds(given, "end_time"));
            let shown = times(start, end).text("cron", given.text("cron")).done();
            return Ok((Self::Cron { cron, start, end }, json!({"cron_schedule": shown})));
        }
        if let Some(given) = trigger.get("periodic_schedule") {
            let interval = given.get("interval_second").and_then(Value::as_i64).unwrap_or_default();
            if interval < 1 {
                let text =
                    format!("Found invalid period schedule interval {interval}. Set at interval to least 1 second");
                return Err(Refusal::invalid(text));
            }
            let (start, end) = (seconds(given, "start_time"), seconds(given, "end_time"));
            let shown = times(start, end).text("interval_second", &interval.to_string()).done();
            return Ok((
                Self::Periodic { interval, start, end },
                json!({"periodic_schedule": shown}),
            ));
        }
        Ok((Self::Once, empty))
    }

    /// The next time, which may be in the past if times were missed; [`NEVER`] if there is none.
    pub(super) fn next(&self, moment: Moment) -> i64 {
        let Moment {
            created,
            last,
            now,
            catchup,
        } = moment;
        match self {
            Self::Once => last.map_or(created, |_| NEVER),
            Self::Cron { cron, start, end } => {
                let from = last.or(*start).unwrap_or(created);
                let from = start.map_or(from, |start| from.max(start));
                let next = cron.next(from);
                let end = end.unwrap_or(NEVER);
                if end < next {
                    NEVER
                } else if catchup {
                    next
                } else {
                    cron.latest(next, now.min(end)).unwrap_or(next)
                }
            }
            Self::Periodic { interval, start, end } => {
                let from = last.or(*start).unwrap_or(created);
                let next = match start {
                    Some(start) if *start > from => *start,
                    _ => {
                        let next = from.saturating_add(*interval);
                        if end.is_some_and(|end| end < next) {
                            return NEVER;
                        }
                        next
                    }
                };
                if catchup || now < next.saturating_add(*interval) {
                    next
                } else {
                    end.map_or(now, |end| now.min(end))
                }
            }
        }
    }
}

fn seconds(schedule: &Value, key: &str) -> Option<i64> {
    let time = schedule.text(key).parse::<jiff::Timestamp>().ok()?;
    Some(time.as_second())
}

/// Times in whole seconds, as servers keep them.
fn times(start: Option<i64>, end: Option<i64>) -> Message {
    let shown = |time: Option<i64>| time.map(rfc3339).unwrap_or_default();
    Message::new()
        .text("start_time", &shown(start))
        .text("end_time", &shown(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(last: Option<i64>, now: i64, catchup: bool) -> Moment {
        Moment {
            created: 1_000,
            last,
            now,
            catchup,
        }
    }

    #[test]
    fn a_periodic_schedule_counts_from_its_start_or_its_last_run() {
        let plain = Schedule::Periodic {
            interval: 60,
            start: None,
            end: Some(1_200),
        };
        assert_eq!(plain.next(moment(None, 0, true)), 1_060);
        assert_eq!(plain.next(moment(Some(1_060), 9_999, true)), 1_120);
        assert_eq!(plain.next(moment(Some(1_180), 9_999, true)), NEVER);
        // Without catch-up a late run counts as made now, or at the end.
        assert_eq!(plain.next(moment(Some(1_060), 1_150, false)), 1_120);
        assert_eq!(plain.next(moment(Some(1_060), 1_190, false)), 1_190);
        assert_eq!(plain.next(moment(Some(1_060), 9_999, false)), 1_200);
        let started = Schedule::Periodic {
            interval: 60,
            start: Some(5_000),
            end: None,
        };
        assert_eq!(started.next(moment(None, 0, true)), 5_060);
    }

    #[test]
    fn a_cron_schedule_catches_up_or_takes_the_latest_time() {
        let hourly = Schedule::Cron {
            cron: Cron::parse("@hourly").unwrap(),
            start: None,
            end: Some(20_000),
        };
        assert_eq!(hourly.next(moment(None, 15_000, true)), 3_600);
        assert_eq!(hourly.next(moment(None, 15_000, false)), 14_400);
        assert_eq!(hourly.next(moment(None, 99_000, false)), 18_000);
        assert_eq!(hourly.next(moment(Some(18_000), 99_000, true)), NEVER);
    }
}
