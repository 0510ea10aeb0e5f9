//! Selects a snapshot on the command line: `latest`, the number of an epoch, or a name.

use std::path::Path;

use crate::error::{Error, Result};
use crate::snapshot::Selector;

/// Parses `latest`, the number of an epoch, or a name.
pub fn selector(text: &str) -> std::result::Result<Selector, String> {
    match text {
        "" => Err("choose `latest`, the number of an epoch, or a name".to_owned()),
        "latest" => Ok(Selector::Latest),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            number.parse().map(Selector::Epoch).map_err(|_| "no epoch has so great a number".to_owned())
        }
        name => Ok(Selector::Name(name.to_owned())),
    }
}

/// Parses a name to keep a snapshot under, which must not be ambiguous later.
pub fn name(text: &str) -> std::result::Result<String, String> {
    match selector(text)? {
        Selector::Name(name) => Ok(name),
        _ => Err("a name is not `latest` and not a number, which mean other snapshots".to_owned()),
    }
}

/// The error that there is no such snapshot, and what to do.
pub fn missing(selector: &Selector, directory: &Path) -> Error {
    let what = match selector {
        Selector::Latest => "no snapshot yet".to_owned(),
        Selector::Epoch(epoch) => format!("no snapshot of epoch {epoch}"),
        Selector::Name(name) => format!("no snapshot named {name:?}"),
    };
    let directory = directory.display();
    Error::config(format!(
        "{directory} has {what}: `highwater snapshot list {directory}` tells which there are"
    ))
}

/// The snapshot, or the error that it is missing.
pub fn found<T>(found: Option<T>, selector: &Selector, directory: &Path) -> Result<T> {
    found.ok_or_else(|| missing(selector, directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_epoch_and_other_words_are_names() {
        assert_eq!(selector("latest"), Ok(Selector::Latest));
        assert_eq!(selector("0042"), Ok(Selector::Epoch(42)));
        assert_eq!(selector("v42"), Ok(Selector::Name("v42".to_owned())));
        assert!(selector("").is_err() && selector("99999999999999999999").is_err());
        assert!(
            name("latest").is_err() && name("7").is_err() && name("before-7") == Ok("before-7".to_owned())
        );
    }
}
