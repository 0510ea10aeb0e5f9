//! Numbers as cases write them, and exact arithmetic with them.
//!
//! A number is an integer of at most 38 digits, some of which lie behind its point: that is every integer
//! that can stand in a case, and every decimal fraction as it is written, up to some 17 digits. Sums,
//! differences and comparisons of these are exact. What comes out is the integer, if it is one; a number with
//! a point is the floating number nearest to what is exact, rounded once, and so is what a case expects when
//! it is read. So `0.1` and `0.2` are `0.3`, and the average of 9007199254740993 and 9007199254740993 is just
//! that.
//!
//! What needs more digits, such as `1e300`, is reckoned with as a floating number. An integer that no number
//! in a case can be is an error.

use std::cmp::Ordering;

use serde_json::{Value, json};

/// A number: an integer with so many digits behind the point, or, if that is not enough, a floating number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Exact(i128, u32),
    Floating(f64),
}

/// The most digits behind the point.
const PLACES: i32 = 37;

/// A quotient of so many digits behind the point lies on the same side of everything that lies half way
/// between two floating numbers as the exact one does.
const QUOTIENT: usize = 200;

impl Number {
    pub(super) const ZERO: Number = Number::Exact(0, 0);

    /// The number that a value is, if it is one.
    pub(super) fn of(value: &Value) -> Option<Number> {
        let number = value.as_number()?;
        let floating = || number.as_f64().map(Number::Floating);
        exact(&number.to_string()).or_else(floating)
    }

    pub(super) fn plus(self, other: Number) -> Number {
        let sum =
            self.aligned(other).and_then(|(a, b, places)| Some(Number::Exact(a.checked_add(b)?, places)));
        sum.unwrap_or_else(|| Number::Floating(self.floating() + other.floating()))
    }

    pub(super) fn minus(self, other: Number) -> Number {
        let rest =
            self.aligned(other).and_then(|(a, b, places)| Some(Number::Exact(a.checked_sub(b)?, places)));
        rest.unwrap_or_else(|| Number::Floating(self.floating() - other.floating()))
    }

    pub(super) fn order(self, other: Number) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.floating().total_cmp(&other.floating()),
        }
    }

    /// Both with as many digits behind the point, if that can be.
    fn aligned(self, other: Number) -> Option<(i128, i128, u32)> {
        let (Number::Exact(a, of_a), Number::Exact(b, of_b)) = (self, other) else { return None };
        let places = of_a.max(of_b);
        let scaled = |n: i128, of: u32| n.checked_mul(10i128.checked_pow(places - of)?);
        Some((scaled(a, of_a)?, scaled(b, of_b)?, places))
    }

    /// The nearest floating number.
    pub(super) fn floating(self) -> f64 {
        match self {
            Number::Exact(number, places) => format!("{number}e-{places}").parse().unwrap_or(f64::NAN),
            Number::Floating(number) => number,
        }
    }

    /// The value that it is. One that was written with a point may be beyond the integers.
    pub(super) fn value(self) -> Result<Value, String> {
        match self {
            Number::Exact(number, 0) => whole(number),
            Number::Exact(number, places) => match 10i128.checked_pow(places) {
                Some(scale) if number % scale == 0 => {
                    whole(number / scale).or_else(|_| fraction(self.floating()))
                }
                _ => fraction(self.floating()),
            },
            Number::Floating(number) => fraction(number),
        }
    }

    /// The value of its quotient by a number that is not zero.
    pub(super) fn divided_by(self, count: u64) -> Result<Value, String> {
        let Number::Exact(number, places) = self else { return fraction(self.floating() / count as f64) };
        let divisor = 10u128.checked_pow(places).and_then(|scale| scale.checked_mul(count.into()));
        let Some(divisor) = divisor.filter(|divisor| *divisor < (i128::MAX / 10).unsigned_abs()) else {
            return fraction(self.floating() / count as f64);
        };
        let quotient = number.unsigned_abs() / divisor;
        let quotient = whole(quotient.cast_signed() * number.signum());
        match number.unsigned_abs() % divisor == 0 {
            true if places == 0 => quotient,
            true => quotient.or_else(|_| fraction(nearest(number, divisor))),
            false => fraction(nearest(number, divisor)),
        }
    }
}

/// Reads a number as it is written. One with a point or an exponent has a digit behind its point, though that
/// be zero: its value may be beyond the integers.
fn exact(text: &str) -> Option<Number> {
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let least = i32::from(text.contains(['.', 'e', 'E']));
    let written = i32::try_from(behind.len()).ok()?.checked_sub(exponent.parse().ok()?)?;
    let places = written.max(least);
    let more = u32::try_from(places.checked_sub(written)?).ok()?;
    let number = format!("{before}{behind}").parse::<i128>().ok()?.checked_mul(10i128.checked_pow(more)?)?;
    (places <= PLACES).then_some(Number::Exact(number, places.unsigned_abs()))
}

fn whole(number: i128) -> Result<Value, String> {
    let value = i64::try_from(number).map(|number| json!(number));
    value.or_else(|_| u64::try_from(number).map(|number| json!(number))).map_err(|_| {
        format!(
            "{number} is beyond the integers that a case can hold, which are {} to {}",
            i64::MIN,
            u64::MAX
        )
    })
}

