//! The temporal join: each record with the version that was valid at its time.
//!
//! Versions are upserts and deletions, in event time: SQL's `FOR SYSTEM_TIME AS OF`. Records and versions are
//! taken in order of event time, a version before the records of its own time; so at a record's time the
//! state of its key is the version that was valid then, and one value for each key is all the state there is,
//! besides what waits for the watermark.

use std::marker::PhantomData;

use crate::data::{Data, Exchange, Key};
use crate::process::{CoProcess, Context, States, Value};
use crate::stream::{Chain, KeyedStream, Stream};

impl<K: Key, T: Exchange + Ord, C: Chain<Out = (K, T)>> KeyedStream<K, T, C> {
    /// Calls a function with each record and the version that `versions` has for its key at the record's
    /// time; `None` if there is none. A version is `Some` from its event time on, until the next one; `None`
    /// says that there is none any more. Of two versions of one time the greater counts.
    ///
    /// A record waits until the watermarks of both streams have passed it. Late records and late versions are
    /// dropped and counted.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    ///
    /// let job = Job::new();
    /// let rates = [("eur", 0, Some(110)), ("eur", 10, Some(120)), ("eur", 30, None)];
    /// let orders = [("eur", 5), ("eur", 10), ("eur", 40)];
    /// let rates = job.timed_collection(rates, Watermarks::monotone(|r: &(&str, i64, Option<i64>)| r.1));
    /// let orders = job.timed_collection(orders, Watermarks::monotone(|o: &(&str, i64)| o.1));
    /// let rates = rates.key_by(|r| r.0.to_string()).map_values(|r| r.2);
    /// let orders = orders.key_by(|o| o.0.to_string()).map_values(|o| o.1);
    /// let priced = orders.temporal_join(rates, |_, time, rate| Some((*time, rate.copied()))).collect();
    /// job.run()?;
    /// assert_eq!(priced.values(), [(5, Some(110)), (10, Some(120)), (40, None)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn temporal_join<V, D, O, F>(self, versions: KeyedStream<K, Option<V>, D>, f: F) -> Stream<O>
    where
        V: Exchange + Ord,
        D: Chain<Out = (K, Option<V>)>,
        O: Data,
        F: Fn(&K, &T, Option<&V>) -> Option<O> + Clone + Send + Sync + 'static,
    {
        versions.connect(self).process_in_order(AsOf { f, version: Value::default(), out: PhantomData })
    }
}

struct AsOf<V, O, F> {
    f: F,
    version: Value<V>,
    out: PhantomData<fn() -> O>,
}

impl<V, O, F: Clone> Clone for AsOf<V, O, F> {
    fn clone(&self) -> Self {
        AsOf { f: self.f.clone(), ..*self }
    }
}

impl<K, T, V, O, F> CoProcess<K, Option<V>, T> for AsOf<V, O, F>
where
    K: Key,
    T: Exchange,
    V: Exchange,
    O: Data,
    F: Fn(&K, &T, Option<&V>) -> Option<O> + Clone + Send + Sync + 'static,
{
    type Out = O;

    fn open(&mut self, states: &mut States<'_, K>) {
        self.version = states.value("version");
    }

    fn left(&mut self, version: Option<V>, cx: &mut Context<'_, K, O>) {
        match version {
            Some(version) => self.version.set(cx, version),
            None => self.version.clear(cx),
        }
    }

    fn right(&mut self, value: T, cx: &mut Context<'_, K, O>) {
        let result = (self.f)(cx.key(), &value, self.version.get(cx));
        result.into_iter().for_each(|result| cx.emit(result));
    }
}
