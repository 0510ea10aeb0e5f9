//! The words of what cases write as text: names, numbers, texts in quotes, and signs.
//!
//! Whoever reads them asks for what may come next. What is not understood is told with the word at which it
//! stopped and what there could have been.

use serde_json::{Value, json};

/// Something read, or what was not understood.
pub(super) type Told<T> = Result<T, String>;

/// A word of a text.
#[derive(Clone, Debug, PartialEq)]
enum Word {
    /// A name or a keyword, without backticks.
    Name(String),
    /// A number without a sign.
    Number(Value),
    /// What stands between single quotes.
    Text(String),
    Sign(&'static str),
}

/// Longer ones come before those that they begin with.
const SIGNS: [&str; 12] = ["<>", "!=", "<=", ">=", "=", "<", ">", "(", ")", ",", "*", "-"];

/// The units that lengths of time are written in, in milliseconds.
const UNITS: [(i64, &[&str]); 5] = [
    (1, &["ms", "milli", "millis", "millisecond", "milliseconds"]),
    (1_000, &["s", "sec", "secs", "second", "seconds"]),
    (60_000, &["m", "min", "mins", "minute", "minutes"]),
    (3_600_000, &["h", "hour", "hours"]),
    (86_400_000, &["d", "day", "days"]),
];

/// A unit of time in milliseconds.
pub(super) fn unit(name: &str) -> Option<i64> {
    let is = |names: &[&str]| names.iter().any(|other| other.eq_ignore_ascii_case(name));
    UNITS.iter().find(|(_, names)| is(names)).map(|(millis, _)| *millis)
}

/// The words of a text, and how far they have been read.
#[derive(Clone)]
pub(super) struct Words {
    text: String,
    words: Vec<Word>,
    at: usize,
}

impl Words {
    /// Takes a text apart.
    pub(super) fn of(text: &str) -> Told<Words> {
        let (mut words, mut rest) = (Vec::new(), text.trim_start());
        while let Some(first) = rest.chars().next() {
            let (word, length) = match first {
                '\'' => quoted(rest).ok_or_else(|| format!("a quote in {text:?} has no end"))?,
                '0'..='9' => number(rest).ok_or_else(|| format!("{rest:?} begins with no number"))?,
                c if c.is_alphabetic() || c == '_' || c == '`' => name(rest),
                _ => match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
                    Some(sign) => (Word::Sign(sign), sign.len()),
                    None => return Err(format!("the character {first:?} in {text:?} is not understood")),
                },
            };
            words.push(word);
            rest = rest[length..].trim_start();
        }
        Ok(Words { text: text.to_owned(), words, at: 0 })
    }

    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    /// True if this keyword or sign comes next.
    pub(super) fn is(&self, word: &str) -> bool {
        match self.peek() {
            Some(Word::Name(name)) => name.eq_ignore_ascii_case(word),
            Some(Word::Sign(sign)) => *sign == word,
            _ => false,
        }
    }

    /// Steps over these keywords or signs, if they all come next.
    pub(super) fn take(&mut self, words: &str) -> bool {
        let before = self.at;
        for word in words.split(' ') {
            if !self.is(word) {
                self.at = before;
                return false;
            }
            self.at += 1;
        }
        true
    }

    /// Steps over keywords or signs that must come next.
    pub(super) fn need(&mut self, words: &str) -> Told<()> {
        if self.take(words) { Ok(()) } else { Err(self.wrong(&words.to_uppercase())) }
    }

    /// The name that comes next, if one does.
    pub(super) fn name(&mut self) -> Option<String> {
        let Some(Word::Name(name)) = self.peek() else { return None };
        let name = name.clone();
        self.at += 1;
        Some(name)
    }

    /// The number, text, or constant that comes next, if one does.
    pub(super) fn literal(&mut self) -> Option<Value> {
        let negative = self.is("-");
        let literal = match (negative, self.words.get(self.at + usize::from(negative))?) {
            (false, Word::Text(text)) => json!(text),
            (false, Word::Number(number)) => number.clone(),
            (true, Word::Number(number)) => {
                let integer = format!("-{number}").parse::<i64>();
                integer.map_or_else(|_| number.as_f64().map(|number| json!(-number)), |n| Some(json!(n)))?
            }
            (false, Word::Name(name)) if name.eq_ignore_ascii_case("null") => Value::Null,
            (false, Word::Name(name)) if name.eq_ignore_ascii_case("true") => json!(true),
            (false, Word::Name(name)) if name.eq_ignore_ascii_case("false") => json!(false),
            _ => return None,
        };
        self.at += 1 + usize::from(negative);
        Some(literal)
    }

    /// A length of time in milliseconds: `5 s`, `500 ms`, `INTERVAL '5' SECOND`.
    pub(super) fn duration(&mut self) -> Told<i64> {
        let wanted = "a length of time, such as 5 s, 500 ms or INTERVAL '5' SECOND";
        self.take("interval");
        let number = match self.peek() {
            Some(Word::Number(number)) => number.as_i64(),
            Some(Word::Text(text)) => text.trim().parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.wrong(wanted))?;
        self.at += 1;
        let before = self.at;
        let unit = self.name().and_then(|name| unit(&name));
        let millis = unit.and_then(|unit| number.checked_mul(unit));
        millis.ok_or_else(|| {
            self.at = before;
            self.wrong("a unit of time: ms, s, min, h or d")
        })
    }

    /// Nothing more may come.
    pub(super) fn end(&self) -> Told<()> {
        if self.at == self.words.len() { Ok(()) } else { Err(self.wrong("the end")) }
    }

    /// Says that the next word is not understood, and what could have been there.
    pub(super) fn wrong(&self, wanted: &str) -> String {
        let word = match self.peek() {
            Some(Word::Name(name)) => format!("{name:?}"),
            Some(Word::Number(number)) => format!("\"{number}\""),
            Some(Word::Text(text)) => format!("\"'{text}'\""),
            Some(Word::Sign(sign)) => format!("{sign:?}"),
            None => "the end".to_owned(),
        };
        format!("in {:?}, {word} is not understood: there must be {wanted}", self.text)
    }
}

fn quoted(rest: &str) -> Option<(Word, usize)> {
    let inner = rest.strip_prefix('\'')?;
    let length = inner.find('\'')?;
    Some((Word::Text(inner[..length].to_owned()), length + 2))
}

fn number(rest: &str) -> Option<(Word, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    let places = rest[whole..].strip_prefix('.').map_or(0, digits);
    let length = if places > 0 { whole + 1 + places } else { whole };
    let text = &rest[..length];
    let integer = text.parse::<i64>().ok().map(|number| json!(number));
    let integer = integer.or_else(|| text.parse::<u64>().ok().map(|number| json!(number)));
    let number = integer.or_else(|| text.parse::<f64>().ok().map(|number| json!(number)))?;
    Some((Word::Number(number), length))
}

fn name(rest: &str) -> (Word, usize) {
    let belongs = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '`');
    let length = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
    (Word::Name(rest[..length].replace('`', "")), length)
}
