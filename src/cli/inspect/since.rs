use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use crate::units::parse_duration;

/// Parses the value of `--since` to milliseconds since 1970.
pub(crate) fn since(text: &str) -> Result<i64, String> {
    parse_since(text, Timestamp::now(), &TimeZone::system()).map(Timestamp::as_millisecond).ok_or_else(
        || "expected a duration ago (90s, 1h30m, 3d) or a time (09:30, 2026-11-20, 2026-11-20T09:30:00Z)".to_owned(),
    )
}

/// Parses a duration before `now` or a time; a time of day means its last occurrence.
fn parse_since(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    if let Some(span) = parse_duration(text) {
        return now.checked_sub(span).ok();
    }
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let local = |when: DateTime| when.to_zoned(zone.clone()).ok().map(|when| when.timestamp());
    if let Ok(time) = text.parse::<Time>() {
        let today = now.to_zoned(zone.clone()).date();
        return match local(today.to_datetime(time))? {
            later if later > now => local(today.yesterday().ok()?.to_datetime(time)),
            earlier => Some(earlier),
        };
    }
    if let Ok(day) = text.parse::<Date>()
        && text.len() == "2026-11-20".len()
    {
        return local(day.to_datetime(Time::midnight()));
    }
    local(text.parse::<DateTime>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_many_ways() {
        let now: Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        for (text, when) in [
            ("90s", "2026-11-20T09:58:30Z"),
            ("250ms", "2026-11-20T09:59:59.750Z"),
            ("1h30m", "2026-11-20T08:30:00Z"),
            ("1.5s", "2026-11-20T09:59:58.500Z"),
            ("3d", "2026-11-17T10:00:00Z"),
            ("0s", "2026-11-20T10:00:00Z"),
            ("2026-11-20T09:30:00Z", "2026-11-20T09:30:00Z"),
            ("2026-11-20T09:30:00.120+02:00", "2026-11-20T07:30:00.120Z"),
            ("09:30", "2026-11-20T08:30:00Z"),
            ("09:30:05", "2026-11-20T08:30:05Z"),
            // Still to come today.
            ("12:00", "2026-11-19T11:00:00Z"),
            ("2026-11-19", "2026-11-18T23:00:00Z"),
            ("2026-11-19 12:00", "2026-11-19T11:00:00Z"),
            ("2026-11-19T12:00:30", "2026-11-19T11:00:30Z"),
        ] {
            let expected: Timestamp = when.parse().unwrap();
            assert_eq!(parse_since(text, now, &zone), Some(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "m",
            "-5m",
            "1h-2m",
            "yesterday",
            "25:00",
            "99999999999999999999s",
            "9223372036854775807d",
            "9223372036854775ms",
        ] {
            assert_eq!(parse_since(text, now, &zone), None, "{text}");
        }
    }
}
