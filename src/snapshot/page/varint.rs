//! Numbers in as few bytes as they need, as LEB128 has them: seven bits to a byte, the least ones first.

/// Appends a number.
#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Reads the number at a place, which moves on. `None` if there is none.
#[inline]
pub(super) fn take(bytes: &[u8], place: &mut usize) -> Option<u64> {
    let (mut number, mut shift) = (0u64, 0);
    loop {
        let byte = *bytes.get(*place)?;
        *place += 1;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(number);
        }
        shift += 7;
    }
}

/// The same for a length or a place.
#[inline]
pub(super) fn take_len(bytes: &[u8], place: &mut usize) -> Option<usize> {
    usize::try_from(take(bytes, place)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_number_is_read_as_it_was_put(number in any::<u64>(), shift in 0..64u32, cut in 1..10usize) {
            let (number, mut bytes, mut place) = (number >> shift, vec![7], 1);
            put(&mut bytes, number);
            prop_assert_eq!((take(&bytes, &mut place), place), (Some(number), bytes.len()));
            bytes.truncate(bytes.len().saturating_sub(cut).max(1));
            prop_assert_eq!(take(&bytes, &mut 1), None);
        }
    }

    #[test]
    fn what_does_not_end_is_none() {
        assert_eq!(take(&[0xff; 20], &mut 0), None);
    }
}
