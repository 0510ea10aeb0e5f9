//! An aggregate over what a function makes of values.

use std::marker::PhantomData;

use crate::stream::Aggregate;

/// An aggregate over what a function makes of values.
///
/// ```
/// use highwater::stream::{Aggregate, Sum};
/// use highwater::window::MapInput;
/// let lengths = MapInput::new(|word: &str| word.len() as u64, Sum);
/// assert_eq!(lengths.result(&lengths.start("seven")), 5);
/// ```
pub struct MapInput<F, N, A> {
    map: F,
    aggregate: A,
    value: PhantomData<fn() -> N>,
}

impl<F, N, A> MapInput<F, N, A> {
    /// The aggregate of what `map` makes of values.
    pub fn new(map: F, aggregate: A) -> MapInput<F, N, A> {
        MapInput { map, aggregate, value: PhantomData }
    }
}

impl<F: Clone, N, A: Clone> Clone for MapInput<F, N, A> {
    fn clone(&self) -> Self {
        MapInput::new(self.map.clone(), self.aggregate.clone())
    }
}

impl<T, F, N, A> Aggregate<T> for MapInput<F, N, A>
where
    F: Fn(T) -> N + Clone + Send + Sync + 'static,
    N: 'static,
    A: Aggregate<N>,
{
    type Acc = A::Acc;
    type Out = A::Out;
    const COMBINES: bool = A::COMBINES;
    const SUBTRACTS: bool = A::SUBTRACTS;

    fn start(&self, value: T) -> A::Acc {
        self.aggregate.start((self.map)(value))
    }

    fn add(&self, acc: &mut A::Acc, value: T) {
        self.aggregate.add(acc, (self.map)(value));
    }

    fn merge(&self, acc: &mut A::Acc, other: A::Acc) {
        self.aggregate.merge(acc, other);
    }

    fn subtract(&self, acc: &mut A::Acc, other: &A::Acc) {
        self.aggregate.subtract(acc, other);
    }

    fn result(&self, acc: &A::Acc) -> A::Out {
        self.aggregate.result(acc)
    }

    fn is_empty(&self, acc: &A::Acc) -> bool {
        self.aggregate.is_empty(acc)
    }
}
