//! What a window contains and what is late depend on the input alone: not on workers, epochs, who reads what,
//! or the timing.

use std::collections::BTreeMap;
use std::time::Duration;

use highwater::config::{Options, Seals};
use highwater::connector::Collection;
use highwater::stream::Job;
use highwater::time::{Epochs, EventTime, WatermarkGenerator, Watermarks};
use highwater::window::{Aligned, Sliding, Tumbling};
use proptest::collection::vec;
use proptest::prelude::*;

/// A key, a value and an event time.
type Event = (u8, i64, i64);

type Results = (BTreeMap<(i64, u8), i64>, Vec<Event>);

#[derive(Clone, Copy, Debug)]
enum Rule {
    Bounded(u64),
    Punctuated,
    Custom,
}

/// Each third record tells how far the split had come at the time.
#[derive(Default)]
struct EveryThird {
    seen: u64,
    greatest: Option<EventTime>,
}

impl WatermarkGenerator<Event> for EveryThird {
    fn on_record(&mut self, _: &Event, timestamp: EventTime) -> Option<EventTime> {
        self.seen += 1;
        self.greatest = self.greatest.max(Some(timestamp));
        self.greatest.filter(|_| self.seen.is_multiple_of(3)).map(|greatest| greatest - 2)
    }
}

/// Records with such values promise that nothing comes that is older than a bit less than themselves.
fn punctuation(event: &Event, timestamp: EventTime) -> Option<EventTime> {
    (event.1 % 5 == 0).then_some(timestamp - 1)
}

impl Rule {
    fn watermarks(self) -> Watermarks<Event, fn(&Event) -> EventTime> {
        let time: fn(&Event) -> EventTime = |event| event.2;
        match self {
            Rule::Bounded(disorder) => Watermarks::bounded(Duration::from_millis(disorder), time),
            Rule::Punctuated => Watermarks::punctuated(time, punctuation),
            Rule::Custom => Watermarks::custom(time, EveryThird::default),
        }
    }

    /// What the rule says after each record of a split.
    fn promises(self) -> Box<dyn FnMut(&Event) -> Option<EventTime>> {
        match self {
            Rule::Bounded(disorder) => Box::new(move |event| Some(event.2 - disorder as i64)),
            Rule::Punctuated => Box::new(|event| punctuation(event, event.2)),
            Rule::Custom => {
                let mut generator = EveryThird::default();
                Box::new(move |event| generator.on_record(event, event.2))
            }
        }
    }
}

/// Straight from the definition.
fn oracle(splits: &[Vec<Event>], windows: Aligned, rule: Rule) -> Results {
    let (mut sums, mut late) = (BTreeMap::new(), Vec::new());
    for split in splits {
        let (mut watermark, mut promises) = (i64::MIN, rule.promises());
        for event in split {
            let all = windows.of_timestamp(event.2);
            let open: Vec<_> = all.iter().filter(|window| window.end > watermark).collect();
            open.iter().for_each(|window| *sums.entry((window.end, event.0)).or_default() += event.1);
            if open.is_empty() && !all.is_empty() {
                late.push(*event);
            }
            watermark = promises(event).map_or(watermark, |promise| promise.max(watermark));
        }
    }
    late.sort();
    (sums, late)
}

/// One way to run the job.
#[derive(Clone, Debug)]
struct Way {
    workers: usize,
    epochs: Epochs,
    seals: Seals,
    /// Before which split each split is put, and how many empty ones come first: that decides who reads what.
    order: Vec<usize>,
    padding: usize,
    /// One in so many records takes a nap on the way, of so many microseconds.
    nap: (u64, u64),
}

fn run(splits: &[Vec<Event>], windows: Aligned, rule: Rule, way: &Way) -> Results {
    let mut dealt = vec![Vec::new(); way.padding];
    for (number, split) in splits.iter().enumerate() {
        let place = way.order.get(number).map_or(0, |order| order % (dealt.len() + 1));
        dealt.insert(place, split.clone());
    }
    let job = Job::new();
    let (one_in, micros) = way.nap;
    let mut count = 0;
    let events = job.source(Collection::splits(dealt), rule.watermarks()).map(move |event: Event| {
        count += 1;
        if count % one_in == 0 {
            std::thread::sleep(Duration::from_micros(micros));
        }
        event
    });
    // The chain is walked once for each branch, so the results and the late records are timed apart.
    let windowed = events.key_by(|event| event.0).window(windows);
    let late = windowed.late().map(|(_, event)| event).collect();
    let sums = windowed.sum(|event| event.1).collect();
    job.run_with(Options::default().workers(way.workers).epochs(way.epochs).seals(way.seals)).unwrap();
    let mut results = BTreeMap::new();
    for result in sums.values() {
        let again = results.insert((result.window.end, result.key), result.value);
        assert_eq!(again, None, "a window fired twice");
    }
    assert_eq!(job.metrics().sum("late_dropped"), late.values().len() as i64);
    (results, late.sorted())
}

fn ways() -> impl Strategy<Value = Vec<Way>> {
    let epochs = prop_oneof![
        (1..200u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        (1..4u64).prop_map(|ms| Epochs::every(Duration::from_millis(ms))),
    ];
    let seals = prop_oneof![Just(Seals::EachEpoch), Just(Seals::OnDemand)];
    let way = (1..5usize, epochs, seals, vec(0..8usize, 5), 0..4usize, (20..200u64, 20..400u64));
    let way = way.prop_map(|(workers, epochs, seals, order, padding, nap)| Way {
        workers,
        epochs,
        seals,
        order,
        padding,
        nap,
    });
    vec(way, 3)
}

fn windows() -> impl Strategy<Value = Aligned> {
    let millis = Duration::from_millis;
    prop_oneof![
        (1..30u64, 0..9u64).prop_map(move |(size, offset)| Tumbling::of(millis(size)).offset(millis(offset))),
        // Gaps between windows.
        (1..10u64, 1..10u64).prop_map(move |(size, gap)| Sliding::of(millis(size), millis(size + gap))),
        (5..40u64, 1..12u64).prop_map(move |(size, slide)| Sliding::of(millis(size), millis(slide))),
    ]
}

fn splits() -> impl Strategy<Value = Vec<Vec<Event>>> {
    let split = vec((0..5u8, -20..20i64, -40..40i64), 0..120).prop_map(|mut events| {
        // Mostly ascending, with much disorder.
        events.iter_mut().enumerate().for_each(|(i, event)| event.2 = event.2 / 3 + i as i64);
        events
    });
    vec(split, 1..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn results_and_lateness_depend_on_the_input_alone(
        splits in splits(),
        windows in windows(),
        rule in prop_oneof![(0..12u64).prop_map(Rule::Bounded), Just(Rule::Punctuated), Just(Rule::Custom)],
        ways in ways(),
    ) {
        let expected = oracle(&splits, windows, rule);
        for way in ways {
            let got = run(&splits, windows, rule, &way);
            prop_assert_eq!(&got, &expected, "{:?}", way);
        }
    }
}
