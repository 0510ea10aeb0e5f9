//! Keyed state: arrangements, and the tables in front of them.
//!
//! All state that an operator keeps lies in an [`Arrangement`]: a differential trace, a
//! `Spine` of immutable sorted batches, with the epoch as its time. When an epoch closes, what it changed is
//! sorted by key and sealed into one batch; the spine merges batches of similar size in the background, a bounded piece
//! of work at each seal. So the state *as of* an epoch is a list of shared, immutable pages, and holding on to it
//! costs a few pointers.
//!
//! What a row means is its [`Rows`]: how a newer value of a key joins an older one (it replaces it, or is added to
//! it), when a value is nothing, and which keys have expired. Aggregates are added: then the trace *is* the aggregate
//! and merging batches is aggregating. Cached values replace each other.
//!
//! # Why the batches are our own
//!
//! Differential's batches hold `(key, value, time, diff)` and answer for each update at which times it
//! holds. Here time is an epoch, epochs are totally ordered, and each batch covers an interval of epochs: the batch's own
//! bounds say all there is to say, and a row is a key and a value. What is left of `reduce` is one pass over sorted rows.
//! The spine, its fuel accounting and its compaction frontiers are differential's, unchanged.
//!
//! # The front
//!
//! Sealing once per epoch needs the epoch's changes combined by key. That is a hash [`Table`]: records of the open epoch meet
//! their key there, and only distinct keys are sorted. There are two ways to use one:
//!
//! * *per epoch*: the table holds what the open epoch added and is emptied at the seal; reading the
//!   state means reading the arrangement. Windows do this: they are read once, by a range scan, when they close.
//! * *current values*: the table holds the value of every key and a list of those that the epoch touched; reading is a
//!   look-up, and the arrangement is only written. Rolling aggregates do this, since they read at each touch.
//!
//! # Measured
//!
//! `ROUNDS=3 cargo bench --bench state`, on 2 cores of a Xeon at 2.5 GHz that others used too, so times are rather too high;
//! one thread. Sums for a thousand keys (few) and for three million (uniform, zipf), and the last bid with its text for each of
//! three hundred thousand pairs (strings). Each way knows every key's value at the end of each epoch and tells what
//! changed: differential's `count_total` (stock); the epoch's records sorted, one pass over a stock spine, one run written
//! (sorted); records combined by hash, then rows of a stock spine retracted and inserted (hashed); a rolling aggregate, with its
//! source, channels and progress (engine). A hash table alone (table) tells nothing. A cell ends after two seconds, so slow ways
//! have come less far: their state is smaller than that of the others.
//!
//! Million records per second:
//!
//! | keys    | epoch   | stock | sorted | hashed | engine | table |
//! |---------|--------:|------:|-------:|-------:|-------:|------:|
//! | few     |    1000 |  4.22 |  5.45 |  3.83 |  6.85 | 129.21 |
//! | few     |   10000 |  7.97 | 14.87 | 22.39 | 20.36 | 150.17 |
//! | few     |  100000 | 10.06 | 29.95 | 99.28 | 30.50 | 145.52 |
//! | uniform |    1000 |  0.89 |  0.97 |  0.86 |  1.48 |  9.76 |
//! | uniform |   10000 |  1.33 |  1.69 |  1.20 |  1.60 | 12.14 |
//! | uniform |  100000 |  1.96 |  2.44 |  1.71 |  1.34 |  8.70 |
//! | zipf    |    1000 |  0.95 |  1.12 |  0.78 |  2.13 | 21.24 |
//! | zipf    |   10000 |  1.65 |  2.13 |  1.40 |  2.36 | 22.42 |
//! | zipf    |  100000 |  2.88 |  4.35 |  3.71 |  3.07 | 21.51 |
//! | strings |    1000 |  0.26 |  0.28 |  0.25 |  0.37 |  2.52 |
//! | strings |   10000 |  0.38 |  0.46 |  0.39 |  0.43 |  2.50 |
//! | strings |  100000 |  0.52 |  0.63 |  0.64 |  0.55 |  2.48 |
//!
//! The longest epoch in milliseconds, and the megabytes gained:
//!
//! | keys    | epoch   | stock | sorted | hashed | engine | table |
//! |---------|--------:|------:|-------:|-------:|-------:|------:|
//! | few     |    1000 | 10, 2 | 8, 3 | 8, 5 | 18, 8 | 4, 0 |
//! | few     |   10000 | 5, 2 | 4, 5 | 8, 5 | 4, 8 | 4, 0 |
//! | few     |  100000 | 15, 8 | 7, 7 | 5, 5 | 8, 10 | 4, 0 |
//! | uniform |    1000 | 16, 86 | 9, 84 | 11, 125 | 244, 266 | 46, 153 |
//! | uniform |   10000 | 28, 85 | 20, 133 | 34, 154 | 246, 255 | 32, 153 |
//! | uniform |  100000 | 132, 119 | 160, 103 | 310, 177 | 275, 247 | 62, 153 |
//! | zipf    |    1000 | 20, 46 | 11, 59 | 13, 68 | 76, 125 | 12, 42 |
//! | zipf    |   10000 | 26, 62 | 18, 61 | 37, 79 | 82, 91 | 12, 42 |
//! | zipf    |  100000 | 85, 66 | 90, 80 | 80, 89 | 100, 144 | 19, 42 |
//! | strings |    1000 | 12, 70 | 17, 97 | 24, 102 | 60, 123 | 15, 46 |
//! | strings |   10000 | 104, 108 | 103, 84 | 122, 100 | 102, 143 | 16, 46 |
//! | strings |  100000 | 319, 135 | 365, 142 | 281, 164 | 256, 177 | 63, 46 |
//!
//! Rolling aggregates keep a table of current values. In epochs of a thousand records, as low latency needs them, that was the
//! fastest of the ways that keep runs, for all four streams; in epochs of ten thousand it is about even with the best. It is
//! not free: with a hundred thousand records in an epoch sorting was faster, with uniform keys nearly twice; the
//! table costs its memory beside the arrangement; and with millions of keys the longest epoch was far longer than that of the other ways
//! if epochs are short. That was the growth of the table, whose index looked at every key for its hash; since these
//! figures were taken it keeps half the hash itself.

mod arrangement;
mod merge;
mod rows;
mod run;
mod table;

pub(crate) use arrangement::Arrangement;
pub(crate) use rows::{Latest, Rows, Sums};
pub(crate) use run::Run;
pub(crate) use table::{Slot, Table};
