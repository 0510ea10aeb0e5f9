//! How lengths of time and parts of specifications are written: `200ms`, `bounded:1s`.

use crate::error::{Error, Result};

/// The units of time, the longest first.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The longest time that can be written: a hundred years.
const LONGEST: u64 = 3_153_600_000_000;

/// Reads a length of time in milliseconds, such as `200ms`, `1.5s`, `1m` or `2h`.
pub(super) fn parse_millis(text: &str) -> Result<u64> {
    let wrong = || Error::config(format!("{text:?} is not a time: write 200ms, 1.5s, 1m or 2h"));
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == &text[digits.len()..]).ok_or_else(wrong)?;
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    let number: f64 = digits.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let millis = (number * *unit as f64).round();
    match millis <= LONGEST as f64 {
        true => Ok(millis as u64),
        false => Err(Error::config(format!("{text:?} is too long: a hundred years are the most"))),
    }
}

/// Writes a length of time, in the longest unit of which it has a whole number.
pub(super) fn show_millis(millis: u64) -> String {
    let unit = UNITS.iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit));
    let (name, unit) = unit.unwrap_or(&UNITS[2]);
    format!("{}{name}", millis / unit)
}

/// The name before the first colon, and the parameters after it, which must be as many as have names.
pub(super) fn split_spec<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Result<[&'a str; N]> {
    let mut parts = text.split(':');
    let name = parts.next().unwrap_or_default();
    let parts: Vec<&str> = parts.collect();
    <[&str; N]>::try_from(parts).map_err(|_| {
        let shape = names.map(|name| format!(":{}", name.to_uppercase())).concat();
        Error::config(format!("{text:?} should be {name}{shape}"))
    })
}

/// Reads a number between two others.
pub(super) fn parse_number(text: &str, what: &str, least: f64, most: f64) -> Result<f64> {
    match text.parse::<f64>() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(Error::config(format!("{text:?} is not a {what}: choose {least} to {most}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_have_units() {
        let read = ["200ms", "1.5s", "0s", "1m", "2h", "0.25h"].map(|text| parse_millis(text).unwrap());
        assert_eq!(read, [200, 1_500, 0, 60_000, 7_200_000, 900_000]);
        assert_eq!(
            [0, 200, 1_500, 60_000, 7_200_000].map(show_millis),
            ["0s", "200ms", "1500ms", "1m", "2h"]
        );
        for text in
            ["", "s", "5", "-1s", "1 s", "1S", "1e3s", "NaNs", "infs", ".s", "1.2.3s", "9999999h", "5µs"]
        {
            assert!(parse_millis(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn times_are_read_as_they_are_written(millis in 0..LONGEST, unit in 0..4usize) {
            let millis = millis / UNITS[unit].1 * UNITS[unit].1;
            prop_assert_eq!(parse_millis(&show_millis(millis)).unwrap(), millis);
        }
    }

    #[test]
    fn parameters_are_named_when_they_are_missing() {
        assert_eq!(split_spec("a:1:2", ["x", "y"]).unwrap(), ["1", "2"]);
        assert_eq!(split_spec("a", []).unwrap(), [""; 0]);
        for text in ["a", "a:1", "a:1:2:3"] {
            assert_eq!(
                split_spec(text, ["x", "y"]).unwrap_err().to_string(),
                format!("{text:?} should be a:X:Y")
            );
        }
    }
}
