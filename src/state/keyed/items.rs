//! What can be under one key: one item, a list of items, or a map. Items by their times have a
//! [file](crate::state::keyed::by_time) of their own.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::mem::size_of;

use crate::data::{Exchange, Key};
use crate::state::lsm::expiry::is_over;

/// How items lie under a key, and what they are known by there.
pub(crate) trait Items: 'static {
    /// What an item is known by.
    type Sub;
    /// What the user keeps in an item.
    type Value;
    /// The items of one key.
    type Of<X>;
    /// What is noted of an item that has changed, beside its key.
    type Mark: Ord + Send + 'static;
    /// True if all items are added by someone who knows when they expire.
    const IS_EXPIRY_KNOWN: bool = false;
    /// The bytes that items of so many keys take outside of the cells, about.
    fn outside<X>(_keys: usize, _items: usize) -> usize {
        0
    }

    fn empty<X>() -> Self::Of<X>;
    fn get<'a, X>(of: &'a Self::Of<X>, sub: &Self::Sub) -> Option<&'a X>;
    fn get_mut<'a, X>(of: &'a mut Self::Of<X>, sub: &Self::Sub) -> Option<&'a mut X>;
    /// Adds an item that is not there, which expires at `expires`.
    fn insert<X>(of: &mut Self::Of<X>, sub: Self::Sub, item: X, expires: i64);
    fn remove<X>(of: &mut Self::Of<X>, sub: &Self::Sub) -> Option<X>;
    fn drain<X>(of: &mut Self::Of<X>, each: impl FnMut(Self::Sub, X));
    /// Shows all items.
    fn each<X>(of: &Self::Of<X>, each: impl FnMut(&Self::Sub, &X));
    /// Drops what has expired by now, and shows it first.
    fn expire<X>(
        of: &mut Self::Of<X>,
        now: i64,
        expires: impl Fn(&X) -> i64,
        each: impl FnMut(&Self::Sub, &X),
    );
    fn is_empty<X>(of: &Self::Of<X>) -> bool;
    /// As [`is_empty`](Items::is_empty), with a look at what will be wanted first if the cell is wanted.
    #[inline]
    fn peek<X>(of: &Self::Of<X>) -> bool {
        Self::is_empty(of)
    }

    /// What is to be noted of an item that has changed, unless what has been noted leads to it already.
    fn note<X>(of: &mut Self::Of<X>, sub: &Self::Sub) -> Option<Self::Mark>;
    /// True if a mark still leads to an item for which `changed` holds.
    fn is_noted<X>(of: &Self::Of<X>, mark: &Self::Mark, changed: impl Fn(&X) -> bool) -> bool;
    /// Shows the items that a mark leads to, those that have changed among them. Then it leads to them no
    /// more.
    fn noted<X>(of: &mut Self::Of<X>, mark: &Self::Mark, each: impl FnMut(Self::Sub, &mut X));
}

/// What can be under one key.
pub(crate) trait Shape: Items<Sub: Key, Value: Exchange> {}
impl<I: Items<Sub: Key, Value: Exchange>> Shape for I {}

/// One value.
pub(crate) struct One<V>(PhantomData<fn() -> V>);

/// Values in the order in which they came, each with its number.
pub(crate) struct Many<V>(PhantomData<fn() -> V>);

/// Values by keys of their own, in order.
pub(crate) struct Mapped<S, V>(PhantomData<fn() -> (S, V)>);

impl<V: 'static> Items for One<V> {
    type Sub = ();
    type Value = V;
    type Of<X> = Option<X>;
    type Mark = ();

    fn empty<X>() -> Option<X> {
        None
    }

    #[inline]
    fn get<'a, X>(of: &'a Option<X>, (): &()) -> Option<&'a X> {
        of.as_ref()
    }

    #[inline]
    fn get_mut<'a, X>(of: &'a mut Option<X>, (): &()) -> Option<&'a mut X> {
        of.as_mut()
    }

    #[inline]
    fn insert<X>(of: &mut Option<X>, (): (), item: X, _: i64) {
        *of = Some(item);
    }

    fn remove<X>(of: &mut Option<X>, (): &()) -> Option<X> {
        of.take()
    }

    fn each<X>(of: &Option<X>, mut each: impl FnMut(&(), &X)) {
        of.iter().for_each(|item| each(&(), item));
    }

    fn drain<X>(of: &mut Option<X>, mut each: impl FnMut((), X)) {
        of.take().into_iter().for_each(|item| each((), item));
    }

    #[inline]
    fn expire<X>(of: &mut Option<X>, now: i64, expires: impl Fn(&X) -> i64, mut each: impl FnMut(&(), &X)) {
        if let Some(item) = of.take_if(|item| is_over(expires(item), now)) {
            each(&(), &item);
        }
    }

    #[inline]
    fn is_empty<X>(of: &Option<X>) -> bool {
        of.is_none()
    }

    #[inline]
    fn note<X>(_: &mut Option<X>, (): &()) -> Option<()> {
        Some(())
    }

    fn is_noted<X>(of: &Option<X>, mark: &(), changed: impl Fn(&X) -> bool) -> bool {
        Self::get(of, mark).is_some_and(changed)
    }

    fn noted<X>(of: &mut Option<X>, mark: &(), mut each: impl FnMut((), &mut X)) {
        if let Some(item) = Self::get_mut(of, mark) {
            each((), item);
        }
    }
}

