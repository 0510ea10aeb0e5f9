//! q4, average price for a category: what do the auctions of each category bring on average?

use super::super::Event;
use super::super::rows::Q4;
use super::winning::sales;
use crate::data::Change;
use crate::stream::{AverageChanges, Chain, Stream};

/// `SELECT category, AVG(final) FROM (SELECT MAX(B.price) AS final, A.category FROM auction A, bid B WHERE A.id = B.auction AND B.dateTime BETWEEN A.dateTime AND A.expires GROUP BY A.id, A.category) GROUP BY category`
pub fn q4<C: Chain<Out = Event>>(
    events: Stream<Event, C>,
) -> Stream<Change<Q4>, impl Chain<Out = Change<Q4>>> {
    let finals = sales(events).map(|change| change.map(|(_, sale)| (sale.of.category, sale.best.price)));
    let by_category =
        finals.key_by(|change| change.record.0).map_values(|change| change.map(|(_, price)| price));
    let averages = by_category.aggregate(AverageChanges);
    averages.map(|change| change.map(|(id, average)| Q4 { id, average: average.unsigned_abs() }))
}
