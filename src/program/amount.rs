//! Amounts on the command line, parsed and printed: `10M` events, epochs of `10ms`, event times as dates.

use std::time::Duration;

use crate::time::{Epochs, EventTime};

/// Parses a count, such as `200k`, `1.5M` or `1_000_000`: at least 1.
pub fn count(text: &str) -> Result<u64, String> {
    let number = number(text)?.round();
    match number >= 1.0 && number <= 2f64.powi(53) {
        true => Ok(number as u64),
        false => Err("choose 1 or more, such as 200k, 10M or 1G".to_owned()),
    }
}

/// Parses a rate in events per second, such as `500k`: from one event in eleven days to 1000G.
pub fn rate(text: &str) -> Result<f64, String> {
    match number(text)? {
        rate if (1e-6..=1e12).contains(&rate) => Ok(rate),
        rate if rate > 0.0 => Err("choose a rate from 0.000001 to 1000G".to_owned()),
        _ => Err("choose a rate above 0, such as 500k for 500,000 events per second".to_owned()),
    }
}

/// Parses when an epoch ends: `10ms`, `1s`, `100000records` or `done`.
pub fn epochs(text: &str) -> Result<Epochs, String> {
    let choose = || "choose a time like 10ms or 1s, a number like 100000records, or done".to_owned();
    if text == "done" {
        return Ok(Epochs::when_done());
    }
    if let Some(records) = text.strip_suffix("records") {
        return count(records).map(Epochs::records).map_err(|_| choose());
    }
    match duration(text).ok_or_else(choose)? {
        interval if interval >= Duration::from_millis(1) => Ok(Epochs::every(interval)),
        _ => Err("an epoch is 1ms long or longer".to_owned()),
    }
}

/// Parses an interval: `500ms`, `1s`, `5m`.
pub fn interval(text: &str) -> Result<Duration, String> {
    match duration(text) {
        Some(interval) if interval >= Duration::from_millis(1) => Ok(interval),
        _ => Err("choose a time of 1ms or longer, such as 500ms, 1s or 5m".to_owned()),
    }
}

/// Parses an age: `0s`, `90s`, `10m`, `2h`.
pub fn age(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "choose a time such as 0s, 90s, 10m or 2h".to_owned())
}

/// A hundred years. A longer duration could overflow when it is added to the current time.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A number of milliseconds, seconds, minutes or hours.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let read = |(unit, seconds): (&str, f64)| {
        let number = text.strip_suffix(unit)?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(number * seconds).ok().filter(|time| *time <= LONGEST)
    };
    UNITS.into_iter().find_map(read)
}

/// A number with a suffix for thousands, millions or billions.
fn number(text: &str) -> Result<f64, String> {
    let text = text.trim().replace('_', "");
    let (digits, unit) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1e3),
        Some((at, 'M')) => (&text[..at], 1e6),
        Some((at, 'G')) => (&text[..at], 1e9),
        _ => (&text[..], 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number * unit),
        _ => Err("not a number; write 200k, 10M or 1G for thousands, millions or billions".to_owned()),
    }
}

/// A number with four significant digits and a suffix.
pub fn short(number: f64) -> String {
    let (scaled, suffix) = match number.abs() {
        n if n >= 999.95e6 => (number / 1e9, " G"),
        n if n >= 999.95e3 => (number / 1e6, " M"),
        n if n >= 999.95 => (number / 1e3, " k"),
        _ => return format!("{number:.0}"),
    };
    match scaled.abs() {
        n if n >= 99.995 => format!("{scaled:.1}{suffix}"),
        n if n >= 9.9995 => format!("{scaled:.2}{suffix}"),
        _ => format!("{scaled:.3}{suffix}"),
    }
}

/// A number with separated thousands.
pub fn whole(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count with its noun: "1 page", "2,000 pages".
pub fn several(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", whole(number.cast_signed()))
}

/// An event time as date and time in UTC.
pub fn date(time: EventTime) -> String {
    let (days, millis) = (time.div_euclid(86_400_000), time.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{millis:03}")
}

/// The date of a day counted from 1970-01-01. Years begin in March here, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    const IN_400_YEARS: i64 = 146_097;
    let from_march_0 = days + 719_468;
    let (cycle, day) = (from_march_0.div_euclid(IN_400_YEARS), from_march_0.rem_euclid(IN_400_YEARS));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_suffixes() {
        let read = ["10M", "1.5k", "1_000", "2G", " 7 "].map(|text| count(text).unwrap());
        assert_eq!(read, [10_000_000, 1_500, 1_000, 2_000_000_000, 7]);
        for text in ["", "M", "0", "-1", "ten", "1e400", "NaN", "inf", "10 m"] {
            assert!(count(text).is_err(), "{text:?}");
        }
        assert!(rate("0").is_err() && rate("0.5") == Ok(0.5));
        for text in ["1e-300", "1e-7", "1e13", "NaN", "-1", "1e999"] {
            assert!(rate(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn epochs_are_times_counts_or_done() {
        assert_eq!(epochs("10ms"), Ok(Epochs::default()));
        assert_eq!(epochs("0.5s"), Ok(Epochs::every(Duration::from_millis(500))));
        assert_eq!(epochs("100krecords"), Ok(Epochs::records(100_000)));
        assert_eq!(epochs("done"), Ok(Epochs::when_done()));
        for text in ["", "10", "0ms", "0.1ms", "-1s", "records", "0records", "1e30s", "soon"] {
            assert!(epochs(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn times_have_units() {
        let read = ["0s", "250ms", "1.5s", "2m", "1h"].map(|text| age(text).unwrap().as_millis());
        assert_eq!(read, [0, 250, 1_500, 120_000, 3_600_000]);
        for text in ["", "1", "s", "-1s", "1 day", "1e30h", "1e15h", "1000000h", "NaNs", "infs"] {
            assert!(age(text).is_err(), "{text:?}");
        }
        assert!(interval("0.5ms").is_err() && interval("1ms") == Ok(Duration::from_millis(1)));
    }

    #[test]
    fn numbers_are_shown_to_four_digits() {
        let shown = [0.0, 999.0, 1_000.0, 12_345.0, 999_999.0, 1.5e8, 2e9].map(short);
        assert_eq!(shown, ["0", "999", "1.000 k", "12.35 k", "1.000 M", "150.0 M", "2.000 G"]);
        assert_eq!([0, 999, 1_000, -1_234_567].map(whole), ["0", "999", "1,000", "-1,234,567"]);
        assert_eq!([0, 1, 2_000].map(|n| several(n, "page")), ["0 pages", "1 page", "2,000 pages"]);
    }

    #[test]
    fn event_times_are_dates() {
        assert_eq!(date(0), "1970-01-01 00:00:00.000");
        assert_eq!(date(-1), "1969-12-31 23:59:59.999");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00.000");
        assert_eq!(date(1_436_918_400_123), "2015-07-15 00:00:00.123");
    }
}
