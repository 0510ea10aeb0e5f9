//! What is in flight between workers counts with what it points to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use highwater::config::Options;
use highwater::connector::Generator;
use highwater::process::{Context, Process, States, Value};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::heap::{alone, peak};
use crate::mix;

/// Takes its time for each text.
#[derive(Clone, Default)]
struct Slow(Value<u64>);

impl Process<u64, String> for Slow {
    type Out = (u64, u64);

    fn open(&mut self, states: &mut States<'_, u64>) {
        self.0 = states.value("bytes");
    }

    fn process(&mut self, text: String, cx: &mut Context<'_, u64, (u64, u64)>) {
        std::thread::sleep(Duration::from_micros(50));
        self.0.update(cx, || 0, |bytes| *bytes += text.len() as u64);
        let bytes = self.0.get(cx).copied().unwrap_or(0);
        let key = *cx.key();
        cx.emit((key, bytes));
    }
}

#[test]
fn long_records_for_a_slow_worker_are_not_read_ahead() {
    let _alone = alone();
    const RECORDS: u64 = 10_000;
    const BYTES: usize = 100_000;
    let bytes: Arc<[AtomicU64; 7]> = Arc::default();
    let ((), most) = peak(|| {
        let job = Job::new();
        let texts = Generator::new(2, |n| (n < RECORDS).then(|| (n, "x".repeat(BYTES))));
        let texts = job.source(texts, Watermarks::none()).key_by(|(n, _)| mix(*n) % 7);
        let counted = texts.map_values(|(_, text)| text).process(Slow::default());
        let last = Arc::clone(&bytes);
        counted.for_each(move |_, record| {
            let (key, bytes) = record.value;
            last[key as usize].fetch_max(bytes, Ordering::Relaxed);
        });
        let options = Options::default().workers(2).epochs(Epochs::records(1_000_000));
        job.run_with(options.max_bytes_in_flight(4 << 20)).unwrap();
    });
    let total: u64 = bytes.iter().map(|bytes| bytes.load(Ordering::Relaxed)).sum();
    // Each split numbers its own.
    assert_eq!(total % BYTES as u64, 0);
    assert!(total >= RECORDS * BYTES as u64, "{total}");
    // Each of two sources may have 4 MiB in flight, and a piece of reading on top.
    assert!(most < 100 << 20, "{most} bytes");
}
