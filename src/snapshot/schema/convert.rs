//! Rows that had another type in a part of them, read as rows of the program's own.
//!
//! An operator knows what its rows are made of but for the type that a part of them once had. A user's
//! function knows that type and nothing of the rows. They meet in the place of the part. Rows are read with a
//! [`Converted`] there, which lets the [`Conversion`] that is in force read the old type, and holds what the
//! function made of it. Whatever codec wrote the rows, this reads them, for a codec sees no more than what it
//! is asked for.
//!
//! What the rows were made of is asked with a [`Foreign`](crate::snapshot::Foreign) in the place, and so no
//! function is shown what is made up. A value costs some tens of nanoseconds more than one that is read as it
//! is.

use std::any::{Any, type_name};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};

use crate::snapshot::schema::infer::foreign::Question;

/// Reads an old type, and makes a new one of it.
pub(crate) struct Conversion<V> {
    read: Box<Read<V>>,
}

type Read<V> =
    dyn Fn(&mut dyn erased_serde::Deserializer<'_>) -> Result<V, erased_serde::Error> + Send + Sync;

/// A conversion of some type into some other.
#[derive(Clone)]
pub(in crate::snapshot) struct SomeConversion {
    conversion: Arc<dyn Any + Send + Sync>,
    /// Asks the old type.
    pub(in crate::snapshot) old: Question,
    /// The name of the new one.
    pub(in crate::snapshot) new: &'static str,
}

impl SomeConversion {
    pub(in crate::snapshot) fn by<Old, New>(
        convert: impl Fn(Old) -> New + Send + Sync + 'static,
    ) -> SomeConversion
    where
        Old: DeserializeOwned + 'static,
        New: Send + Sync + 'static,
    {
        let read: Box<Read<New>> = Box::new(move |from| erased_serde::deserialize::<Old>(from).map(&convert));
        let conversion = Arc::new(Conversion { read });
        SomeConversion { conversion, old: Question::of::<Old>(), new: type_name::<New>() }
    }

    /// The conversion, if it is one into this type.
    pub(in crate::snapshot) fn making<New: 'static>(&self) -> Option<Arc<Conversion<New>>> {
        Arc::clone(&self.conversion).downcast().ok()
    }
}

impl fmt::Debug for SomeConversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "into {}", self.new)
    }
}

thread_local! {
    /// The conversion that is in force in this thread.
    static IN_FORCE: RefCell<Option<Arc<dyn Any + Send + Sync>>> = const { RefCell::new(None) };
}

/// What was in force before, and will be again.
struct Before(Option<Arc<dyn Any + Send + Sync>>);

impl Drop for Before {
    fn drop(&mut self) {
        IN_FORCE.set(self.0.take());
    }
}

impl<V: 'static> Conversion<V> {
    /// Puts it in force for what `meanwhile` reads.
    pub(crate) fn hold<X>(self: &Arc<Self>, meanwhile: impl FnOnce() -> X) -> X
    where
        V: Send + Sync,
    {
        let conversion: Arc<dyn Any + Send + Sync> = Arc::clone(self) as _;
        // Restored when it is dropped, also if the user's function panics.
        let _before = Before(IN_FORCE.replace(Some(conversion)));
        meanwhile()
    }
}

/// A part of a row that is converted as it is read.
pub(crate) struct Converted<V>(pub(crate) V);

