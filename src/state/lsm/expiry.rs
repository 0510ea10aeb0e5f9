//! When rows expire.

pub(crate) use crate::snapshot::block::NEVER;

/// When a row expires that was written before its clock showed anything: as long after the clock first does
/// as it is to live.
pub(crate) const UNBEGUN: i64 = i64::MIN;

/// True if a row that expires then is over.
#[inline]
pub(crate) fn is_over(expires: i64, reached: i64) -> bool {
    expires <= reached && expires != NEVER && expires != UNBEGUN
}
