//! q3: persons and auctions that pass the filters meet by the person's id, whichever comes first.

use highwater::data::Text;
use highwater::nexmark::rows::Q3;
use highwater::nexmark::{Event, File};
use serde::{Deserialize, Serialize};

use super::{Map, Outcome, Reduce, Size, State, execute, forget};

/// One side of the join.
#[derive(Serialize, Deserialize)]
enum Side {
    Person { id: u64, home: Home },
    Auction { seller: u64, id: u64 },
}

#[derive(Clone, Serialize, Deserialize)]
struct Home {
    name: Text,
    city: Text,
    state: Text,
}

impl Home {
    fn row(&self, id: u64) -> Q3 {
        let Home { name, city, state } = self.clone();
        Q3 { name, city, state, id }
    }
}

/// The query keeps all persons and all auctions that still wait for theirs, without end.
#[derive(Default)]
struct Join {
    persons: Map<u64, Home>,
    waiting: Map<u64, Vec<u64>>,
}

impl State for Join {
    type In = Side;
    type Out = Q3;

    fn push(&mut self, side: Side, mut out: impl FnMut(Q3)) {
        match side {
            Side::Person { id, home } => {
                for auction in self.waiting.remove(&id).unwrap_or_default() {
                    out(home.row(auction));
                }
                self.persons.insert(id, home);
            }
            Side::Auction { seller, id } => match self.persons.get(&seller) {
                Some(home) => out(home.row(id)),
                None => self.waiting.entry(seller).or_default().push(id),
            },
        }
    }
}

/// What the source does.
struct Project;

impl Reduce for Project {
    type Out = Side;

    #[inline(always)]
    fn event(&mut self, event: Event, mut out: impl FnMut(Side)) {
        match event {
            Event::Person(p) if [&b"or"[..], b"id", b"ca"].contains(&p.state.as_bytes()) => {
                let home = Home { name: p.name, city: p.city, state: p.state };
                out(Side::Person { id: p.id, home })
            }
            Event::Auction(a) if a.category == 10 => out(Side::Auction { seller: a.seller, id: a.id }),
            _ => forget(event),
        }
    }
}

/// Runs the query.
pub fn run(input: &'static File, events: u64, workers: usize, epoch_events: u64) -> Outcome {
    execute(input, Size { events, workers, epoch_events }, |scope, job| {
        let sides = job.source(scope, Project);
        let person = |side: &Side| match side {
            Side::Person { id, .. } => *id,
            Side::Auction { seller, .. } => *seller,
        };
        job.sink(job.keyed(sides, person, Join::default()));
    })
}
