//! Cron expressions, read and followed as robfig/cron 1.2 does, which servers of all generations use.
//!
//! Seconds come first. With five fields it is the day of the week that is missing. All times are UTC, the servers'
//! default.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use super::clock::YEAR_ONE;

/// Set in a field that was written `*` or `?`.
const STAR: u64 = 1 << 63;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cron {
    /// One bit for each value that matches.
    Fields {
        second: u64,
        minute: u64,
        hour: u64,
        day: u64,
        month: u64,
        weekday: u64,
    },
    /// Whole seconds between two times.
    Every(i64),
}

/// The values that a field can have, and names for them; names start at the least value.
#[derive(Clone, Copy)]
struct Bounds {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTES: Bounds = Bounds {
    least: 0,
    most: 59,
    names: &[],
};
const HOURS: Bounds = Bounds {
    least: 0,
    most: 23,
    names: &[],
};
const DAYS: Bounds = Bounds {
    least: 1,
    most: 31,
    names: &[],
};
const MONTHS: Bounds = Bounds {
    least: 1,
    most: 12,
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
};
const WEEKDAYS: Bounds = Bounds {
    least: 0,
    most: 6,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
};

impl Cron {
    /// Reads an expression; the error is the library's own.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Empty spec string".to_owned());
        }
        if text.starts_with('@') {
            return descriptor(text);
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, minute, hour, day, month, weekday) = match *fields.as_slice() {
            [second, minute, hour, day, month] => (second, minute, hour, day, month, "*"),
            [second, minute, hour, day, month, weekday] => (second, minute, hour, day, month, weekday),
            _ => return Err(format!("Expected 5 to 6 fields, found {}: {text}", fields.len())),
        };
        Ok(Self::Fields {
            second: field(second, MINUTES)?,
            minute: field(minute, MINUTES)?,
            hour: field(hour, HOURS)?,
            day: field(day, DAYS)?,
            month: field(month, MONTHS)?,
            weekday: field(weekday, WEEKDAYS)?,
        })
    }

    /// The first time after this one, in seconds since 1970.
    ///
    /// An expression that no date matches within five years, such as the 30th of February, gives the first second of
    /// year 1, which servers take for a time long past.
    pub(crate) fn next(&self, after: i64) -> i64 {
        let (second, minute, hour, day, month, weekday) = match self {
            Self::Every(seconds) => return after.saturating_add(*seconds),
            Self::Fields {
                second,
                minute,
                hour,
                day,
                month,
                weekday,
            } => (*second, *minute, *hour, *day, *month, *weekday),
        };
        let Ok(start) = Timestamp::from_second(after.saturating_add(1)) else {
            return YEAR_ONE;
        };
        let start = Offset::UTC.to_datetime(start);
        let limit = start.year().saturating_add(5);
        let (mut date, time) = (start.date(), start.time());
        let mut floor = (number(time.hour()), number(time.minute()), number(time.second()));
        loop {
            if date.year() > limit {
                return YEAR_ONE;
            }
            if has(month, number(date.month()))
                && day_matches(day, weekday, date)
                && let Some((hour, minute, second)) = time_of_day(hour, minute, second, floor)
            {
                let midnight = Offset::UTC.to_timestamp(date.to_datetime(jiff::civil::Time::midnight()));
                let midnight = midnight.map_or(YEAR_ONE, Timestamp::as_second);
                return midnight + i64::from(hour * 3600 + minute * 60 + second);
            }
            floor = (0, 0, 0);
            let Ok(tomorrow) = date.tomorrow() else {
                return YEAR_ONE;
            };
            date = tomorrow;
        }
    }

    /// The last time up to `limit` that comes after `floor`, if there is one.
    pub(crate) fn latest(&self, floor: i64, limit: i64) -> Option<i64> {
        if let Self::Every(seconds) = self {
            let rounds = limit.checked_sub(floor)?.checked_div(*seconds)?;
            return (rounds > 0).then(|| floor + rounds * seconds);
        }
        let mut back = 1_i64;
        loop {
            let from = limit.saturating_sub(back).max(floor);
            let mut found = self.next(from);
            if found > from && found <= limit {
                loop {
                    let later = self.next(found);
                    if later <= found || later > limit {
                        return Some(found);
                    }
                    found = later;
                }
            }
            if from == floor {
                return None;
            }
            back = back.saturating_mul(2);
        }
    }
}

