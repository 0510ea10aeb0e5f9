//! What is known of an item beside its value, in one word.
//!
//! A cell with a small value is mostly looked at where nothing else is, so each byte of it is memory that
//! must be fetched. When the item expires, whether it has changed and whether its backing has it fit in a
//! word, which is never zero: so a place for an item that may be missing takes no more than the item.

use std::fmt;
use std::num::NonZeroU64;

use crate::state::backend::snapshot_delta::DirtyMark;
use crate::state::lsm::expiry::{NEVER, UNBEGUN};

/// When an item expires, for which cut its last change is, and if it is sealed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ItemMeta(NonZeroU64);

/// The bits of the turn, which are never all zero, and the one that tells if it is sealed.
const TURN: u64 = 0b011;
const SEALED: u64 = 0b100;
const TIME: u32 = 3;

/// The last time that can be told; what expires later does not.
const LAST: i64 = i64::MAX >> TIME;

/// What stands for a time that is not known yet.
const FIRST: i64 = i64::MIN >> TIME;

/// Times that are as far from 1970 as this cannot be told apart.
pub(crate) const FARTHEST: i64 = LAST;

impl ItemMeta {
    #[inline]
    pub(crate) fn new(expires: i64, changed: DirtyMark, sealed: bool) -> ItemMeta {
        let time = if expires == UNBEGUN { FIRST } else { expires.clamp(FIRST + 1, LAST) };
        let time = (time << TIME).cast_unsigned();
        let bits = time | changed.bits() | if sealed { SEALED } else { 0 };
        ItemMeta(NonZeroU64::new(bits).unwrap_or(NonZeroU64::MIN))
    }

    /// When the item expires, in milliseconds by its clock.
    #[inline]
    pub(crate) fn expires(self) -> i64 {
        match self.0.get().cast_signed() >> TIME {
            LAST => NEVER,
            FIRST => UNBEGUN,
            time => time,
        }
    }

    /// Which seal or cut its last change is for, if not for one that has been.
    #[inline]
    pub(crate) fn changed(self) -> DirtyMark {
        DirtyMark::of_bits(self.0.get() & TURN)
    }

    /// True if its backing has it, or an older version.
    #[inline]
    pub(crate) fn is_sealed(self) -> bool {
        self.0.get() & SEALED != 0
    }

    /// The same, but for when it expires.
    #[inline]
    pub(crate) fn expiring(self, expires: i64) -> ItemMeta {
        ItemMeta::new(expires, self.changed(), self.is_sealed())
    }

    /// The same, but for the turn.
    #[inline]
    pub(crate) fn marked(self, changed: DirtyMark) -> ItemMeta {
        ItemMeta::new(self.expires(), changed, self.is_sealed())
    }

    /// The same, but the backing has it as it is.
    #[inline]
    pub(crate) fn kept(self) -> ItemMeta {
        ItemMeta::new(self.expires(), DirtyMark::Still, true)
    }
}

impl fmt::Debug for ItemMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.expires(), self.changed(), self.is_sealed()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_a_tag_says_is_told(expires in -(1i64 << 59)..1i64 << 59, dirty_mark in 0..3usize, sealed: bool) {
            let dirty_mark = [DirtyMark::Still, DirtyMark::Even, DirtyMark::Odd][dirty_mark];
            let meta = ItemMeta::new(expires, dirty_mark, sealed);
            prop_assert_eq!((meta.expires(), meta.changed(), meta.is_sealed()), (expires, dirty_mark, sealed));
            prop_assert_eq!(meta.kept(), ItemMeta::new(expires, DirtyMark::Still, true));
            prop_assert_eq!(meta.expiring(7).marked(DirtyMark::Odd), ItemMeta::new(7, DirtyMark::Odd, sealed));
        }
    }

    #[test]
    fn a_place_for_an_item_is_no_larger_than_an_item() {
        assert_eq!(size_of::<Option<(u64, ItemMeta)>>(), 16);
        assert_eq!(ItemMeta::new(NEVER, DirtyMark::Still, false).expires(), NEVER);
        assert_eq!(ItemMeta::new(UNBEGUN, DirtyMark::Even, false).expires(), UNBEGUN);
        assert_eq!(ItemMeta::new(UNBEGUN + 1, DirtyMark::Even, false).expires(), (i64::MIN >> TIME) + 1);
    }
}
