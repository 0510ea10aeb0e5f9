//! The logic alone: what it keeps, and that what it seals is all there is.

use std::cell::RefCell;

use super::*;
use crate::cep::Pattern;
use crate::stream::Outlet;
use proptest::prelude::*;
use std::time::Duration;

/// A key and a value; keys of the same number have the same worker.
type Event = (u8, u32);

/// An output that is kept, by whoever holds the other end.
struct Kept(Rc<RefCell<Vec<Match<u8, Event>>>>);

impl Outlet<Match<u8, Event>> for Kept {
    fn walk(&mut self, time: Time, batch: &mut Vec<Record<Match<u8, Event>>>, _: bool) {
        for record in batch.drain(..) {
            assert!(record.stamp.timestamp >= time.event, "{record:?} cannot be sent at {time:?}");
            assert_eq!(record.stamp.timestamp, record.value.timestamp);
            self.0.borrow_mut().push(record.value);
        }
    }

    fn flush(&mut self) {}

    fn take_sent(&mut self) -> usize {
        0
    }
}

/// A detector and its outputs: matches and time-outs.
struct Driven {
    detector: Detector<u8, Event>,
    out: Outlets<Match<u8, Event>>,
    outputs: [Rc<RefCell<Vec<Match<u8, Event>>>>; 2],
    pattern: Pattern<Event>,
}

impl Driven {
    fn new(pattern: &Pattern<Event>) -> Driven {
        let outputs = [Rc::default(), Rc::default()];
        let [out, timed_out] =
            outputs.each_ref().map(|output| Outlets::to(vec![Box::new(Kept(Rc::clone(output)))]));
        let operator = OperatorInfo::new(0, 0, Rc::from([0]));
        let automaton = Arc::new(pattern.compile().unwrap());
        Driven {
            detector: Detector::new(automaton, timed_out, operator),
            out,
            outputs,
            pattern: pattern.clone(),
        }
    }

    /// Brings records that the split was at `watermark` before.
    fn bring(&mut self, epoch: u64, watermark: EventTime, events: &[(EventTime, Event)]) {
        let record = |(timestamp, event): &(EventTime, Event)| {
            Record::new((event.0, *event), Stamp { timestamp: *timestamp, watermark })
        };
        let mut batch = events.iter().map(record).collect();
        self.detector.batch(Time::new(epoch, watermark), &mut batch, &mut self.out);
    }

    fn advance(&mut self, epoch: u64, watermark: EventTime) {
        let from = Time::new(epoch, self.detector.owes().map_or(watermark, |owed| owed.min(watermark)));
        self.detector.advance(watermark, from, &mut self.out);
        self.detector.flush();
        self.out.flush();
        assert!(self.detector.owes().is_none_or(|owed| owed >= watermark), "what was due is still owed");
    }

    fn close(&mut self, epoch: u64) {
        self.detector.close(epoch, None, &mut self.out);
        self.detector.seal(epoch);
    }

    fn take(&mut self) -> [Vec<Match<u8, Event>>; 2] {
        self.outputs.each_ref().map(|output| output.take())
    }

    /// A detector that knows what this one's arrangements say, and how far records have been taken.
    fn restored(&self) -> Driven {
        let mut restored = Driven::new(&self.pattern);
        let taken = self.detector.taken.get();
        restored.detector.taken.set(taken);
        self.detector.sealed.scan(
            |(at, ..)| *at < taken,
            |(at, key, value), count| {
                let records = restored.detector.open.entry(*at).or_default();
                records.extend((0..*count).map(|_| (key.key, *value)));
                ControlFlow::Continue(())
            },
        );
        for key in 0..=u8::MAX {
            if let Some(Some(partials)) = self.detector.partials.get(&Hashed::new(key)) {
                let entry = Entry { partials, deadline: None, touched: false, changed: false, sealed: false };
                let slot = restored.detector.keys.insert(hash64(&key), key, entry);
                restored.detector.touch(slot);
            }
        }
        restored
    }
}

fn pair() -> Pattern<Event> {
    Pattern::begin("even", |event: &Event| event.1.is_multiple_of(2))
        .followed_by("odd", |event| event.1 % 2 == 1)
        .within(Duration::from_millis(10))
}

#[test]
fn a_deadline_is_acted_on_when_the_watermark_reaches_it() {
    let mut driven = Driven::new(&pair());
    driven.bring(0, 0, &[(5, (1, 2)), (7, (2, 4))]);
    assert_eq!(driven.detector.owes(), Some(5));
    driven.advance(0, 6);
    assert_eq!(driven.detector.owes(), Some(7), "a record comes before a deadline");
    driven.close(0);
    driven.advance(1, 14);
    assert_eq!(driven.detector.owes(), Some(15));
    assert_eq!(driven.take().map(|output| output.len()), [0, 0]);
    driven.advance(1, 15);
    let [matches, timed_out] = driven.take();
    assert_eq!((matches.len(), timed_out.len()), (0, 1));
    assert_eq!((timed_out[0].key, timed_out[0].timestamp), (1, 15));
    driven.advance(7, EventTime::MAX);
    assert_eq!(driven.take()[1][0].timestamp, 17);
    assert_eq!(driven.detector.owes(), None);
}

