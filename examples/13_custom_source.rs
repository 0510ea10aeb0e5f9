//! A source of one's own: a queue with partitions, whose messages have numbers, as those of a broker.
//!
//! Each partition is a split, which one worker reads. A reader's position is the number of the next message,
//! and that is all a snapshot keeps of the source. The first run reads what is there and is suspended. The
//! second one opens both partitions at their positions, reads what has come since, and nothing twice.
//!
//! ```text
//! $ cargo run --example 13_custom_source
//! first run
//!   partition 0 from message 0
//!   partition 1 from message 0
//!   0/0 kettle on
//!   0/1 kettle boils
//!   1/0 door opens
//! second run
//!   partition 0 from message 2
//!   partition 1 from message 1
//!   0/2 kettle off
//!   1/1 door closes
//!   1/2 light off
//! ```

#![allow(clippy::print_stdout)]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use highwater::connector::{Collected, Reader, Split, Status};
use highwater::data::Visit;
use highwater::object::Memory;
use highwater::prelude::*;
use serde::{Deserialize, Serialize};

/// A queue. What is written to it stays.
#[derive(Clone, Default)]
struct Queue(Arc<Mutex<Contents>>);

#[derive(Default)]
struct Contents {
    partitions: [Vec<String>; 2],
    /// True if there will be no more.
    is_closed: bool,
    /// Which partition was opened, and from where.
    opened: Vec<(usize, usize)>,
}

impl Queue {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, partition: usize, message: &str) {
        self.contents().partitions[partition].push(message.to_owned());
    }
}

/// A split. Its id is what snapshots know it by, so it must be the same in each run.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Partition(usize);

impl Split for Partition {
    fn id(&self) -> String {
        self.0.to_string()
    }
}

impl Source for Queue {
    type Item = (usize, usize, String);
    type Split = Partition;
    type Reader = PartitionReader;

    fn name(&self) -> String {
        "queue".to_owned()
    }

    fn splits(&self) -> Result<Vec<Partition>> {
        Ok((0..self.contents().partitions.len()).map(Partition).collect())
    }

    /// `from` is what `position` has told, in this run or in one that a snapshot was taken of.
    fn open(&self, split: &Partition, from: Option<usize>) -> Result<PartitionReader> {
        let next = from.unwrap_or(0);
        self.contents().opened.push((split.0, next));
        Ok(PartitionReader { queue: self.clone(), partition: split.0, next })
    }
}

struct PartitionReader {
    queue: Queue,
    partition: usize,
    next: usize,
}

impl Reader for PartitionReader {
    type Item = (usize, usize, String);
    type Position = usize;

    /// A worker reads its splits in turn: a reader gives what there is, and does not wait for more.
    fn read<V: Visit<Self::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let (messages, is_closed) = {
            let contents = self.queue.contents();
            let new = contents.partitions[self.partition][self.next..].iter();
            (new.take(limit).cloned().collect::<Vec<_>>(), contents.is_closed)
        };
        let is_all = messages.len() < limit;
        for message in messages {
            visit.visit((self.partition, self.next, message));
            self.next += 1;
        }
        Ok(match (is_all, is_closed) {
            (false, _) => Status::More,
            (true, false) => Status::Wait(Duration::from_millis(5)),
            (true, true) => Status::Done,
        })
    }

    fn position(&self) -> usize {
        self.next
    }
}

/// The job of both runs: the uid of the source is what its positions are known by.
fn job(queue: &Queue) -> (Job, Collected<(usize, usize, String)>) {
    let job = Job::new();
    let messages = job.source(queue.clone(), Watermarks::none()).uid("queue").collect();
    (job, messages)
}

fn print(run: &str, queue: &Queue, messages: &Collected<(usize, usize, String)>) {
    println!("{run} run");
    let mut opened = std::mem::take(&mut queue.contents().opened);
    opened.sort_unstable();
    opened.iter().for_each(|(partition, from)| println!("  partition {partition} from message {from}"));
    let messages = messages.sorted();
    messages.iter().for_each(|(partition, number, text)| println!("  {partition}/{number} {text}"));
}

fn main() -> Result<()> {
    let queue = Queue::default();
    // In memory; `Snapshots::in_directory` outlives the program.
    let snapshots = Snapshots::in_store(Arc::new(Memory::default())).restore(Restore::Latest);
    let options = Options::default().workers(2).snapshots(snapshots);

    queue.write(0, "kettle on");
    queue.write(1, "door opens");
    queue.write(0, "kettle boils");
    let (first, messages) = job(&queue);
    let running = first.start(options.clone())?;
    while messages.values().len() < 3 {
        thread::sleep(Duration::from_millis(1));
    }
    running.suspend()?;
    print("first", &queue, &messages);

    queue.write(0, "kettle off");
    queue.write(1, "door closes");
    queue.write(1, "light off");
    queue.contents().is_closed = true;
    let (second, messages) = job(&queue);
    second.run_with(options)?;
    print("second", &queue, &messages);
    Ok(())
}
