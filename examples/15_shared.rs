//! One collection that is kept once and read by several: a join, a sum, and a question that is asked while
//! the job runs.
//!
//! Orders come, and one is cancelled. They are arranged by their customers. A join with the names of the
//! customers and the sum of each customer's orders read the same arrangement; and when all orders have come,
//! a computation is attached that counts the customers: it is told how many there are, and then what changes.
//!
//! ```text
//! $ cargo run --example 15_shared
//! ann orders tea for 3
//! bob orders cake for 5
//! bob orders tea for 3
//! customer 1 pays 3
//! customer 2 pays 8
//! customer 3 pays 7
//! customers: 3
//! ```

#![allow(clippy::print_stdout)]

use std::time::Duration;

use highwater::connector::Generator;
use highwater::data::Change;
use highwater::prelude::*;

fn order(customer: u32, thing: &str, price: i64) -> Change<(u32, (String, i64))> {
    Change::insert((customer, (thing.to_owned(), price)))
}

fn main() -> Result<()> {
    let orders = vec![
        order(1, "tea", 3),
        order(2, "tea", 3),
        order(2, "cake", 5),
        order(1, "cake", 5),
        order(3, "wine", 7),
        // Ann does not want it any more.
        Change::retract((1, ("cake".to_owned(), 5))),
    ];
    let job = Job::new();
    // The job goes on until it is stopped: a second source has nothing to say, but does not end.
    let silence = job.source(Generator::new(1, |_| Some(())).rate(1000.0), Watermarks::none());
    let silence = silence.filter_map(|()| None::<Change<(u32, (String, i64))>>);
    let orders = job.collection(orders).union(silence).arrange();
    let names = [(1, "ann".to_owned()), (2, "bob".to_owned())].map(Change::insert);
    let names = job.collection(names).arrange();

    let lines = orders.join(&names, |_, (thing, price), name| format!("{name} orders {thing} for {price}"));
    let lines = lines.materialize();
    let sums = orders
        .reduce(|_, orders| [orders.iter().map(|((_, price), count)| price * *count as i64).sum::<i64>()]);
    let sums = sums.materialize();

    let running = job.start(Options::default().workers(2))?;
    while sums.sorted().len() < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut customers = running.attach(&orders, |_, orders| {
        orders.as_collection(|customer, _| *customer.key()).distinct().map(|_| ()).count()
    })?;
    let first = customers.next(Duration::from_secs(10));
    running.stop();
    running.join()?;

    lines.sorted().iter().for_each(|line| println!("{line}"));
    sums.sorted().iter().for_each(|(customer, sum)| println!("customer {customer} pays {sum}"));
    for change in first.into_iter().flat_map(|first| first.changes) {
        println!("customers: {}", change.record.1);
    }
    Ok(())
}
