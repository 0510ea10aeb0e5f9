//! Names of objects: what may be one. They become paths in directories and addresses, so the rule is narrow.

use crate::error::{Error, Result};

/// The longest name.
const LONGEST: usize = 512;

/// Refuses what cannot be the name of an object.
pub(super) fn check_name(name: &str) -> Result<()> {
    let is_valid = name.len() <= LONGEST && !name.starts_with('.') && name.split('/').all(is_part);
    if is_valid {
        return Ok(());
    }
    Err(Error::config(format!(
        "{name:?} cannot be the name of an object in a snapshot store: use letters, digits, '-', '_', '.' and slashes between parts"
    )))
}

/// Refuses what no name can begin with.
pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    let whole = prefix.strip_suffix('/').unwrap_or(prefix);
    if whole.is_empty() && prefix.is_empty() { Ok(()) } else { check_name(whole) }
}

fn is_part(part: &str) -> bool {
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    part.bytes().all(is_ok) && part.bytes().any(|byte| byte != b'.')
}
