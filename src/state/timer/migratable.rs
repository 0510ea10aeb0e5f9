//! What waits for its time, and what of it may once have been of another type.
//!
//! Operators of one kind or another let records wait, each with something of its own around them: a key, a
//! stamp. What is around is the engine's and does not change; what is in it is a user's. Timers, and the ends
//! of windows, have nothing of a user's but the key.

use serde::de::DeserializeOwned;

use crate::data::{Exchange, Key, Stamp};

/// Something that is of a user's in one part.
pub(crate) trait Migratable: Exchange {
    /// The part.
    type Part: Exchange;

    /// The same with another type for its part.
    type With<P: DeserializeOwned + 'static>: DeserializeOwned + 'static;

    /// What it is when `own` has made its part of the other type.
    fn own<P: DeserializeOwned + 'static>(with: Self::With<P>, own: impl Fn(P) -> Self::Part) -> Self;
}

/// Nothing, of which nothing is kept.
impl Migratable for () {
    type Part = ();
    type With<P: DeserializeOwned + 'static> = ();

    fn own<P: DeserializeOwned + 'static>((): (), _: impl Fn(P)) -> Self {}
}

/// A timer of a key: it is registered or deleted.
impl<K: Key> Migratable for (K, bool) {
    type Part = ();
    type With<P: DeserializeOwned + 'static> = (K, bool);

    fn own<P: DeserializeOwned + 'static>(with: (K, bool), _: impl Fn(P)) -> Self {
        with
    }
}

/// A record under its key.
impl<K: Key, T: Exchange> Migratable for (K, T, Stamp) {
    type Part = T;
    type With<P: DeserializeOwned + 'static> = (K, P, Stamp);

    fn own<P: DeserializeOwned + 'static>(with: (K, P, Stamp), own: impl Fn(P) -> T) -> Self {
        (with.0, own(with.1), with.2)
    }
}
