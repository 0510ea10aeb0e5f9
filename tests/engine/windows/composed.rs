//! Triggers made of triggers: each part has a state of its own, also in snapshots.

use highwater::harness::Driver;
use highwater::process::{States, Value};
use highwater::stream::Job;
use highwater::window::{
    CountTrigger, DeltaTrigger, Either, EveryEventTime, EveryProcessingTime, Fire, Global, OnEventTime,
    OnProcessingTime, Purging, Scope, Trigger, TriggerContext, Tumbling,
};
use std::time::Duration;

/// Counts what comes, by a state of the same name as others'.
#[derive(Clone)]
struct Every(u64, Value<u64>);

impl Trigger<u8, i64> for Every {
    fn open(&mut self, states: &mut States<'_, Scope<u8>>) {
        self.1 = states.value("count");
    }

    fn on_element(&mut self, _: &i64, cx: &mut TriggerContext<'_, u8>) -> Fire {
        let count = self.1.update(
            cx,
            || 0,
            |count| {
                *count += 1;
                *count
            },
        );
        if count.is_some_and(|count| count.is_multiple_of(self.0)) { Fire::Fire } else { Fire::Continue }
    }
}

/// Pushes numbers, with a restart before one of them, and tells after which of them there was a result.
fn fires<G: Trigger<u8, i64>>(trigger: G, restart: Option<i64>) -> Vec<i64> {
    let mut driver = Driver::new(|values| {
        let windows = values.key_by(|_: &i64| 1u8).window(Global).trigger(trigger);
        windows.count().uid("windows").map(|count| count.value)
    })
    .unwrap();
    let mut fired = Vec::new();
    for number in 1..=30 {
        if restart == Some(number) {
            driver.restart().unwrap();
        }
        driver.push(number, number).unwrap();
        if !driver.take_output().is_empty() {
            fired.push(number);
        }
    }
    fired
}

fn multiples(of: &[i64]) -> Vec<i64> {
    (1..=30).filter(|number| of.iter().any(|of| number % of == 0)).collect()
}

#[test]
fn parts_of_the_same_kind_count_for_themselves() {
    let count = CountTrigger::of;
    for restart in [None, Some(2), Some(5), Some(8), Some(29)] {
        assert_eq!(fires(Either(count(3), count(5)), restart), multiples(&[3, 5]));
        assert_eq!(fires(Either(count(5), count(3)), restart), multiples(&[3, 5]));
        let nested = Either(Either(count(4), count(7)), Either(count(11), Either(count(13), count(9))));
        assert_eq!(fires(nested, restart), multiples(&[4, 7, 9, 11, 13]));
        let own = Either(Every(4, Value::default()), Either(count(9), Every(7, Value::default())));
        assert_eq!(fires(own, restart), multiples(&[4, 7, 9]));
        let purging = Purging(Either(Purging(count(6)), Either(count(10), count(14))));
        assert_eq!(fires(purging, restart), multiples(&[6, 10, 14]));
        let far =
            |threshold: f64| DeltaTrigger::of(threshold, |last: &i64, value: &i64| (value - last) as f64);
        assert_eq!(fires(Either(far(5.5), far(9.5)), restart), [7, 11, 13, 19, 21, 25]);
    }
}

#[test]
fn two_of_each_of_the_triggers_that_come_along_can_be_combined() {
    fn runs<G: Trigger<u8, i64> + Clone>(trigger: G) {
        let job = Job::new();
        let windows =
            job.collection([1, 2, 3]).key_by(|_| 1u8).window(Tumbling::of(Duration::from_millis(5)));
        windows.trigger(Either(trigger.clone(), trigger)).count().discard();
        job.run().unwrap();
    }
    let second = Duration::from_secs(1);
    runs(OnProcessingTime::default());
    runs(Either(EveryEventTime::of(second).only_news(), OnEventTime::default()));
    runs(EveryProcessingTime::of(second).only_news());
}

/// Registers two states of one name, by mistake.
#[derive(Clone)]
struct Careless(Value<u64>, Value<u64>);

impl Trigger<u8, i64> for Careless {
    fn open(&mut self, states: &mut States<'_, Scope<u8>>) {
        (self.0, self.1) = (states.value("count"), states.value("count"));
    }

    fn on_element(&mut self, _: &i64, _: &mut TriggerContext<'_, u8>) -> Fire {
        Fire::Continue
    }
}

#[test]
fn two_states_of_one_name_in_one_part_are_a_mistake_still() {
    let job = Job::new();
    let windows = job.collection([1i64]).key_by(|_| 1u8).window(Global);
    windows
        .trigger(Either(CountTrigger::of(2), Careless(Value::default(), Value::default())))
        .count()
        .discard();
    let error = job.run().unwrap_err();
    assert!(error.to_string().contains("\"count\""), "{error}");
}
