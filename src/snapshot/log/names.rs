//! The names of a store's objects. What does not have one of these forms belongs to someone else and is never
//! touched.

use std::fmt;

/// Where the log lies.
pub(in crate::snapshot) const LOG: &str = "log/";
/// Where heads lie.
pub(in crate::snapshot) const HEAD: &str = "head/";
/// Where segments lie.
pub(in crate::snapshot) const PAGES: &str = "pages/";
/// Where the names of snapshots lie.
pub(in crate::snapshot) const NAMES: &str = "names/";
/// Where garbage collections write their intents.
pub(in crate::snapshot) const INTENTS: &str = "gc/";

/// The name of the object of this number below a prefix.
pub(in crate::snapshot) fn numbered(prefix: &str, number: u64) -> String {
    format!("{prefix}{number:020}")
}

/// The number of an object below a prefix.
pub(in crate::snapshot) fn number_of(prefix: &str, name: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 20)?;
    // `parse` alone would accept a sign.
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

/// What the name of a segment says.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The run that wrote it.
    pub generation: u64,
    /// The epoch that it was written for.
    pub epoch: u64,
    /// The worker that wrote it.
    pub worker: u32,
    /// Which of that run's segments it is.
    pub n: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SegmentName { generation, epoch, worker, n } = self;
        write!(f, "{PAGES}{generation}/{epoch:020}-{worker:05}-{n}")
    }
}

impl SegmentName {
    /// Reads a name; `None` if it is not that of a segment.
    pub fn parse(name: &str) -> Option<SegmentName> {
        let (generation, rest) = name.strip_prefix(PAGES)?.split_once('/')?;
        let mut parts = rest.splitn(3, '-');
        let (epoch, worker, n) = (parts.next()?, parts.next()?, parts.next()?);
        let (generation, n) = (generation.parse().ok()?, n.parse().ok()?);
        let segment = SegmentName { generation, epoch: epoch.parse().ok()?, worker: worker.parse().ok()?, n };
        // Other spellings of the same numbers are not ours.
        (segment.to_string() == name).then_some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for number in [0, 7, u64::MAX] {
            assert_eq!(number_of(LOG, &numbered(LOG, number)), Some(number));
            let segment = SegmentName { generation: number, epoch: number, worker: 255, n: number };
            assert_eq!(SegmentName::parse(&segment.to_string()), Some(segment));
        }
        let others =
            ["log/1", "log/+0000000000000000001", "log/99999999999999999999", "gc/00000000000000000001"];
        assert!(others.iter().all(|name| number_of(LOG, name).is_none()));
        let others = [
            "pages/1/1-1-1",
            "pages/01/00000000000000000001-00001-1",
            "pages/1/00000000000000000001-00001-1-1",
        ];
        assert!(others.iter().all(|name| SegmentName::parse(name).is_none()));
    }
}
