//! When a recurring run starts its runs.

use jiff::Timestamp;

use super::cron;
use crate::{
    error::{Error, Result},
    message::message,
};

/// Times that the wire can carry: the years 1 to 9999.
const FIRST_SECOND: i64 = -62_135_596_800;
const LAST_SECOND: i64 = 253_402_300_799;

message! {
    /// When a recurring run starts its runs: by a cron expression or at an interval.
    ///
    /// Neither set means that nothing is started by itself; servers accept that.
    ///
    /// ```
    /// use kfp_client::Trigger;
    ///
    /// // Every day at 03:00, in the server's time zone for schedules (UTC unless it is set up otherwise).
    /// let nightly = Trigger::cron("0 0 3 * * *");
    /// let hourly = Trigger::periodic(3600);
    /// # let _ = (nightly, hourly);
    /// ```
    pub struct Trigger {
        /// By a cron expression.
        cron_schedule: Option<CronSchedule>,
        /// At an interval.
        periodic_schedule: Option<PeriodicSchedule>,
    }
}

message! {
    /// A cron expression, and the time in which it counts.
    pub struct CronSchedule {
        /// Nothing is started before.
        start_time: Option<Timestamp>,
        /// Nothing is started after.
        end_time: Option<Timestamp>,
        /// The expression; see [`Trigger::cron`].
        cron: String,
    }
}

message! {
    /// An interval, and the time in which it counts.
    pub struct PeriodicSchedule {
        /// Nothing is started before.
        start_time: Option<Timestamp>,
        /// Nothing is started after.
        end_time: Option<Timestamp>,
        /// Seconds from one start to the next, 1 or more.
        interval_second: i64,
    }
}

impl Trigger {
    /// By a cron expression, **seconds first**: `second minute hour day-of-month month day-of-week`.
    ///
    /// In each field a number, a name (months and days), a list with `,`, a range with `-`, a step with `/`, `*` or
    /// `?`. Days of the week are 0 (Sunday) to 6. Also `@hourly`, `@daily` and so on, and `@every 1h30m`.
    ///
    /// With five fields the **day of the week** is taken for the missing one, not the second: `0 * * * *` starts a run
    /// every minute. For an expression of five fields as Unix has them, see [`unix_cron`](Self::unix_cron).
    pub fn cron(cron: impl Into<String>) -> Self {
        let schedule = CronSchedule {
            cron: cron.into(),
            ..CronSchedule::default()
        };
        Self {
            cron_schedule: Some(schedule),
            ..Self::default()
        }
    }

    /// By a cron expression of five fields as Unix has them: `minute hour day-of-month month day-of-week`. It is sent
    /// with second 0.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] if it has not five fields or is refused by the server's rules. Sunday is 0 only, not
    /// 7.
    pub fn unix_cron(cron: &str) -> Result<Self> {
        if cron.split_whitespace().count() != 5 {
            return Err(Error::invalid(
                "cron",
                "5 fields, `minute hour day-of-month month day-of-week`",
            ));
        }
        let trigger = Self::cron(format!("0 {}", cron.trim()));
        trigger.validate()?;
        Ok(trigger)
    }

    /// At an interval of so many seconds, 1 or more.
    pub fn periodic(interval_second: i64) -> Self {
        let schedule = PeriodicSchedule {
            interval_second,
            ..PeriodicSchedule::default()
        };
        Self {
            periodic_schedule: Some(schedule),
            ..Self::default()
        }
    }

    /// Starts nothing before this time. The server keeps whole seconds.
    #[must_use]
    pub fn start_time(mut self, time: Timestamp) -> Self {
        if let Some(cron) = &mut self.cron_schedule {
            cron.start_time = Some(time);
        }
        if let Some(periodic) = &mut self.periodic_schedule {
            periodic.start_time = Some(time);
        }
        self
    }

