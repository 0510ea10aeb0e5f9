//! Comparisons against a plain simulation, one record after the other, and reports that are what they should
//! be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Strategy as _;

use super::tally::{Place, Tally};
use super::{Comparison, Event, Latency, Policy, Recording, Report, Row, Rule, Strategy, Traffic, Windows};
use crate::config::Options;
use crate::time::{Epochs, EventTime, LatenessQuantile, WatermarkGenerator};

fn read<T: std::str::FromStr<Err = crate::Error>>(list: &str) -> Vec<T> {
    list.split(',').map(|text| text.parse().unwrap()).collect()
}

const STRATEGIES: &str =
    "monotone,bounded:7ms,punctuated:5,percentile:80,perfect,monotone+idle:9ms,bounded:20ms+idle:30ms";
const POLICIES: &str = "drop,side,correct,correct:12ms";

fn comparison(windows: Windows) -> Comparison {
    Comparison { windows, strategies: read(STRATEGIES), policies: read(POLICIES) }
}

/// The watermark of one split, from all its records so far, and those to come.
fn promise(rule: Rule, so_far: &[EventTime], to_come: &[EventTime]) -> EventTime {
    let newest = |times: &[EventTime]| times.iter().copied().max().unwrap_or(EventTime::MIN);
    match rule {
        Rule::Monotone => newest(so_far),
        Rule::Bounded { disorder } => newest(so_far).saturating_sub_unsigned(disorder),
        Rule::Punctuated { every } => newest(&so_far[..so_far.len() - so_far.len() % every as usize]),
        Rule::Percentile { percent } => {
            let mut generator = LatenessQuantile::new(percent / 100.0);
            so_far.iter().filter_map(|time| generator.on_record(&(), *time)).max().unwrap_or(EventTime::MIN)
        }
        Rule::Perfect => newest(so_far).min(to_come.iter().copied().min().unwrap_or(EventTime::MAX)),
    }
}

/// What is known of a stream that is read under one strategy and one policy.
struct Simulation<'a> {
    events: &'a [Event],
    windows: Windows,
    strategy: Strategy,
    policy: Policy,
    watermark: EventTime,
    own: Vec<EventTime>,
    heard: Vec<EventTime>,
    idle: Vec<bool>,
    contents: BTreeMap<Place, Tally>,
    /// The moments of each statement of a result.
    said: BTreeMap<Place, Vec<EventTime>>,
    late: u64,
    missing: u64,
}