fn number(value: i8) -> u32 {
    u32::try_from(value).unwrap_or_default()
}

fn has(bits: u64, value: u32) -> bool {
    bits >> value & 1 == 1
}

/// With a star in either field both have to match, otherwise one of them is enough.
fn day_matches(day: u64, weekday: u64, date: Date) -> bool {
    let days = has(day, number(date.day()));
    let weekdays = has(weekday, number(date.weekday().to_sunday_zero_offset()));
    if day & STAR != 0 || weekday & STAR != 0 {
        days && weekdays
    } else {
        days || weekdays
    }
}

/// The first time of a day from `floor` on.
fn time_of_day(hours: u64, minutes: u64, seconds: u64, floor: (u32, u32, u32)) -> Option<(u32, u32, u32)> {
    for hour in (floor.0..24).filter(|hour| has(hours, *hour)) {
        let least = if hour == floor.0 { floor.1 } else { 0 };
        for minute in (least..60).filter(|minute| has(minutes, *minute)) {
            let least = if (hour, minute) == (floor.0, floor.1) {
                floor.2
            } else {
                0
            };
            if let Some(second) = (least..60).find(|second| has(seconds, *second)) {
                return Some((hour, minute, second));
            }
        }
    }
    None
}

fn field(text: &str, bounds: Bounds) -> Result<u64, String> {
    let ranges = text.split(',').filter(|range| !range.is_empty());
    ranges
        .map(|range| range_bits(range, bounds))
        .try_fold(0, |all, bits| Ok(all | bits?))
}

/// `a`, `a-b`, `*`, each with an optional `/step`.
fn range_bits(text: &str, bounds: Bounds) -> Result<u64, String> {
    let parts: Vec<&str> = text.split('/').collect();
    let ends: Vec<&str> = parts.first().copied().unwrap_or_default().split('-').collect();
    let first = ends.first().copied().unwrap_or_default();
    let mut star = 0;
    let (start, mut end) = if first == "*" || first == "?" {
        star = STAR;
        (u64::from(bounds.least), u64::from(bounds.most))
    } else {
        let start = int_or_name(first, bounds)?;
        match *ends.as_slice() {
            [_] => (start, start),
            [_, end] => (start, int_or_name(end, bounds)?),
            _ => return Err(format!("Too many hyphens: {text}")),
        }
    };
    let step = match *parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = int(step)?;
            if ends.len() == 1 {
                end = u64::from(bounds.most);
            }
            step
        }
        _ => return Err(format!("Too many slashes: {text}")),
    };
    let (least, most) = (bounds.least, bounds.most);
    if start < u64::from(least) {
        return Err(format!("Beginning of range ({start}) below minimum ({least}): {text}"));
    }
    if end > u64::from(most) {
        return Err(format!("End of range ({end}) above maximum ({most}): {text}"));
    }
    if start > end {
        return Err(format!(
            "Beginning of range ({start}) beyond end of range ({end}): {text}"
        ));
    }
    if step == 0 {
        return Err(format!("Step of range should be a positive number: {text}"));
    }
    let matching = (start..=end).filter(|value| (value - start).is_multiple_of(step));
    Ok(matching.fold(star, |bits, value| bits | 1 << value))
}

fn int_or_name(text: &str, bounds: Bounds) -> Result<u64, String> {
    let lower = text.to_lowercase();
    match (bounds.least..).zip(bounds.names).find(|(_, name)| **name == lower) {
        Some((value, _)) => Ok(u64::from(value)),
        None => int(text),
    }
}

/// A whole number, with the errors of Go's `Atoi`.
fn int(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let wrong = |why: &str| format!("Failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("invalid syntax"));
    }
    let value: i64 = text.parse().map_err(|_| wrong("value out of range"))?;
    u64::try_from(value).map_err(|_| format!("Negative number ({value}) not allowed: {text}"))
}

fn descriptor(text: &str) -> Result<Cron, String> {
    let fields = match text {
        "@yearly" | "@annually" => "0 0 0 1 1 *",
        "@monthly" => "0 0 0 1 * *",
        "@weekly" => "0 0 0 * * 0",
        "@daily" | "@midnight" => "0 0 0 * * *",
        "@hourly" => "0 0 * * * *",
        _ => {
            let Some(every) = text.strip_prefix("@every ") else {
                return Err(format!("Unrecognized descriptor: {text}"));
            };
            let every = go_duration(every).map_err(|cause| format!("Failed to parse duration {text}: {cause}"))?;
            return Ok(Cron::Every(i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1)));
        }
    };
    Cron::parse(fields)
}