impl<'de, V: Send + Sync + 'static> Deserialize<'de> for Converted<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Converted<V>, D::Error> {
        // Not borrowed while it reads: the value may contain others of these.
        let conversion = IN_FORCE.with_borrow(Option::clone);
        let Some(conversion) = conversion.and_then(|some| some.downcast::<Conversion<V>>().ok()) else {
            return Err(D::Error::custom("nothing converts into this type"));
        };
        let mut from = <dyn erased_serde::Deserializer<'_>>::erase(deserializer);
        (conversion.read)(&mut from).map(Converted).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU8;

    use proptest::prelude::*;
    use serde::Serialize;

    use super::*;
    use crate::snapshot::log::manifest::Schema;
    use crate::snapshot::page::codec::Codec;
    use crate::snapshot::schema::infer::foreign::Foreign;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Old {
        Nothing,
        Text(String),
        Many { list: Vec<(i16, Option<bool>)>, map: BTreeMap<String, f64> },
        Large(i128, [u8; 3], char),
    }

    #[derive(Clone, Debug, PartialEq)]
    struct New(String);

    fn new(old: &Old) -> New {
        New(format!("{old:?}"))
    }

    fn old() -> impl Strategy<Value = Old> {
        let map = prop::collection::btree_map(".{0,3}", -1e9..1e9, 0..3);
        prop_oneof![
            Just(Old::Nothing),
            ".{0,9}".prop_map(Old::Text),
            (prop::collection::vec(any::<(i16, Option<bool>)>(), 0..4), map)
                .prop_map(|(list, map)| Old::Many { list, map }),
            any::<(i128, [u8; 3], char)>().prop_map(|(number, bytes, char)| Old::Large(number, bytes, char)),
        ]
    }

    proptest! {
        /// Whatever the codec.
        #[test]
        fn what_is_read_is_what_the_function_makes_of_what_was_written(
            rows in prop::collection::vec((any::<u64>(), old(), any::<i64>()), 0..20),
        ) {
            let conversion = SomeConversion::by(|old: Old| new(&old)).making::<New>().unwrap();
            for codec in [Codec::Columnar, Codec::Rows] {
                let bytes = codec.encode(&rows).unwrap();
                let read = conversion.hold(|| codec.decode::<(u64, Converted<New>, i64)>(&bytes, rows.len()));
                let read: Vec<_> = read.unwrap().into_iter().map(|(n, part, m)| (n, part.0, m)).collect();
                let expected: Vec<_> = rows.iter().map(|(n, part, m)| (*n, new(part), *m)).collect();
                prop_assert_eq!(read, expected);
                prop_assert!(rows.is_empty() || codec.decode::<(u64, Converted<New>, i64)>(&bytes, rows.len()).is_err());
            }
        }
    }

    /// The schema of rows with the type in their part, and with a place for it there.
    fn both<T: Send + Sync + DeserializeOwned + 'static>() -> [Schema; 2] {
        let conversion = SomeConversion::by(|_: T| -> u8 { unreachable!("asking converts nothing") });
        let held = || Schema::of::<(u64, Option<Foreign>, Vec<(Foreign, bool)>)>("latest");
        [Schema::of::<(u64, Option<T>, Vec<(T, bool)>)>("latest"), conversion.old.hold(held)]
    }

    #[test]
    fn what_rows_were_made_of_is_asked_as_if_the_type_was_there() {
        let nested = both::<BTreeMap<String, Vec<Old>>>();
        // Types that refuse to be asked are known by their names.
        let refusing = both::<(NonZeroU8, Option<char>)>();
        for [direct, held] in
            [both::<Old>(), nested, refusing, both::<NonZeroU8>(), both::<u8>(), both::<()>()]
        {
            assert_eq!(direct, held);
        }
        let texts = [both::<u8>(), both::<u16>()].map(|[_, held]| held.text);
        assert_ne!(texts[0], texts[1], "what is asked in a place is not remembered");
    }

    #[test]
    fn a_function_that_panics_converts_no_longer() {
        let conversion = SomeConversion::by(|_: u8| -> u16 { panic!("no") }).making::<u16>().unwrap();
        let read = || Codec::Rows.decode::<Converted<u16>>(&[1], 1).map(|read| read[0].0);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| conversion.hold(read)));
        assert!(caught.is_err());
        assert!(read().is_err());
        assert!(SomeConversion::by(u16::from as fn(u8) -> u16).making::<u32>().is_none());
    }
}
