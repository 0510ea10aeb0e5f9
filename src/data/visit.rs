//! Passing records to a visitor one by one.

/// What a reader passes its records to. Every closure that takes a record is one.
///
/// A type of your own can have an `#[inline(always)]` `visit`, which a closure cannot. A reader may have one
/// call for each kind of record, and the compiler does not inline a closure of some size several times; then
/// each record passes through memory, at several times the cost of decoding it.
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
