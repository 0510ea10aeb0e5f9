//! The interval join: pairs of records with the same key whose times are so far apart.
//!
//! Each side keeps its records by time. A record looks for partners among the other side's in the interval, and is kept until the watermark
//! has passed the last moment at which a partner can be. A record of an outer side that has met no one by then is told alone. It
//! has its own event time then, behind the watermark that let it go; so the operator holds the watermark back for it meanwhile, as Flink's
//! interval joins in SQL do.
//!
//! # Cost
//!
//! A record costs a range scan of its partners, an insertion and a removal in a map by time, and a timer.

use std::time::Duration;

use crate::data::{Data, Exchange, Key};
use crate::process::{CoProcess, Context, Map, States, Timer};
use crate::stream::{Chain, KeyedStream, Stream};
use crate::time::EventTime;

/// How far apart two records are, in milliseconds: the second one's time less the first one's.
///
/// ```
/// use highwater::join::Interval;
/// let within_a_second = Interval::millis(-1_000, 1_000);
/// let strictly_later = Interval::millis(0, 5_000).excluding_lower();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    lower: i64,
    upper: i64,
}

impl Interval {
    /// From `lower` to `upper`, both included. If `lower` is greater there are no pairs.
    pub fn millis(lower: i64, upper: i64) -> Interval {
        Interval { lower, upper }
    }

    /// The second record comes at the time of the first or up to so much later.
    pub fn after(duration: Duration) -> Interval {
        Interval::millis(0, i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
    }

    /// Without the lower bound itself.
    pub fn excluding_lower(self) -> Interval {
        Interval { lower: self.lower.saturating_add(1), ..self }
    }

    /// Without the upper bound itself.
    pub fn excluding_upper(self) -> Interval {
        Interval { upper: self.upper.saturating_sub(1), ..self }
    }

    /// The same seen from the second record.
    fn turned(self) -> Interval {
        Interval { lower: self.upper.saturating_neg(), upper: self.lower.saturating_neg() }
    }

    /// The times of the partners of a record of this time.
    fn around(self, time: EventTime) -> (EventTime, EventTime) {
        (time.saturating_add(self.lower), time.saturating_add(self.upper))
    }

    /// The time after which no partner can come.
    fn last(self, time: EventTime) -> EventTime {
        // A record without possible partners is let go as soon as its own time has passed.
        self.around(time).1.max(time)
    }
}

/// Which records are told that meet no one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outer {
    /// None: an inner join.
    #[default]
    None,
    /// Those of the first stream.
    Left,
    /// Those of the second stream.
    Right,
    /// All: a full outer join.
    Both,
}

/// Two keyed streams to be joined by an interval.
#[must_use = "a stream does nothing until it leads to a sink"]
pub struct IntervalJoin<K, L, R, C, D> {
    left: KeyedStream<K, L, C>,
    right: KeyedStream<K, R, D>,
    interval: Interval,
}

impl<K: Key, L: Exchange, C: Chain<Out = (K, L)>> KeyedStream<K, L, C> {
    /// Joins with the records of `other` that have the same key and lie in an interval around this stream's.
    ///
    /// Records that are behind the watermark of their split are dropped and counted as `late_dropped`.
    ///
    /// ```
    /// use highwater::join::Interval;
    /// use highwater::stream::Job;
    /// use highwater::time::Watermarks;
    /// use std::time::Duration;
    ///
    /// let job = Job::new();
    /// let orders = [("ann", 10), ("bob", 20)];
    /// let payments = [("ann", 12), ("bob", 90)];
    /// let by_time = || Watermarks::monotone(|row: &(&str, i64)| row.1);
    /// let orders = job.timed_collection(orders, by_time()).key_by(|row| row.0.to_string());
    /// let payments = job.timed_collection(payments, by_time()).key_by(|row| row.0.to_string());
    /// let orders = orders.map_values(|order| order.1);
    /// let payments = payments.map_values(|payment| payment.1);
    /// let paid = orders
    ///     .interval_join(payments, Interval::after(Duration::from_millis(30)))
    ///     .inner(|name, order, payment| (name.clone(), payment - order))
    ///     .collect();
    /// job.run()?;
    /// assert_eq!(paid.values(), [("ann".to_string(), 2)]);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn interval_join<R, D>(
        self,
        other: KeyedStream<K, R, D>,
        interval: Interval,
    ) -> IntervalJoin<K, L, R, C, D>
    where
        R: Exchange,
        D: Chain<Out = (K, R)>,
    {
        IntervalJoin { left: self, right: other, interval }
    }
}

impl<K, L, R, C, D> IntervalJoin<K, L, R, C, D>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    C: Chain<Out = (K, L)>,
    D: Chain<Out = (K, R)>,
{
    /// The pairs. The event time of a pair is the later one of its two records.
    pub fn inner<O, F>(self, f: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&K, &L, &R) -> O + Clone + Send + Sync + 'static,
    {
        self.outer(Outer::None, move |key, left, right| match (left, right) {
            (Some(left), Some(right)) => Some(f(key, left, right)),
            _ => None,
        })
    }

    /// The pairs for which `f` gives something, and the records of the outer sides that are in no such pair, each with nothing for the
    /// other side. These have their own event time, and come when no partner can come any more.
    pub fn outer<O, F>(self, outer: Outer, f: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&K, Option<&L>, Option<&R>) -> Option<O> + Clone + Send + Sync + 'static,
    {
        let function =
            Joining { interval: self.interval, outer, f, lefts: Map::default(), rights: Map::default() };
        self.left.connect(self.right).process(function)
    }
}

