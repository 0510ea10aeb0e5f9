//! What a user can do wrong with state, and what comes of it.

use highwater::process::{Context, List, Map, Process, States, Value};
use highwater::stream::Job;

/// Uses handles without registering them, or registers two of one name.
#[derive(Clone, Default)]
struct Careless {
    twice: bool,
    value: Value<i64>,
    list: List<i64>,
    map: Map<u8, i64>,
}

impl Process<u8, i64> for Careless {
    type Out = i64;

    fn open(&mut self, states: &mut States<'_, u8>) {
        if self.twice {
            self.value = states.value("value");
            self.list = states.list("value");
            self.map = states.map("map");
        }
    }

    fn process(&mut self, value: i64, cx: &mut Context<'_, u8, i64>) {
        self.list.push(cx, value);
        self.map.insert(cx, 1, value);
        self.value.set(cx, value);
        assert!(
            self.twice || (self.value.get(cx).is_none() && self.list.is_empty(cx) && self.map.is_empty(cx))
        );
    }
}

#[test]
fn a_handle_must_be_registered_and_names_be_different() {
    for (twice, word) in [(false, "not registered"), (true, "\"value\"")] {
        for workers in [1, 3] {
            let job = Job::new();
            let function = Careless { twice, ..Careless::default() };
            job.collection([1, 2, 3]).key_by(|n| *n as u8).map_values(i64::from).process(function).discard();
            let options = highwater::config::Options::default().workers(workers);
            let error = job.run_with(options).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.exit_code(), 64);
        }
    }
}
