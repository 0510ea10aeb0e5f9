//! The progress that one worker's instance of a source shares with those of the other workers: the progress
//! that it publishes, and the progress of others that it waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::time::{EventTime, Reach, WatermarkBoard};

/// The least time between two reads of the other workers' progress by a worker without a split that counts.
const FOLLOW: Duration = Duration::from_millis(10);

/// A worker's place on the board.
pub(super) struct SharedProgress {
    board: Arc<WatermarkBoard>,
    worker: usize,
    /// The reach last published for this worker.
    shown: Option<Reach>,
    /// True if no split of this worker counts, so that it follows the others.
    follows: bool,
    /// When it may request the next wake-up on a change.
    follow_at: Duration,
}

impl SharedProgress {
    pub(super) fn new(board: Arc<WatermarkBoard>, worker: usize) -> SharedProgress {
        SharedProgress { board, worker, shown: None, follows: false, follow_at: Duration::ZERO }
    }

    /// Publishes the progress of this worker.
    pub(super) fn show(&mut self, reach: Reach) {
        // Publishing looks at the slot of each worker, so only changes are published.
        if self.shown != Some(reach) {
            self.shown = Some(reach);
            self.board.show(self.worker, reach);
        }
    }

    /// The least watermark of the splits that count on other workers.
    pub(super) fn least_of_others(&self) -> EventTime {
        self.board.least_of_others(self.worker)
    }

    /// Requests a wake-up once the others have reached `wanted`; false if they have already.
    pub(super) fn waits(&self, wanted: EventTime) -> bool {
        self.board.wait(self.worker, wanted)
    }

    /// The watermark of a worker of which no split counts. The worker is woken when that changes, at most
    /// once in [`FOLLOW`].
    pub(super) fn follow(&mut self, now: Duration) -> Option<EventTime> {
        self.follows = true;
        if now >= self.follow_at && !self.board.is_following(self.worker) {
            self.follow_at = now.saturating_add(FOLLOW);
            self.board.follow(self.worker);
        }
        self.board.without(self.worker)
    }

    /// Records that splits of this worker count.
    pub(super) fn lead(&mut self) {
        self.follows = false;
    }

    /// When to read the others' progress again, if no wake-up is requested.
    pub(super) fn look_at(&self) -> Option<Duration> {
        (self.follows && !self.board.is_following(self.worker)).then_some(self.follow_at)
    }
}
