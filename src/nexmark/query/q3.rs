//! q3, local items: who is selling in category 10 in Oregon, Idaho or California?
//!
//! A join without bound in time: a seller may register before or after the auction is listed, and both are kept for ever.

use super::super::Event;
use super::super::rows::Q3;
use crate::data::Text;
use crate::stream::{Chain, Stream};

/// `SELECT P.name, P.city, P.state, A.id FROM auction A JOIN person P ON A.seller = P.id
/// WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')`
pub fn q3<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q3, impl Chain<Out = Q3>> {
    // Most events are bids, so what is left is made once for the two that read it.
    let listings = events.filter(|event| match event {
        Event::Person(person) => is_local(&person.state),
        Event::Auction(auction) => auction.category == 10,
        Event::Bid(_) => false,
    });
    let listings = listings.share();
    let sellers = listings.clone().filter_map(|event| match event {
        Event::Person(person) => Some(person),
        _ => None,
    });
    let items = listings.filter_map(|event| match event {
        Event::Auction(auction) => Some(auction),
        _ => None,
    });
    let sellers = sellers.key_by(|person| person.id).map_values(|p| (p.name, p.city, p.state));
    let items = items.key_by(|auction| auction.seller).map_values(|auction| auction.id);
    sellers.join(items, |_, (name, city, state), id| Q3 {
        name: name.clone(),
        city: city.clone(),
        state: state.clone(),
        id: *id,
    })
}

/// The events spell states in lower case, the query in upper case.
fn is_local(state: &Text) -> bool {
    ["OR", "ID", "CA"].iter().any(|local| state.as_bytes().eq_ignore_ascii_case(local.as_bytes()))
}
