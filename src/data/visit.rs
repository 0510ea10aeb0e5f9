//! Showing records one by one.

/// What a reader shows its records to. Every closure that takes a record is one.
///
/// The alternative to a closure is a type whose `visit` is `#[inline(always)]`, which a closure cannot be. A
/// reader may have a call for each kind of record, and a closure of some size is not inlined several times;
/// then each record passes through memory, whatever is used of it, at several times the cost of decoding it.
pub trait Visit<T> {
    /// Takes the next record.
    fn visit(&mut self, value: T);
}

impl<T, F: FnMut(T)> Visit<T> for F {
    #[inline(always)]
    fn visit(&mut self, value: T) {
        self(value);
    }
}
