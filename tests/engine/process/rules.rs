//! Rules reach all workers, and a function without keys sees every record once.

use std::collections::BTreeSet;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::process::{BroadcastProcess, Context, SideOutput, States, Timer, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

/// Counts the records of each key that a rule names, and at the end tells the count with all rules.
#[derive(Clone, Default)]
struct Census(Value<u64>);

type Told = (u64, u64, BTreeSet<u64>);

impl BroadcastProcess<u64, i64, u64> for Census {
    type Out = Told;
    type Rules = BTreeSet<u64>;

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("count");
    }

    fn process(&mut self, _: i64, rules: &BTreeSet<u64>, cx: &mut Context<'_, u64, Told>) {
        assert!(rules.iter().all(|rule| rule % 2 == 0));
        self.0.update(cx, || 0, |count| *count += 1);
        cx.register_timer(i64::MAX - 1);
    }

    fn rule(&mut self, rule: u64, rules: &mut BTreeSet<u64>) {
        rules.insert(rule);
    }

    fn timer(&mut self, _: Timer, rules: &BTreeSet<u64>, cx: &mut Context<'_, u64, Told>) {
        let told = (*cx.key(), self.0.get(cx).copied().unwrap_or(0), rules.clone());
        cx.emit(told);
    }
}

#[test]
fn every_worker_hears_every_rule_once_and_in_time() {
    for workers in 1..5 {
        let job = Job::new();
        let records: Vec<Vec<u64>> = (0..3).map(|split| (0..100).map(|n| 3 * n + split).collect()).collect();
        let rules: Vec<Vec<u64>> = (0..2).map(|split| (0..20).map(|n| 4 * n + 2 * split).collect()).collect();
        let records = job.source(Collection::splits(records), Watermarks::monotone(|n: &u64| *n as i64));
        let rules = job.source(Collection::splits(rules), Watermarks::none());
        let keyed = records.key_by(|n| n % 10).map_values(|n| n as i64);
        let told = keyed.connect_broadcast(rules).process(Census::default()).collect();
        job.run_with(Options::default().workers(workers).epochs(Epochs::records(7))).unwrap();
        let all: BTreeSet<u64> = (0..40).map(|n| 2 * n).collect();
        assert_eq!(told.sorted(), (0..10).map(|key| (key, 30, all.clone())).collect::<Vec<_>>());
    }
}

#[test]
fn sides_carry_what_they_are_given_however_many_read_them() {
    for workers in [1, 3] {
        let job = Job::new();
        let (even, unread) = (SideOutput::<u64>::new(), SideOutput::<u64>::new());
        let numbers = job.source(Collection::splits([0..50, 50..90]), Watermarks::none());
        let odd = numbers.process(move |n: u64, cx| match n % 2 {
            0 => cx.side(&even, n),
            _ => {
                cx.side(&unread, n);
                cx.count("odd", 1);
                cx.emit(n);
            }
        });
        let (evens, again) = (odd.side(&even).collect(), odd.side(&even).map(|n| n + 1).collect());
        let odd = odd.collect();
        let summary = job.run_with(Options::default().workers(workers).epochs(Epochs::records(9))).unwrap();
        assert_eq!(odd.sorted(), (0..90).filter(|n| n % 2 == 1).collect::<Vec<_>>());
        assert_eq!(evens.sorted(), (0..90).filter(|n| n % 2 == 0).collect::<Vec<_>>());
        assert_eq!(again.sorted(), (0..90).filter(|n| n % 2 == 1).collect::<Vec<_>>());
        assert_eq!(summary.metrics.sum("odd"), 45);
    }
}