#[test]
fn times_at_the_limits_are_taken() {
    let mut driven = Driven::new(&pair());
    driven.bring(
        0,
        EventTime::MIN,
        &[(EventTime::MAX, (1, 2)), (EventTime::MIN, (1, 4)), (EventTime::MAX, (1, 5))],
    );
    driven.advance(0, EventTime::MAX);
    let [matches, timed_out] = driven.take();
    assert_eq!((matches.len(), timed_out.len()), (1, 1));
    assert_eq!(driven.detector.owes(), None);
}

#[test]
fn what_is_kept_is_bounded_by_what_is_within() {
    // Each record begins a partial match, in one of a hundred keys, and none is ever completed: in any 50 ms there are 50.
    let never = Pattern::begin("any", |_: &Event| true)
        .followed_by_any("again", |_| true)
        .one_or_more()
        .followed_by("never", |event| event.1 == u32::MAX)
        .within(Duration::from_millis(50));
    let mut driven = Driven::new(&never);
    let mut timed_out = 0;
    for at in 0..20_000i64 {
        let (epoch, key) = (at as u64 / 10, (at * 7 % 100) as u8);
        driven.bring(epoch, at - 25, &[(at, (key, at as u32))]);
        driven.advance(epoch, at - 24);
        if at % 10 == 9 {
            driven.close(epoch);
            timed_out += driven.take()[1].len();
            let Detector { keys, deadlines, sealed, partials, open, touched, .. } = &driven.detector;
            assert!(keys.len() <= 60 && deadlines.len() <= 60, "{} keys at {at}", keys.len());
            assert!(open.is_empty() && touched.is_empty());
            let held = keys.iter().map(|(_, entry)| entry.partials.held().0).sum::<usize>();
            assert!(held <= 60, "{held} takes are held at {at}");
            assert!(partials.len() <= 1_000, "{} rows of partial matches at {at}", partials.len());
            assert!(sealed.len() <= 1_000, "{} rows of waiting records at {at}", sealed.len());
        }
    }
    assert!(timed_out > 19_000, "{timed_out} timed out");
}

#[test]
fn the_takes_of_a_busy_key_are_bounded_by_its_partial_matches() {
    let rising = Pattern::begin("low", |n: &i64| n % 10 == 0)
        .followed_by("mid", |n| n % 10 == 5)
        .one_or_more()
        .followed_by("high", |n| *n < 0)
        .within(Duration::from_millis(100));
    let automaton = rising.compile().unwrap();
    let (mut partials, mut outcome) = (Partials::default(), Outcome::default());
    for n in 0..100_000 {
        automaton.advance(&mut partials, n, n, &mut outcome);
        outcome.timed_out.clear();
        let (links, events) = partials.held();
        // A hundred milliseconds have 10 of the one and 10 of the other.
        assert!(
            partials.len() <= 120 && links <= 300 && events <= 300,
            "{links} takes, {events} events at {n}"
        );
    }
    assert!(outcome.matches.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A detector that is thrown away after an epoch, and built anew from what was sealed, goes on as if nothing had happened.
    #[test]
    fn what_is_sealed_is_the_whole_state(
        steps in proptest::collection::vec((0..4u8, 0..12u32, 0..20i64, 0..6i64), 1..80),
        (per_epoch, restores) in (1..9usize, 1..5usize),
        which in 0..3usize,
    ) {
        let pattern = match which {
            0 => pair(),
            1 => pair().not_followed_by("zero", |event| event.1 == 0).skip_past_last(),
            _ => Pattern::begin("even", |event: &Event| event.1.is_multiple_of(2))
                .one_or_more()
                .followed_by("three", |event| event.1 % 3 == 0)
                .iterative(|event, earlier| earlier.of("even").iter().all(|even| even.1 <= event.1))
                .within(Duration::from_millis(15))
                .skip_to_next(),
        };
        let (mut whole, mut broken) = (Driven::new(&pattern), Driven::new(&pattern));
        let mut now = 0;
        for (epoch, steps) in steps.chunks(per_epoch).enumerate() {
            for (key, value, ahead, pace) in steps {
                for driven in [&mut whole, &mut broken] {
                    driven.bring(epoch as u64, now, &[(now + ahead, (*key, *value))]);
                    driven.advance(epoch as u64, now + pace);
                }
                now += pace;
                prop_assert_eq!(whole.take(), broken.take());
                prop_assert_eq!(whole.detector.owes(), broken.detector.owes());
            }
            whole.close(epoch as u64);
            broken.close(epoch as u64);
            if epoch % restores == 0 {
                broken = broken.restored();
            }
        }
        whole.advance(u64::MAX, EventTime::MAX);
        broken.advance(u64::MAX, EventTime::MAX);
        prop_assert_eq!(whole.take(), broken.take());
    }
}