impl Simulation<'_> {
    fn ends(&self, time: EventTime) -> Vec<EventTime> {
        self.windows.aligned().of_timestamp(time).iter().map(|window| window.end).collect()
    }

    /// Moves the watermark to the least of the splits that count, or to the greatest if none does, and closes
    /// windows.
    fn settle(&mut self, moment: EventTime) {
        let active = (0..self.own.len()).filter(|split| !self.idle[*split]).map(|split| self.own[split]);
        let reached = active.min().or(self.own.iter().copied().max());
        self.watermark = reached.map_or(self.watermark, |reached| reached.max(self.watermark));
        let closed = self.contents.keys().filter(|(end, _)| *end <= self.watermark);
        for place in closed.copied().collect::<Vec<_>>() {
            self.said.entry(place).or_insert_with(|| vec![moment]);
        }
    }

    /// Lets splits fall silent before `moment`, one after the other.
    fn pass(&mut self, moment: EventTime) {
        let Some(silence) = self.strategy.idle_after else { return };
        loop {
            let active = (0..self.own.len()).filter(|split| !self.idle[*split]);
            let due =
                active.map(|split| self.heard[split] + silence as i64).min().filter(|due| *due < moment);
            let Some(due) = due else { return };
            for split in 0..self.own.len() {
                self.idle[split] |= self.heard[split] + silence as i64 <= due;
            }
            self.settle(due);
        }
    }

    fn read(&mut self, number: usize) {
        let event = self.events[number];
        let split = event.split as usize;
        self.pass(event.arrival);
        self.heard[split] = event.arrival;
        if std::mem::take(&mut self.idle[split]) {
            self.own[split] = self.own[split].max(self.watermark);
        }
        for end in self.ends(event.event) {
            let place = (end, event.key);
            let is_late = self.own[split] >= end;
            let is_accepted = match self.policy {
                Policy::Correct { horizon } => {
                    horizon.is_none_or(|horizon| self.own[split] < end + horizon as i64)
                }
                _ => false,
            };
            self.late += u64::from(is_late);
            if is_late && !is_accepted {
                self.missing += 1;
                continue;
            }
            let tally = self.contents.entry(place).or_default();
            *tally = tally.and(Tally::of(event.value));
            if self.watermark >= end {
                assert!(is_late, "a record that is not late found its window closed");
                self.said.entry(place).or_default().push(event.arrival);
            }
        }
        let times = |events: &[Event]| {
            events
                .iter()
                .filter(|other| other.split == event.split)
                .map(|other| other.event)
                .collect::<Vec<_>>()
        };
        let promised =
            promise(self.strategy.rule, &times(&self.events[..=number]), &times(&self.events[number + 1..]));
        self.own[split] = self.own[split].max(promised);
        self.settle(event.arrival);
    }

    fn row(mut self) -> Row {
        (0..self.events.len()).for_each(|number| self.read(number));
        let mut right = BTreeMap::<Place, Tally>::new();
        for event in self.events {
            for end in self.ends(event.event) {
                let tally = right.entry((end, event.key)).or_default();
                *tally = tally.and(Tally::of(event.value));
            }
        }
        let wrong: Vec<&Place> =
            right.keys().filter(|place| right.get(place) != self.contents.get(place)).collect();
        let latency = |of: fn(&[EventTime]) -> EventTime| {
            let mut sorted: Vec<i64> =
                self.said.iter().map(|((end, _), moments)| of(moments) - end).collect();
            sorted.sort_unstable();
            // By the definition: the least value such that so many percent are not above it.
            let at = |percent: usize| {
                let is_enough = |value: &&i64| {
                    sorted.iter().filter(|other| other <= value).count() * 100 >= percent * sorted.len()
                };
                sorted.iter().find(is_enough).copied()
            };
            Latency { p50: at(50), p99: at(99), max: at(100) }
        };
        let statements: u64 = self.said.values().map(|moments| moments.len() as u64).sum();
        let at_end = (self.contents.len() - self.said.len()) as u64;
        let (is_correct, is_side) =
            (matches!(self.policy, Policy::Correct { .. }), self.policy == Policy::Side);
        let records: u64 = right.values().map(|tally| tally.count).sum();
        Row {
            strategy: self.strategy.to_string(),
            policy: self.policy.to_string(),
            emitted: statements + at_end,
            restated: statements - self.said.len() as u64,
            at_end,
            first: latency(|moments| moments[0]),
            settled: latency(|moments| moments[moments.len() - 1]),
            late: self.late,
            corrected: if is_correct { self.late - self.missing } else { 0 },
            aside: if is_side { self.missing } else { 0 },
            dropped: if is_side { 0 } else { self.missing },
            wrong_results: wrong.len() as u64,
            wrong_windows: wrong.iter().map(|(end, _)| end).collect::<BTreeSet<_>>().len() as u64,
            completeness: 1.0 - self.missing as f64 / records.max(1) as f64,
        }
    }
}

fn simulate(recording: &Recording, windows: Windows, strategy: Strategy, policy: Policy) -> Row {
    let splits = recording.splits().len();
    let simulation = Simulation {
        events: recording.events(),
        windows,
        strategy,
        policy,
        watermark: EventTime::MIN,
        own: vec![EventTime::MIN; splits],
        heard: vec![recording.events()[0].arrival; splits],
        idle: vec![false; splits],
        contents: BTreeMap::new(),
        said: BTreeMap::new(),
        late: 0,
        missing: 0,
    };
    simulation.row()
}

/// Records that come up to 60 ms after they happened, at any pace, in three splits.
fn recordings() -> impl proptest::strategy::Strategy<Value = Recording> {
    vec((0..12i64, 0..60i64, 0..4u32, 0..3u32, -9..9i64), 1..150).prop_map(|steps| {
        let mut arrival = -100;
        let events = steps.into_iter().map(|(later, delay, key, split, value)| {
            arrival += later;
            Event { number: 0, arrival, event: arrival - delay * delay / 60, value, key, split }
        });
        let names = |count: u32| (0..count).map(|n| n.to_string()).collect();
        Recording::of(events.collect(), names(4), names(3), "random".to_owned())
    })
}