impl<V: 'static> Items for Many<V> {
    type Sub = u64;
    type Value = V;
    type Of<X> = VecDeque<(u64, X)>;
    type Mark = u64;

    fn outside<X>(keys: usize, items: usize) -> usize {
        // Buffers have room for four, and double.
        (4 * keys).max(items + items / 2) * size_of::<(u64, X)>()
    }

    fn empty<X>() -> VecDeque<(u64, X)> {
        VecDeque::new()
    }

    fn get<'a, X>(of: &'a VecDeque<(u64, X)>, number: &u64) -> Option<&'a X> {
        let place = of.binary_search_by_key(number, |(number, _)| *number).ok()?;
        of.get(place).map(|(_, item)| item)
    }

    fn get_mut<'a, X>(of: &'a mut VecDeque<(u64, X)>, number: &u64) -> Option<&'a mut X> {
        let place = of.binary_search_by_key(number, |(number, _)| *number).ok()?;
        of.get_mut(place).map(|(_, item)| item)
    }

    fn insert<X>(of: &mut VecDeque<(u64, X)>, number: u64, item: X, _: i64) {
        if of.back().is_none_or(|(last, _)| *last < number) {
            return of.push_back((number, item));
        }
        // Only what comes back from an arrangement is not the last.
        let place = of.partition_point(|(other, _)| *other < number);
        of.insert(place, (number, item));
    }

    fn remove<X>(of: &mut VecDeque<(u64, X)>, number: &u64) -> Option<X> {
        let place = of.binary_search_by_key(number, |(number, _)| *number).ok()?;
        of.remove(place).map(|(_, item)| item)
    }

    fn each<X>(of: &VecDeque<(u64, X)>, mut each: impl FnMut(&u64, &X)) {
        of.iter().for_each(|(number, item)| each(number, item));
    }

    fn drain<X>(of: &mut VecDeque<(u64, X)>, mut each: impl FnMut(u64, X)) {
        of.drain(..).for_each(|(number, item)| each(number, item));
    }

    fn expire<X>(
        of: &mut VecDeque<(u64, X)>,
        now: i64,
        expires: impl Fn(&X) -> i64,
        mut each: impl FnMut(&u64, &X),
    ) {
        of.retain(|(number, item)| {
            let is_over = is_over(expires(item), now);
            if is_over {
                each(number, item);
            }
            !is_over
        });
    }

    fn is_empty<X>(of: &VecDeque<(u64, X)>) -> bool {
        of.is_empty()
    }

    #[inline]
    fn note<X>(_: &mut VecDeque<(u64, X)>, sub: &u64) -> Option<u64> {
        Some(*sub)
    }

    fn is_noted<X>(of: &VecDeque<(u64, X)>, mark: &u64, changed: impl Fn(&X) -> bool) -> bool {
        Self::get(of, mark).is_some_and(changed)
    }

    fn noted<X>(of: &mut VecDeque<(u64, X)>, mark: &u64, mut each: impl FnMut(u64, &mut X)) {
        if let Some(item) = Self::get_mut(of, mark) {
            each(*mark, item);
        }
    }
}

impl<S: Ord + Clone + Send + 'static, V: 'static> Items for Mapped<S, V> {
    type Sub = S;
    type Value = V;
    type Of<X> = BTreeMap<S, X>;
    type Mark = S;

    fn outside<X>(keys: usize, items: usize) -> usize {
        // Nodes have room for eleven, and are three quarters full.
        (11 * keys).max(items + items / 2) * size_of::<(S, X)>() + 16 * keys
    }

    fn empty<X>() -> BTreeMap<S, X> {
        BTreeMap::new()
    }

    fn get<'a, X>(of: &'a BTreeMap<S, X>, sub: &S) -> Option<&'a X> {
        of.get(sub)
    }

    fn get_mut<'a, X>(of: &'a mut BTreeMap<S, X>, sub: &S) -> Option<&'a mut X> {
        of.get_mut(sub)
    }

    fn insert<X>(of: &mut BTreeMap<S, X>, sub: S, item: X, _: i64) {
        of.insert(sub, item);
    }

    fn remove<X>(of: &mut BTreeMap<S, X>, sub: &S) -> Option<X> {
        of.remove(sub)
    }

    fn each<X>(of: &BTreeMap<S, X>, mut each: impl FnMut(&S, &X)) {
        of.iter().for_each(|(sub, item)| each(sub, item));
    }

    fn drain<X>(of: &mut BTreeMap<S, X>, mut each: impl FnMut(S, X)) {
        while let Some((sub, item)) = of.pop_first() {
            each(sub, item);
        }
    }

    fn expire<X>(
        of: &mut BTreeMap<S, X>,
        now: i64,
        expires: impl Fn(&X) -> i64,
        mut each: impl FnMut(&S, &X),
    ) {
        of.retain(|sub, item| {
            let is_over = is_over(expires(item), now);
            if is_over {
                each(sub, item);
            }
            !is_over
        });
    }

    fn is_empty<X>(of: &BTreeMap<S, X>) -> bool {
        of.is_empty()
    }

    #[inline]
    fn note<X>(_: &mut BTreeMap<S, X>, sub: &S) -> Option<S> {
        Some(sub.clone())
    }

    fn is_noted<X>(of: &BTreeMap<S, X>, mark: &S, changed: impl Fn(&X) -> bool) -> bool {
        Self::get(of, mark).is_some_and(changed)
    }

    fn noted<X>(of: &mut BTreeMap<S, X>, mark: &S, mut each: impl FnMut(S, &mut X)) {
        if let Some(item) = Self::get_mut(of, mark) {
            each(mark.clone(), item);
        }
    }
}
