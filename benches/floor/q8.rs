//! q8: persons and sellers of the same ten seconds meet by the person's id, and leave when the
//! watermark has passed their window.

use std::collections::BTreeMap;

use highwater::data::Text;
use highwater::nexmark::rows::Q8;
use highwater::nexmark::{Auction, Event, File};
use serde::{Deserialize, Serialize};

use super::{Map, Outcome, Reduce, Size, State, execute, forget};

const WINDOW: i64 = 10_000;

/// Who did something in a window: registered, if there is a name, or sold.
#[derive(Serialize, Deserialize)]
struct Act {
    window: i64,
    person: u64,
    name: Option<Text>,
}

#[derive(Default)]
struct Seen {
    names: Vec<Text>,
    sells: bool,
}

#[derive(Default)]
struct Windows(BTreeMap<i64, Map<u64, Seen>>);

impl State for Windows {
    type In = Act;
    type Out = Q8;

    fn push(&mut self, Act { window, person, name }: Act, mut out: impl FnMut(Q8)) {
        let seen = self.0.entry(window).or_default().entry(person).or_default();
        let row = |name: &Text| Q8 { id: person, name: name.clone(), start: window * WINDOW };
        match name {
            Some(name) if seen.names.contains(&name) => (),
            Some(name) => {
                if seen.sells {
                    out(row(&name));
                }
                seen.names.push(name);
            }
            None if seen.sells => (),
            None => {
                seen.sells = true;
                seen.names.iter().map(row).for_each(out);
            }
        }
    }

    fn advance(&mut self, watermark: i64, _: impl FnMut(Q8)) {
        while let Some(first) = self.0.first_entry()
            && (first.key() + 1) * WINDOW <= watermark
        {
            first.remove();
        }
    }
}

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Act;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Act)) {
        let window = |time: i64| time.div_euclid(WINDOW);
        match event {
            Event::Person(p) => out(Act { window: window(p.date_time), person: p.id, name: Some(p.name) }),
            Event::Auction(Auction { seller: person, date_time, .. }) => {
                out(Act { window: window(date_time), person, name: None });
                forget(event);
            }
            Event::Bid(_) => forget(event),
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let acts = job.source(scope, Project);
        job.sink(job.keyed(acts, |act| act.person, Windows::default()));
    })
}