    /// Starts nothing after this time. The server keeps whole seconds.
    #[must_use]
    pub fn end_time(mut self, time: Timestamp) -> Self {
        if let Some(cron) = &mut self.cron_schedule {
            cron.end_time = Some(time);
        }
        if let Some(periodic) = &mut self.periodic_schedule {
            periodic.end_time = Some(time);
        }
        self
    }

    pub(super) fn validate(&self) -> Result<()> {
        match (&self.cron_schedule, &self.periodic_schedule) {
            (Some(_), Some(_)) => Err(Error::invalid("trigger", "a cron schedule or a periodic one, not both")),
            (Some(schedule), None) => {
                cron::check(&schedule.cron).map_err(|allowed| Error::invalid("trigger.cron_schedule.cron", allowed))?;
                span("trigger.cron_schedule", schedule.start_time, schedule.end_time)
            }
            (None, Some(schedule)) => {
                if schedule.interval_second < 1 {
                    let field = "trigger.periodic_schedule.interval_second";
                    return Err(Error::invalid(field, "1 or more"));
                }
                span("trigger.periodic_schedule", schedule.start_time, schedule.end_time)
            }
            (None, None) => Ok(()),
        }
    }
}

/// Servers take a time that ends before it starts, and never start anything then.
fn span(schedule: &'static str, start: Option<Timestamp>, end: Option<Timestamp>) -> Result<()> {
    for (name, time) in [("start_time", start), ("end_time", end)] {
        if time.is_some_and(|time| !(FIRST_SECOND..=LAST_SECOND).contains(&time.as_second())) {
            return Err(Error::invalid(format!("{schedule}.{name}"), "in the years 1 to 9999"));
        }
    }
    match (start, end) {
        (Some(start), Some(end)) if end <= start => {
            Err(Error::invalid(format!("{schedule}.end_time"), "later than start_time"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(trigger: &Trigger) -> String {
        trigger.validate().unwrap_err().to_string()
    }

    #[test]
    fn an_expression_of_unix_gets_its_second() {
        let trigger = Trigger::unix_cron("0 3 * * 1").unwrap();
        assert_eq!(trigger.cron_schedule.unwrap().cron, "0 0 3 * * 1");
        assert!(Trigger::unix_cron("0 0 3 * * 1").is_err());
        assert!(Trigger::unix_cron("0 3 * * 7").is_err());
    }

    #[test]
    fn faulty_triggers_name_their_field() {
        let (early, late) = (
            Timestamp::UNIX_EPOCH,
            "2030-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
        );
        assert!(refused(&Trigger::cron("61 * * * * *")).contains("trigger.cron_schedule.cron"));
        assert!(refused(&Trigger::periodic(0)).contains("trigger.periodic_schedule.interval_second"));
        assert!(refused(&Trigger::periodic(1).start_time(late).end_time(early)).contains("periodic_schedule.end_time"));
        assert!(refused(&Trigger::cron("@daily").start_time(late).end_time(late)).contains("cron_schedule.end_time"));
        let ancient = "-000001-01-01T00:00:00Z".parse().unwrap();
        assert!(refused(&Trigger::cron("@daily").start_time(ancient)).contains("cron_schedule.start_time"));
        let both = Trigger {
            cron_schedule: Trigger::cron("@daily").cron_schedule,
            ..Trigger::periodic(1)
        };
        assert!(refused(&both).contains("not both"));
        assert!(Trigger::default().validate().is_ok());
        assert!(Trigger::periodic(1).start_time(early).end_time(late).validate().is_ok());
    }

    #[test]
    fn intervals_are_text_on_the_wire() {
        let text = serde_json::to_value(Trigger::periodic(3600)).unwrap();
        assert_eq!(
            text,
            serde_json::json!({"periodic_schedule": {"interval_second": "3600"}})
        );
        for interval in [serde_json::json!("60"), serde_json::json!(60)] {
            let read = serde_json::json!({"periodic_schedule": {"interval_second": interval}});
            let read: Trigger = serde_json::from_value(read).unwrap();
            assert_eq!(read, Trigger::periodic(60));
        }
    }
}