fn fraction(number: f64) -> Result<Value, String> {
    match number.is_finite() {
        true => Ok(json!(number)),
        false => Err("what comes out is beyond all floating numbers".to_owned()),
    }
}

/// The floating number nearest to a quotient: that which is read from its digits, with one more if there
/// would be more.
fn nearest(number: i128, divisor: u128) -> f64 {
    let mut rest = number.unsigned_abs();
    let sign = if number < 0 { "-" } else { "" };
    let mut text = format!("{sign}{}.", rest / divisor);
    rest %= divisor;
    for _ in 0..QUOTIENT {
        rest *= 10;
        text.push(char::from(b'0' + (rest / divisor) as u8));
        rest %= divisor;
    }
    text.push(if rest > 0 { '1' } else { '0' });
    text.parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        Number::of(&serde_json::from_str(text).unwrap()).unwrap()
    }

    #[test]
    fn numbers_are_as_they_are_written() {
        assert_eq!(number("9007199254740993"), Number::Exact(9_007_199_254_740_993, 0));
        assert_eq!(number("18446744073709551615"), Number::Exact(u64::MAX.into(), 0));
        assert_eq!(number("-0.25"), Number::Exact(-25, 2));
        assert_eq!(number("1.0"), Number::Exact(10, 1));
        assert_eq!(number("1e20"), Number::Exact(10i128.pow(21), 1));
        assert_eq!(number("2.5e-7"), Number::Exact(25, 8));
        assert_eq!(number("1e300"), Number::Floating(1e300));
        assert_eq!(number("1e-300"), Number::Floating(1e-300));
    }

    #[test]
    fn sums_and_orders_are_exact() {
        let sum = |all: &[&str]| all.iter().map(|text| number(text)).fold(Number::ZERO, Number::plus).value();
        assert_eq!(sum(&["0.1", "0.2"]), Ok(json!(0.3)));
        assert_eq!(sum(&["9007199254740993", "0"]), Ok(json!(9_007_199_254_740_993i64)));
        assert_eq!(sum(&["9223372036854775807", "9223372036854775807", "1"]), Ok(json!(u64::MAX)));
        assert!(
            sum(&["18446744073709551615", "1"]).unwrap_err().starts_with("18446744073709551616 is beyond")
        );
        assert_eq!(sum(&["18446744073709551615", "1", "-2"]), Ok(json!(u64::MAX - 1)));
        assert!(sum(&["1e308", "1e308"]).is_err());
        let order = |a: &str, b: &str| number(a).order(number(b));
        assert_eq!(order("9007199254740993", "9007199254740992.0"), Ordering::Greater);
        assert_eq!(order("18446744073709551615", "18446744073709551614"), Ordering::Greater);
        assert_eq!(order("1", "1.00"), Ordering::Equal);
        assert_eq!(order("1e300", "18446744073709551615"), Ordering::Greater);
        assert_eq!(order("-1e300", "1e-30"), Ordering::Less);
        assert_eq!(number("9007199254740993").minus(number("9007199254740992")).floating(), 1.0);
    }

    #[test]
    fn quotients_are_rounded_once() {
        assert_eq!(number("3").divided_by(2), Ok(json!(1.5)));
        assert_eq!(number("18014398509481986").divided_by(2), Ok(json!(9_007_199_254_740_993i64)));
        assert_eq!(number("1").divided_by(3), Ok(json!(1.0 / 3.0)));
        assert_eq!(number("3.3").divided_by(2), Ok(json!(1.65)));
        let large = Number::Exact(3 * 10i128.pow(31), 1);
        assert_eq!(large.divided_by(3), Ok(json!(1e30)));
        assert_eq!(large.value(), Ok(json!(3e30)));
        assert_eq!(
            number("9007199254740992").plus(number("1.0")).value(),
            Ok(json!(9_007_199_254_740_993i64))
        );
        // Just above half way between two floating numbers: to round the sum first would round down.
        assert_eq!(number("27021597764222977").divided_by(3), Ok(json!(9_007_199_254_740_992.5f64)));
        let sum = Number::Exact(3 * ((1i128 << 60) + 128) + 1, 0);
        assert_eq!(sum.divided_by(3), Ok(json!(((1i64 << 60) + 256) as f64)));
    }

    /// The nearest floating number to a quotient, by its first 53 bits and what lies behind them.
    fn rounded(number: u128, divisor: u128) -> f64 {
        let bits = |n: u128| 128 - n.leading_zeros();
        let shift = 64 + bits(divisor) - bits(number);
        let (quotient, rest) = ((number << shift) / divisor, (number << shift) % divisor);
        let more = bits(quotient) - 53;
        let (first, behind, half) = (quotient >> more, quotient & ((1 << more) - 1), 1 << (more - 1));
        let up = behind > half || behind == half && (rest > 0 || first % 2 == 1);
        (first + u128::from(up)) as f64 * 2f64.powi(more.cast_signed() - shift.cast_signed())
    }

    proptest! {
        #[test]
        fn no_floating_number_is_nearer(number in 1..1i128 << 62, divisor in prop_oneof![1..1u128 << 60, 1..40u128]) {
            prop_assert_eq!(nearest(number, divisor), rounded(number.unsigned_abs(), divisor));
            prop_assert_eq!(nearest(-number, divisor), -rounded(number.unsigned_abs(), divisor));
        }
    }
}