/// A record by its time, and by its number among those of the time: with whether it has met anyone.
type Side<T> = Map<(EventTime, u64), (T, bool)>;

struct Joining<L, R, F> {
    interval: Interval,
    outer: Outer,
    f: F,
    lefts: Side<L>,
    rights: Side<R>,
}

impl<L, R, F: Clone> Clone for Joining<L, R, F> {
    fn clone(&self) -> Self {
        Joining { f: self.f.clone(), ..*self }
    }
}

impl<K, L, R, O, F> CoProcess<K, L, R> for Joining<L, R, F>
where
    K: Key,
    L: Exchange,
    R: Exchange,
    O: Data,
    F: Fn(&K, Option<&L>, Option<&R>) -> Option<O> + Clone + Send + Sync + 'static,
{
    type Out = O;

    fn open(&mut self, states: &mut States<'_, K>) {
        self.lefts = states.map("left");
        self.rights = states.map("right");
    }

    fn left(&mut self, value: L, cx: &mut Context<'_, K, O>) {
        let f = &self.f;
        let holds = matches!(self.outer, Outer::Left | Outer::Both);
        meet(value, self.interval, (&self.lefts, &self.rights), holds, |k, l, r| f(k, Some(l), Some(r)), cx);
    }

    fn right(&mut self, value: R, cx: &mut Context<'_, K, O>) {
        let f = &self.f;
        let holds = matches!(self.outer, Outer::Right | Outer::Both);
        let interval = self.interval.turned();
        meet(value, interval, (&self.rights, &self.lefts), holds, |k, r, l| f(k, Some(l), Some(r)), cx);
    }

    fn timer(&mut self, timer: Timer, cx: &mut Context<'_, K, O>) {
        let f = &self.f;
        let (left, right) = (self.interval, self.interval.turned());
        let tells = matches!(self.outer, Outer::Left | Outer::Both);
        let_go(&self.lefts, left, timer.time, tells, |key, value| f(key, Some(value), None), cx);
        let tells = matches!(self.outer, Outer::Right | Outer::Both);
        let_go(&self.rights, right, timer.time, tells, |key, value| f(key, None, Some(value)), cx);
    }
}

/// A record meets its partners on the other side and joins its own.
fn meet<K: Key, T: Exchange, P: Exchange, O: Data>(
    value: T,
    interval: Interval,
    (own, others): (&Side<T>, &Side<P>),
    holds: bool,
    pair: impl Fn(&K, &T, &P) -> Option<O>,
    cx: &mut Context<'_, K, O>,
) {
    if cx.stamp().timestamp < cx.stamp().watermark {
        return cx.count("late_dropped", 1);
    }
    let time = cx.timestamp();
    let (from, to) = interval.around(time);
    let (mut pairs, mut met) = (Vec::new(), Vec::new());
    // Where the bounds are crossed there is nothing, and not even a range.
    let partners = (from <= to).then(|| others.range(cx, (from, 0)..=(to, u64::MAX)));
    for (at, (partner, has_met)) in partners.into_iter().flatten() {
        if let Some(result) = pair(cx.key(), &value, partner) {
            pairs.push((result, time.max(at.0)));
            if !has_met {
                met.push(*at);
            }
        }
    }
    for at in met {
        others.update(
            cx,
            at,
            || unreachable!("the partner was there a moment ago"),
            |partner| partner.1 = true,
        );
    }
    let alone = pairs.is_empty();
    pairs.into_iter().for_each(|(result, at)| cx.emit_at(result, at));
    let number = own.range(cx, (time, 0)..=(time, u64::MAX)).next_back().map_or(0, |(last, _)| last.1 + 1);
    own.insert(cx, (time, number), (value, !alone));
    if holds {
        cx.hold(time);
    }
    cx.register_timer(interval.last(time));
}

/// Forgets the records that no partner can come for any more, and tells of those that have met no one.
fn let_go<K: Key, T: Exchange, O: Data>(
    side: &Side<T>,
    interval: Interval,
    now: EventTime,
    tells: bool,
    alone: impl Fn(&K, &T) -> Option<O>,
    cx: &mut Context<'_, K, O>,
) {
    let over: Vec<_> = side.iter(cx).map(|(at, _)| *at).take_while(|at| interval.last(at.0) <= now).collect();
    for at in over {
        let Some((value, met)) = side.remove(cx, &at) else { continue };
        if tells {
            let told = if met { None } else { alone(cx.key(), &value) };
            told.into_iter().for_each(|result| cx.emit_on_time(result, at.0));
            cx.release(at.0);
        }
    }
}
