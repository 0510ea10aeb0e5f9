//! q8, monitor new users: who has registered and opened an auction within the same ten seconds?
//!
//! The SQL joins two windowed streams on person and window. That is one window over both: for each person,
//! whether they registered in it and whether they sold.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Event;
use super::super::rows::Q8;
use crate::data::Text;
use crate::stream::{Aggregate, Chain, Stream};
use crate::window::{Tumbling, Windowed};

const SIZE: Duration = Duration::from_secs(10);

/// `SELECT P.id, P.name, P.starttime FROM TUMBLE(person, 10 s) P JOIN TUMBLE(auction, 10 s) A
/// ON P.id = A.seller AND P.window = A.window`, all distinct.
pub fn q8<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q8, impl Chain<Out = Q8>> {
    // Most events are bids; a step of their own keeps them out of the larger one.
    let acts = events.filter(|event| !matches!(event, Event::Bid(_))).filter_map(|event| match event {
        Event::Person(person) => Some((person.id, Act::Registered(person.name))),
        Event::Auction(auction) => Some((auction.seller, Act::Sold)),
        Event::Bid(_) => None,
    });
    let by_person = acts.key_by(|(person, _)| *person).map_values(|(_, act)| act);
    let users = by_person.window(Tumbling::of(SIZE)).aggregate(Users);
    users.flat_map(|Windowed { key, window, value }| {
        let names = if value.sold { value.names } else { Vec::new() };
        names.into_iter().map(move |name| Q8 { id: key, name, start: window.start })
    })
}

/// What a person does.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Act {
    Registered(Text),
    Sold,
}

/// What a person has done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Done {
    /// The distinct names that the person registered with.
    names: Vec<Text>,
    sold: bool,
}

#[derive(Clone)]
struct Users;

impl Aggregate<Act> for Users {
    type Acc = Done;
    type Out = Done;

    fn start(&self, act: Act) -> Done {
        let mut done = Done::default();
        self.add(&mut done, act);
        done
    }

    fn add(&self, done: &mut Done, act: Act) {
        match act {
            Act::Sold => done.sold = true,
            Act::Registered(name) => {
                if !done.names.contains(&name) {
                    done.names.push(name);
                }
            }
        }
    }

    fn merge(&self, done: &mut Done, other: Done) {
        done.sold |= other.sold;
        other.names.into_iter().for_each(|name| self.add(done, Act::Registered(name)));
    }

    fn result(&self, done: &Done) -> Done {
        done.clone()
    }
}
