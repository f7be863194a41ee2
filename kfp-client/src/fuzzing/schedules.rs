//! Cron expressions, as the fake reads and follows them.

use jiff::{Timestamp, civil::DateTime, tz::Offset};

use crate::testing::cron::Cron;

/// How many seconds are looked at one by one.
const WINDOW: i64 = 400;

/// What can be read fires at times that match, misses none, and is found again from behind.
pub fn cron(text: &str) {
    let cron = match Cron::parse(text) {
        Ok(cron) => cron,
        Err(error) => {
            assert!(!error.is_empty(), "{text}");
            return;
        }
    };
    let year_one = Timestamp::MIN.as_second().max(-62_135_596_800);
    // A leap day, the last second of a year, and times that the text decides.
    let own = text
        .bytes()
        .fold(0_i64, |sum, byte| sum * 31 % 4_000_000_007 + i64::from(byte));
    for after in [1_709_164_799, 1_798_761_599, own, -own] {
        let next = cron.next(after);
        let fires = next != year_one;
        assert!(!fires || next > after, "{text}: {next} does not come after {after}");
        if fires {
            assert!(matches(&cron, after, next), "{text}: {next} does not match");
        }
        let end = if fires {
            next.min(after + WINDOW)
        } else {
            after + WINDOW
        };
        let missed = (after + 1..end).find(|time| matches(&cron, after, *time));
        assert_eq!(missed, None, "{text} after {after}");
        let limit = after + WINDOW;
        match cron.latest(after, limit) {
            Some(last) => {
                assert!(
                    last > after && last <= limit,
                    "{text}: {last} is not in ({after}, {limit}]"
                );
                let further = cron.next(last);
                assert!(
                    further > limit || further == year_one,
                    "{text}: {further} is later than {last}"
                );
            }
            None => assert!(!fires || next > limit, "{text}: {next} was not found"),
        }
    }
}

/// Whether a schedule fires at a time, told from the parts of the date.
fn matches(cron: &Cron, after: i64, time: i64) -> bool {
    let (second, minute, hour, day, month, weekday) = match cron {
        Cron::Every(seconds) => return time == after.saturating_add(*seconds),
        Cron::Fields {
            second,
            minute,
            hour,
            day,
            month,
            weekday,
        } => (*second, *minute, *hour, *day, *month, *weekday),
    };
    let Ok(timestamp) = Timestamp::from_second(time) else {
        return false;
    };
    let date: DateTime = Offset::UTC.to_datetime(timestamp);
    let has = |bits: u64, value: i8| bits & (1 << value) != 0;
    let star = |bits: u64| bits & (1 << 63) != 0;
    let days = has(day, date.day());
    let weekdays = has(weekday, date.weekday().to_sunday_zero_offset());
    let dated = if star(day) || star(weekday) {
        days && weekdays
    } else {
        days || weekdays
    };
    dated
        && has(second, date.second())
        && has(minute, date.minute())
        && has(hour, date.hour())
        && has(month, date.month())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn field(least: u8, most: u8) -> impl Strategy<Value = String> {
        let number = move || (least..=most).prop_map(|number| number.to_string());
        let range = prop_oneof![
            Just("*".to_owned()),
            Just("?".to_owned()),
            number(),
            (number(), number()).prop_map(|(from, to)| format!("{from}-{to}")),
        ];
        let stepped = (range, prop::option::of(0..70_u8))
            .prop_map(|(range, step)| step.map_or_else(|| range.clone(), |step| format!("{range}/{step}")));
        vec(stepped, 1..3).prop_map(|ranges| ranges.join(","))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn expressions(
            fields in (field(0, 59), field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
            short in any::<bool>(),
        ) {
            let (second, minute, hour, day, month, weekday) = fields;
            let mut text = format!("{second} {minute} {hour} {day} {month}");
            if !short {
                text = format!("{text} {weekday}");
            }
            cron(&text);
        }

        #[test]
        fn intervals(parts in vec(("[0-9]{1,3}(\\.[0-9]{1,2})?", "ns|us|µs|ms|s|m|h|d|"), 0..4), sign in "-|\\+|") {
            let text: String = parts.into_iter().map(|(number, unit)| number + &unit).collect();
            cron(&format!("@every {sign}{text}"));
        }

        #[test]
        fn texts(text in "(@?[a-z]{0,8} ?){0,3}|([0-9*?,/A-Za-z-]{0,6} ){5}[0-9*?,/-]{0,4}|\\PC{0,24}") {
            cron(&text);
        }
    }

    #[test]
    fn seeds_hold() {
        for seed in super::super::tests::seeds("cron") {
            cron(&String::from_utf8(seed).unwrap());
        }
    }
}
