//! q3, local items: who is selling in category 10 in Oregon, Idaho or California?
//!
//! A join without bound in time: a seller may register before or after the auction is listed, and both are
//! kept for ever.

use super::super::Event;
use super::super::rows::Q3;
use crate::data::Text;
use crate::stream::{Chain, Stream};

/// `SELECT P.name, P.city, P.state, A.id FROM auction A JOIN person P ON A.seller = P.id
/// WHERE A.category = 10 AND P.state IN ('OR', 'ID', 'CA')`
pub fn q3<C: Chain<Out = Event>>(events: Stream<Event, C>) -> Stream<Q3, impl Chain<Out = Q3>> {
    // Most events are bids, which a step of its own drops; what is left of the others is made once for the
    // two that read it.
    let listings = events.filter(|event| !matches!(event, Event::Bid(_))).filter_map(|event| match event {
        Event::Person(person) if is_local(&person.state) => {
            Some(Listing::Seller { id: person.id, home: (person.name, person.city, person.state) })
        }
        Event::Auction(auction) if auction.category == 10 => {
            Some(Listing::Item { seller: auction.seller, id: auction.id })
        }
        _ => None,
    });
    let listings = listings.share();
    let sellers = listings.clone().filter_map(|listing| match listing {
        Listing::Seller { id, home } => Some((id, home)),
        Listing::Item { .. } => None,
    });
    let items = listings.filter_map(|listing| match listing {
        Listing::Item { seller, id } => Some((seller, id)),
        Listing::Seller { .. } => None,
    });
    let sellers = sellers.key_by(|seller| seller.0).map_values(|(_, home)| home);
    let items = items.key_by(|item| item.0).map_values(|(_, id)| id);
    sellers.join(items, |_, (name, city, state), id| Q3 {
        name: name.clone(),
        city: city.clone(),
        state: state.clone(),
        id: *id,
    })
}

/// What the query knows of an event.
#[derive(Clone)]
enum Listing {
    Seller { id: u64, home: (Text, Text, Text) },
    Item { seller: u64, id: u64 },
}

/// The events spell states in lower case, the query in upper case.
fn is_local(state: &Text) -> bool {
    ["OR", "ID", "CA"].iter().any(|local| state.as_bytes().eq_ignore_ascii_case(local.as_bytes()))
}
