//! The server's rules for cron expressions: those of `robfig/cron` version 1, seconds first.

/// A field: its name, its lowest and highest value, and the names its values have.
type Field = (&'static str, u32, u32, &'static [&'static str]);

const MONTHS: &[&str] = &[
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 6] = [
    ("second", 0, 59, &[]),
    ("minute", 0, 59, &[]),
    ("hour", 0, 23, &[]),
    ("day of month", 1, 31, &[]),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
];

const DESCRIPTORS: [&str; 7] = [
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
];

/// Checks an expression; the error says what is allowed.
pub(super) fn check(cron: &str) -> Result<(), String> {
    if cron.starts_with('@') {
        return descriptor(cron);
    }
    let parts: Vec<&str> = cron.split_whitespace().collect();
    if !(5..=6).contains(&parts.len()) {
        return Err(format!(
            "6 fields, `second minute hour day-of-month month day-of-week` (the last may be left out), not {}",
            parts.len()
        ));
    }
    parts.iter().zip(FIELDS).try_for_each(|(part, field)| list(part, field))
}

fn descriptor(cron: &str) -> Result<(), String> {
    let known = match cron.strip_prefix("@every ") {
        Some(duration) => is_duration(duration),
        None => DESCRIPTORS.contains(&cron),
    };
    if known {
        Ok(())
    } else {
        Err(format!("one of {} or `@every 1h30m`", DESCRIPTORS.join(", ")))
    }
}

fn list(part: &str, field: Field) -> Result<(), String> {
    // Empty elements are skipped, as the server does.
    part.split(',')
        .filter(|element| !element.is_empty())
        .try_for_each(|element| range(element, field))
}

fn range(element: &str, (name, lowest, highest, words): Field) -> Result<(), String> {
    let allowed = |what: &str| Err(format!("a {name} of {what}, not `{element}`"));
    let number = |text: &str| -> Option<u32> {
        let word = words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let word = word
            .and_then(|index| u32::try_from(index).ok())
            .map(|index| index + lowest);
        word.or_else(|| text.parse().ok())
    };
    let mut halves = element.split('/');
    let (span, step, more) = (halves.next().unwrap_or_default(), halves.next(), halves.next());
    if more.is_some() {
        return allowed("one `/` at most");
    }
    if step.is_some_and(|step| !matches!(step.parse::<u32>(), Ok(1..))) {
        return allowed("a step of 1 or more");
    }
    let mut ends = span.split('-');
    let (start, end, more) = (ends.next().unwrap_or_default(), ends.next(), ends.next());
    // Whatever follows a star up to the step is not read.
    if matches!(start, "*" | "?") {
        return Ok(());
    }
    if more.is_some() {
        return allowed("one `-` at most");
    }
    let bounds = format!("{lowest} to {highest}");
    let Some(start) = number(start) else {
        return allowed(&bounds);
    };
    let end = match end {
        Some(end) => number(end),
        None if step.is_some() => Some(highest),
        None => Some(start),
    };
    match end {
        Some(end) if start >= lowest && end <= highest && start <= end => Ok(()),
        _ => allowed(&bounds),
    }
}

/// Go's way of writing a duration: `1h30m`, `1.5h`, `90s`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|char: char| !char.is_ascii_digit() && char != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let (digits, dots) = (number.replace('.', ""), number.matches('.').count());
        // `ms` before `m`, so that the longer name is taken.
        let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"]
            .iter()
            .find(|unit| tail.starts_with(**unit));
        let Some(tail) = unit.and_then(|unit| tail.strip_prefix(*unit)) else {
            return false;
        };
        if digits.is_empty() || dots > 1 {
            return false;
        }
        rest = tail;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_takes_is_taken() {
        for cron in [
            "0 0 3 * * *",
            "0 * * * *",
            "*/10 0-30/5 1,2,23 ? JAN-mar Mon-FRI",
            "5/15 * * 31 12 6",
            "0 0 0 1 1 sun",
            "*-x/2 * * * *",
            "1,,2 * * * *",
            "@hourly",
            "@midnight",
            "@every 1h30m",
            "@every 1.5h",
            "@every 300ms",
            "  0   0 3 * * *  ",
        ] {
            assert_eq!(check(cron), Ok(()), "{cron}");
        }
    }

    #[test]
    fn what_the_server_refuses_is_refused_with_the_fields_name() {
        for (cron, word) in [
            ("", "6 fields"),
            ("not a cron", "6 fields"),
            ("0 0 0 * * * *", "6 fields"),
            ("60 * * * * *", "second of 0 to 59"),
            ("0 60 * * * *", "minute of 0 to 59"),
            ("0 0 24 * * *", "hour of 0 to 23"),
            ("0 0 0 0 * *", "day of month of 1 to 31"),
            ("0 0 0 * 13 *", "month of 1 to 12"),
            ("0 0 0 * foo *", "month of 1 to 12"),
            ("0 0 0 * * 7", "day of week of 0 to 6"),
            ("0 0 9-5 * * *", "hour of 0 to 23"),
            ("0 */0 * * * *", "step of 1 or more"),
            ("0 */x * * * *", "step of 1 or more"),
            ("0 1/2/3 * * * *", "one `/`"),
            ("0 1-2-3 * * * *", "one `-`"),
            ("-1 * * * * *", "second of 0 to 59"),
            ("@often", "@hourly"),
            ("@every", "@every 1h30m"),
            ("@every ten", "@every 1h30m"),
            ("@every 5", "@every 1h30m"),
        ] {
            let error = check(cron).unwrap_err();
            assert!(error.contains(word), "{cron}: {error}");
        }
    }
}