fn epochs() -> impl proptest::strategy::Strategy<Value = Epochs> {
    prop_oneof![
        (1..100u64).prop_map(Epochs::records),
        Just(Epochs::when_done()),
        Just(Epochs::every(Duration::from_millis(1))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn reports_are_those_of_the_simulation(
        recording in recordings(),
        (size, slide) in (1..40u64, 1..40u64),
        is_tumbling in any::<bool>(),
        workers in 1..5usize,
        epochs in epochs(),
    ) {
        let windows = Windows { size, slide: if is_tumbling { size } else { slide } };
        let comparison = comparison(windows);
        let prepared = comparison.prepare(&recording).unwrap();
        prepared.job().run_with(Options::default().workers(workers).epochs(epochs)).unwrap();
        let report = prepared.report();
        let mut rows = report.rows.iter();
        for strategy in &comparison.strategies {
            for policy in &comparison.policies {
                let expected = simulate(&recording, windows, *strategy, *policy);
                prop_assert_eq!(rows.next(), Some(&expected));
            }
        }
        prop_assert_eq!(rows.next(), None);
        // The engine counts a record once, if it is late for all its windows: tumbling ones have one.
        if is_tumbling {
            let late: u64 = report.rows.iter().filter(|row| row.policy == "drop").map(|row| row.late).sum();
            prop_assert_eq!(prepared.job().metrics().sum("late_dropped"), late as i64);
        }
    }
}

fn traffic(disorder: &str) -> Recording {
    let disorder = disorder.split('+').map(|cause| cause.parse().unwrap()).collect();
    Traffic { events: 20_000, disorder, ..Traffic::default() }.record().unwrap()
}

fn everything() -> Comparison {
    let strategies =
        "monotone,bounded:1s,punctuated:50,percentile:99,perfect,monotone+idle:50ms,perfect+idle:1s";
    Comparison {
        windows: "5s/2s".parse().unwrap(),
        strategies: read(strategies),
        policies: read("drop,side,correct:5s"),
    }
}

#[test]
fn without_disorder_nothing_is_wrong_under_any_strategy() {
    for windows in ["1s", "5s/2s", "1s/3s"] {
        let comparison = Comparison { windows: windows.parse().unwrap(), ..everything() };
        let report = comparison.run(&traffic("none"), Options::default().workers(2)).unwrap();
        assert_eq!(report.rows.len(), 21);
        for row in &report.rows {
            let wrong = (row.late, row.wrong_results, row.wrong_windows, row.restated);
            assert_eq!((wrong, row.completeness), ((0, 0, 0, 0), 1.0), "{row:?}");
            assert_eq!(row.emitted, report.results);
        }
    }
}

#[test]
fn a_report_is_the_same_on_any_number_of_workers() {
    for disorder in ["uniform:2s", "lognormal:200ms:1+skew:1s", "pareto:50ms:1+idle:5s:5s", "bursty:5s:1s"] {
        let recording = traffic(disorder);
        let reports: Vec<Report> =
            (1..=4).map(|n| everything().run(&recording, Options::default().workers(n)).unwrap()).collect();
        assert!(reports[0].rows.iter().any(|row| row.wrong_results > 0), "{disorder} does no harm");
        for report in &reports[1..] {
            assert_eq!(report, &reports[0]);
            assert_eq!(report.json().unwrap(), reports[0].json().unwrap());
            assert_eq!((report.csv().unwrap(), report.svg()), (reports[0].csv().unwrap(), reports[0].svg()));
        }
    }
}

#[test]
fn patience_loses_less_and_corrections_lose_nothing() {
    let strategies = read("monotone,bounded:500ms,bounded:2s,bounded:8s,perfect");
    let comparison =
        Comparison { windows: "5s".parse().unwrap(), strategies, policies: read("drop,correct") };
    let report = comparison.run(&traffic("pareto:50ms:1.2"), Options::default()).unwrap();
    let (corrected, dropped): (Vec<&Row>, Vec<&Row>) =
        report.rows.iter().partition(|row| row.policy == "correct");
    assert!(dropped.windows(2).all(|two| two[0].completeness < two[1].completeness));
    assert!(dropped[..4].windows(2).all(|two| two[0].first.p50 < two[1].first.p50));
    assert!(corrected.iter().all(|row| row.wrong_results == 0 && row.completeness == 1.0));
    assert_eq!(dropped[4].late, 0);
    assert!(corrected[0].settled.p99 > corrected[0].first.p99);
}

#[test]
fn a_silent_split_holds_results_back_unless_it_may_be_idle() {
    let strategies = read("bounded:1s,bounded:1s+idle:2s");
    let comparison = Comparison { windows: "2s".parse().unwrap(), strategies, policies: read("drop") };
    let report = comparison.run(&traffic("uniform:1s+idle:5s:10s"), Options::default()).unwrap();
    let longest: Vec<i64> = report.rows.iter().map(|row| row.first.max.unwrap()).collect();
    assert!(longest[0] > 9_000 && longest[1] < 4_000, "{longest:?}");
}

/// Two splits that give a record each and then nothing for long. Who was first makes no difference to what is
/// late and what is said.
#[test]
fn it_makes_no_difference_which_split_falls_silent_first() {
    let strategies = read("monotone+idle:100ms");
    let comparison = Comparison { windows: "10ms".parse().unwrap(), strategies, policies: read("drop") };
    let report = |first: u32| {
        let event = |arrival, event, split| Event { number: 0, arrival, event, value: 1, key: 0, split };
        let spoken = [(0, 45), (1, 105)].map(|(split, time)| event(i64::from(split != first), time, split));
        let after = [event(2_000, 65, 0), event(2_000, 95, 1), event(2_001, 107, 0)];
        let events = spoken.into_iter().chain(after).collect();
        let names = |count: u32| (0..count).map(|n| n.to_string()).collect();
        Recording::of(events, names(1), names(2), "silent".into())
    };
    let rows = [0, 1].map(|first| comparison.run(&report(first), Options::default()).unwrap().rows);
    assert_eq!(
        (rows[0][0].late, rows[1][0].late),
        (2, 2),
        "both are silent, and nobody holds back what is before 105"
    );
    assert_eq!(rows[0][0].dropped, rows[1][0].dropped);
}

#[test]
fn fast_clocks_make_latencies_negative() {
    let comparison =
        Comparison { windows: "1s".parse().unwrap(), strategies: read("monotone"), policies: read("drop") };
    let events =
        (0..5_000).map(|n| Event { number: 0, arrival: n, event: n + 700, value: 1, key: 0, split: 0 });
    let recording = Recording::of(events.collect(), vec!["a".into()], vec!["a".into()], "fast".into());
    let report = comparison.run(&recording, Options::default()).unwrap();
    assert_eq!(report.rows[0].first, Latency { p50: Some(-700), p99: Some(-700), max: Some(-700) });
    assert!(report.svg().contains("−"));
}

#[test]
fn extreme_times_and_values_do_no_harm() {
    let times = [EventTime::MIN, EventTime::MAX, 0, -1, EventTime::MIN, EventTime::MAX];
    let run = |windows: &str, last: EventTime| {
        let events = times.iter().zip(times.iter().rev()).map(|(arrival, event)| Event {
            number: 0,
            arrival: *arrival,
            event: last.min(*event),
            value: i64::MAX,
            key: 0,
            split: 0,
        });
        let recording = Recording::of(events.collect(), vec!["a".into()], vec!["a".into()], "extreme".into());
        Comparison { windows: windows.parse().unwrap(), ..everything() }.run(&recording, Options::default())
    };
    for (windows, last) in [("1s", EventTime::MAX), ("5s/2s", EventTime::MAX - 10_000)] {
        roxmltree::Document::parse(&run(windows, last).unwrap().svg()).unwrap();
    }
    let twice = Tally::of(i64::MAX).and(Tally::of(i64::MAX));
    assert_eq!(twice, Tally { count: 2, sum: 2 * i128::from(i64::MAX) }, "sums do not wrap");
    // Several of these windows would end after the last time there is, which no result can tell.
    let told = run("5s/2s", EventTime::MAX).unwrap_err().to_string();
    assert!(told.contains("cannot be told apart"), "{told}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let run = |change: &dyn Fn(&mut Comparison)| {
        let mut comparison = everything();
        change(&mut comparison);
        comparison.run(&traffic("none"), Options::default()).unwrap_err().to_string()
    };
    assert!(run(&|comparison| comparison.strategies.clear()).contains("0 strategies"));
    assert!(run(&|comparison| comparison.policies.clear()).contains("0 policies"));
    assert!(run(&|comparison| comparison.policies = vec![Policy::Drop; 50]).contains("choose 1 to 100"));
    assert!(run(&|comparison| comparison.windows.slide = 0).contains("not possible"));
    assert!(run(&|comparison| comparison.windows.slide = 1).contains("more than 1000 windows"));
}

#[test]
fn the_csv_has_a_line_for_each_row() {
    let report = everything().run(&traffic("lognormal:200ms:1"), Options::default()).unwrap();
    let text = report.csv().unwrap();
    let mut lines = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = lines.headers().unwrap().iter().map(str::to_owned).collect();
    let column = |name: &str| names.iter().position(|other| other == name).unwrap();
    let read: Vec<csv::StringRecord> = lines.records().map(Result::unwrap).collect();
    assert_eq!(read.len(), report.rows.len());
    for (line, row) in read.iter().zip(&report.rows) {
        assert_eq!((&line[0], &line[1]), (row.strategy.as_str(), row.policy.as_str()));
        assert_eq!(line[column("first_p99_ms")], row.first.p99.unwrap().to_string());
        assert_eq!(line[column("wrong_results")].parse(), Ok(row.wrong_results));
        assert_eq!(line[column("completeness")].parse(), Ok(row.completeness));
    }
    let value: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(value["rows"].as_array().unwrap().len(), report.rows.len());
    assert_eq!(value["rows"][2]["settled"]["max"].as_i64(), report.rows[2].settled.max);
}

#[test]
fn the_plot_is_well_formed_and_shows_every_row() {
    let mut report = everything().run(&traffic("lognormal:200ms:1"), Options::default()).unwrap();
    report.recording = "a <b> & \"c\" \u{1}".to_owned();
    let svg = report.svg();
    let plot = roxmltree::Document::parse(&svg).unwrap();
    let root = plot.root_element();
    let size: Vec<f64> = root.attribute("viewBox").unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let named = |name: &'static str| plot.descendants().filter(move |node| node.has_tag_name(name));
    let marks: Vec<_> =
        named("g").map(|mark| mark.first_element_child().unwrap().text().unwrap().to_owned()).collect();
    assert_eq!(marks.len(), report.rows.len());
    for row in &report.rows {
        assert!(
            marks.iter().any(|mark| mark.starts_with(&format!("{}, {}: median ", row.strategy, row.policy)))
        );
    }
    let words: Vec<&str> = named("text").filter_map(|node| node.text()).collect();
    let is_shown = |word: &str| words.iter().any(|text| text.contains(word));
    for strategy in [
        "monotone",
        "bounded:1s",
        "perfect+idle:1s",
        "drop",
        "side",
        "correct:5s",
        "a <b> & \"c\"",
        "100 %",
        "1 s",
    ] {
        assert!(is_shown(strategy), "{strategy} is not in {words:?}");
    }
    for node in named("circle").chain(named("text")) {
        let at =
            |names: [&str; 2]| names.into_iter().find_map(|name| node.attribute(name)?.parse::<f64>().ok());
        let (Some(x), Some(y)) = (at(["cx", "x"]), at(["cy", "y"])) else { continue };
        assert!((0.0..=size[2]).contains(&x) && (0.0..=size[3]).contains(&y), "{node:?} is outside");
    }
}

#[test]
fn a_plot_of_nothing_is_a_plot() {
    let strategies = read("bounded:1h");
    let comparison = Comparison { windows: "1s".parse().unwrap(), strategies, policies: read("drop") };
    let report = comparison.run(&traffic("none"), Options::default()).unwrap();
    assert_eq!((report.rows[0].at_end, report.rows[0].first.p50), (report.results, None));
    let svg = report.svg();
    assert!(roxmltree::Document::parse(&svg).is_ok() && svg.contains("nothing before the end"));
}
