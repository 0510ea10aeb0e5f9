//! Days and minutes, as the queries write them: `DATE_FORMAT` with `yyyy-MM-dd` and with `HH:mm`, in UTC.
//!
//! They are numbers until someone reads them: a day is part of a key, and a key that is compared and hashed
//! for each bid should not be text. In JSON and CSV they are text, in which the order of days is that of
//! their numbers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::time::EventTime;

const MILLIS_OF_MINUTE: i64 = 60_000;
const MILLIS_OF_DAY: i64 = 24 * 60 * MILLIS_OF_MINUTE;

/// Days in 400 years, after which the calendar begins anew.
const DAYS_OF_ERA: i64 = 146_097;

/// Days from the first of March of the year 0 to 1970.
const EPOCH: i64 = 719_468;

/// The years that are read are before this one, and after its negative: more than event time can hold.
const YEARS: i64 = 400_000_000;

/// A day of the Gregorian calendar. Written as in `2015-07-15`.
///
/// ```
/// use highwater::nexmark::Day;
/// assert_eq!(Day::of(1_436_918_400_000).to_string(), "2015-07-15");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Day(i64);

impl Day {
    /// The day in which an event time lies.
    #[inline]
    pub fn of(time: EventTime) -> Day {
        Day(time.div_euclid(MILLIS_OF_DAY))
    }

    /// Year, month and day. A year begins in March here, so that the day that some have comes last, and
    /// months then have lengths that a line can be drawn through: after Howard Hinnant, "chrono-Compatible
    /// Low-Level Date Algorithms".
    fn civil(self) -> (i64, i64, i64) {
        let days = self.0 + EPOCH;
        let (era, day) = (days.div_euclid(DAYS_OF_ERA), days.rem_euclid(DAYS_OF_ERA));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        (era * 400 + year + later, month, day)
    }

    /// The day with this date, if there is one.
    fn from_civil(year: i64, month: i64, day: i64) -> Option<Day> {
        if !(-YEARS..YEARS).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let (marches, month_of) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let (era, of_era) = (marches.div_euclid(400), marches.rem_euclid(400));
        let of_year = (153 * month_of + 2) / 5 + day - 1;
        let found = Day(era * DAYS_OF_ERA + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH);
        // The thirtieth of February is in March.
        (found.civil() == (year, month, day)).then_some(found)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Day, String> {
        // From the end, because a year may be negative.
        let mut parts = text.rsplitn(3, '-').map(|part| part.parse::<i64>().ok());
        let mut next = || parts.next().flatten();
        let (day, month, year) = (next(), next(), next());
        let found =
            year.zip(month).zip(day).and_then(|((year, month), day)| Day::from_civil(year, month, day));
        found.ok_or_else(|| format!("`{text}` is not a day as in 2015-07-15"))
    }
}

/// A minute of a day. Written as in `23:59`.
///
/// ```
/// use highwater::nexmark::Minute;
/// assert_eq!(Minute::of(1_436_918_400_000 + 61_000).to_string(), "00:01");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Minute(u16);

impl Minute {
    /// The minute of the day in which an event time lies.
    #[inline]
    pub fn of(time: EventTime) -> Minute {
        Minute((time.rem_euclid(MILLIS_OF_DAY) / MILLIS_OF_MINUTE) as u16)
    }

    /// The hour that the minute is in, from 0 to 23.
    #[inline]
    pub fn hour(self) -> u16 {
        self.0 / 60
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.hour(), self.0 % 60)
    }
}

impl From<Minute> for String {
    fn from(minute: Minute) -> String {
        minute.to_string()
    }
}

impl TryFrom<String> for Minute {
    type Error = String;

    fn try_from(text: String) -> Result<Minute, String> {
        let parts =
            text.split_once(':').and_then(|(hour, minute)| hour.parse().ok().zip(minute.parse().ok()));
        let found = parts.filter(|&(hour, minute): &(u16, u16)| hour < 24 && minute < 60);
        let found = found.map(|(hour, minute)| Minute(60 * hour + minute));
        found.ok_or_else(|| format!("`{text}` is not a minute as in 23:59"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let written = [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_400_000, "2000-02-29"),
            (951_868_800_000, "2000-03-01"),
            (1_436_918_399_999, "2015-07-14"),
            (1_436_918_400_000, "2015-07-15"),
            (4_107_542_399_999, "2100-02-28"),
            (4_107_542_400_000, "2100-03-01"),
            (-62_167_219_200_000, "0000-01-01"),
        ];
        for (time, text) in written {
            assert_eq!(Day::of(time).to_string(), text);
            assert_eq!(Day::try_from(text.to_owned()), Ok(Day::of(time)));
        }
    }

    #[test]
    fn each_day_follows_the_one_before_and_is_read_as_it_is_written() {
        let mut before = (1599, 12, 31);
        for day in Day::try_from("1600-01-01".to_owned()).unwrap().0.. {
            let (year, month, of_month) = Day(day).civil();
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, 28 + i64::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let begins = match before {
                (y, 12, 31) => (y + 1, 1, 1),
                (y, m, d) if (y, m + 1, 1) == (year, month, of_month) => {
                    assert_eq!(d, length[month as usize - 2], "{before:?}");
                    (y, m + 1, 1)
                }
                (y, m, d) => (y, m, d + 1),
            };
            assert_eq!((year, month, of_month), begins);
            assert_eq!(Day::try_from(Day(day).to_string()), Ok(Day(day)));
            before = (year, month, of_month);
            if year == 2001 {
                break;
            }
        }
    }

    #[test]
    fn all_of_event_time_has_days() {
        for time in [EventTime::MIN, EventTime::MAX] {
            let day = Day::of(time);
            assert_eq!(Day::try_from(day.to_string()), Ok(day), "{day}");
        }
        assert!(Day::of(EventTime::MAX).to_string().ends_with("-08-17"));
    }

    #[test]
    fn what_is_no_day_or_minute_is_refused() {
        let (late, early) = (format!("{}-01-01", i64::MAX), format!("{}-01-01", i64::MIN));
        for text in
            ["", "2015", "2015-07", "2015-13-01", "2015-02-29", "2015-07-32", "x-07-15", &late, &early]
        {
            assert!(Day::try_from(text.to_owned()).is_err(), "{text}");
        }
        for text in ["", "12", "24:00", "12:60", "-1:00", "12:00:00"] {
            assert!(Minute::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn minutes_are_those_of_the_day() {
        let day = 1_436_918_400_000;
        for (time, text) in [(0, "00:00"), (59_999, "00:00"), (60_000, "00:01"), (-1, "23:59")] {
            assert_eq!(Minute::of(day + time).to_string(), text);
            assert_eq!(Minute::try_from(text.to_owned()), Ok(Minute::of(day + time)));
        }
        assert_eq!((Minute::of(day + 8 * 3_600_000).hour(), Minute::of(day - 1).hour()), (8, 23));
    }
}