/// A duration as Go writes it, such as `1h30m`; a negative one counts as none.
fn go_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "0" {
        return Ok(Duration::ZERO);
    }
    if unsigned.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let split = |fits: fn(char) -> bool, text: &str| text.find(|letter| !fits(letter)).unwrap_or(text.len());
        let (value, tail) = rest.split_at(split(|letter| letter.is_ascii_digit() || letter == '.', rest));
        let value: f64 = value.parse().map_err(|_| invalid())?;
        let (unit, tail) = tail.split_at(split(|letter| !letter.is_ascii_digit() && letter != '.', tail));
        let scale = match unit {
            "" => return Err(format!("time: missing unit in duration {text:?}")),
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        seconds += value * scale;
        rest = tail;
    }
    if text.starts_with('-') {
        return Ok(Duration::ZERO);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn times_follow_the_expression_with_seconds_first() {
        for (cron, after, next) in [
            ("0 0 * * * *", "2026-01-01T00:30:00Z", "2026-01-01T01:00:00Z"),
            ("0 0 * * * *", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"),
            // Five fields: what looks like every hour is every minute.
            ("0 * * * *", "2026-01-01T00:00:01Z", "2026-01-01T00:01:00Z"),
            ("*/15 * * * * *", "2026-01-01T00:00:14Z", "2026-01-01T00:00:15Z"),
            (
                "30 5/20 8-10 * * MON-FRI",
                "2026-01-02T10:45:30Z",
                "2026-01-05T08:05:30Z",
            ),
            ("0 0 0 13 * fri", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            ("0 0 0 29 2 ?", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
            ("0 59 23 31 12 *", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
            ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
            ("@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
            ("@every 10ms", "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"),
        ] {
            let parsed = Cron::parse(cron).unwrap();
            assert_eq!(parsed.next(at(after)), at(next), "{cron} after {after}");
        }
        assert_eq!(Cron::parse("0 0 0 30 2 *").unwrap().next(0), YEAR_ONE);
    }

    #[test]
    fn the_latest_time_is_found_however_long_ago_the_schedule_began() {
        let seconds = Cron::parse("* * * * * *").unwrap();
        assert_eq!(seconds.latest(0, 1_700_000_000), Some(1_700_000_000));
        let yearly = Cron::parse("@yearly").unwrap();
        assert_eq!(
            yearly.latest(0, at("2026-06-01T00:00:00Z")),
            Some(at("2026-01-01T00:00:00Z"))
        );
        assert_eq!(
            yearly.latest(at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z")),
            None
        );
        assert_eq!(Cron::parse("@every 7s").unwrap().latest(100, 120), Some(114));
        assert_eq!(Cron::parse("0 0 0 30 2 *").unwrap().latest(0, 1_700_000_000), None);
    }

    #[test]
    fn what_the_library_refuses_is_refused_in_its_words() {
        for (cron, error) in [
            ("", "Empty spec string"),
            ("not a cron", "Expected 5 to 6 fields, found 3: not a cron"),
            ("* * * * * * 2026", "Expected 5 to 6 fields, found 7: * * * * * * 2026"),
            ("60 * * * * *", "End of range (60) above maximum (59): 60"),
            ("0 0 0 0 * *", "Beginning of range (0) below minimum (1): 0"),
            ("0 0 0 * * 7", "End of range (7) above maximum (6): 7"),
            ("0 0 5-3 * * *", "Beginning of range (5) beyond end of range (3): 5-3"),
            ("0 */0 * * * *", "Step of range should be a positive number: */0"),
            ("0 1-2-3 * * * *", "Too many hyphens: 1-2-3"),
            ("0 1/2/3 * * * *", "Too many slashes: 1/2/3"),
            (
                "0 0 0 L * *",
                "Failed to parse int from L: strconv.Atoi: parsing \"L\": invalid syntax",
            ),
            ("@fortnightly", "Unrecognized descriptor: @fortnightly"),
            (
                "@every 2d",
                "Failed to parse duration @every 2d: time: unknown unit \"d\" in duration \"2d\"",
            ),
            (
                "@every 5",
                "Failed to parse duration @every 5: time: missing unit in duration \"5\"",
            ),
        ] {
            assert_eq!(Cron::parse(cron), Err(error.to_owned()), "{cron}");
        }
    }
}
