//! Bytes made of others, by a seed: flipped, cut, joined, repeated, and with lengths that are huge.

/// Draws what is done.
pub(crate) struct Mutations(u64);

/// What a length may be made of: huge in one, two, four and eight bytes, and as Postcard writes it.
const LENGTHS: [&[u8]; 10] = [
    &[0xff],
    &[0xff, 0xff],
    &[0xff, 0xff, 0xff, 0x7f],
    &[0xff, 0xff, 0xff, 0xff],
    &[0, 0, 0, 0x40],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
    &[0, 0, 0, 0, 1, 0, 0, 0],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    b"18446744073709551615",
];

impl Mutations {
    pub(crate) fn of(seed: u64) -> Mutations {
        Mutations(seed.wrapping_mul(0x5851_f42d_4c95_7f2d))
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }

    /// One of these, changed in one to eight ways.
    pub(crate) fn make(mut self, corpus: &[&[u8]]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].to_vec();
        for _ in 0..1 + self.below(8) {
            self.change(&mut bytes, corpus);
        }
        bytes.truncate(8 << 10);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, corpus: &[&[u8]]) {
        let at = self.below(bytes.len());
        match self.below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[at] = self.below(256) as u8,
            2 => bytes.truncate(at),
            3 => {
                let end = bytes.len().min(at + 1 + self.below(16));
                bytes.drain(at..end);
            }
            4 => {
                // The beginning of one and the end of another.
                let other = corpus[self.below(corpus.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[self.below(other.len())..]);
            }
            5 => {
                let end = bytes.len().min(at + 1 + self.below(32));
                let again = bytes[at..end].repeat(1 + self.below(20));
                bytes.splice(at..at, again);
            }
            6 => {
                let length = LENGTHS[self.below(LENGTHS.len())];
                let end = bytes.len().min(at + length.len());
                bytes.splice(at..end, length.iter().copied());
            }
            7 => {
                let length = LENGTHS[self.below(LENGTHS.len())];
                bytes.splice(at..at, length.iter().copied());
            }
            _ => {
                let more: Vec<u8> = (0..1 + self.below(8)).map(|_| self.below(256) as u8).collect();
                bytes.splice(at..at, more);
            }
        }
    }
}
