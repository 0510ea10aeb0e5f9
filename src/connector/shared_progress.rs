//! How one worker's instance of a source stands among those of the other workers: what it shows them, and
//! what it waits for.

use std::sync::Arc;
use std::time::Duration;

use crate::time::{EventTime, Reach, WatermarkBoard};

/// The least time until a worker without a split that counts looks again how far the others have come.
const FOLLOW: Duration = Duration::from_millis(10);

/// A worker's place on the board.
pub(super) struct SharedProgress {
    board: Arc<WatermarkBoard>,
    worker: usize,
    /// What the board has of this worker.
    shown: Option<Reach>,
    /// True if no split of this worker counts, so that it goes where the others let it.
    follows: bool,
    /// When it may ask again to be woken when the others have moved.
    follow_at: Duration,
}

impl SharedProgress {
    pub(super) fn new(board: Arc<WatermarkBoard>, worker: usize) -> SharedProgress {
        SharedProgress { board, worker, shown: None, follows: false, follow_at: Duration::ZERO }
    }

    /// Shows the other workers how far this one has come.
    pub(super) fn show(&mut self, reach: Reach) {
        if self.shown != Some(reach) {
            self.shown = Some(reach);
            self.board.show(self.worker, reach);
        }
    }

    /// The least watermark of the splits that count on other workers.
    pub(super) fn least_of_others(&self) -> EventTime {
        self.board.least_of_others(self.worker)
    }

    /// Lets this worker be woken once the others have come so far; false if they have.
    pub(super) fn waits(&self, wanted: EventTime) -> bool {
        self.board.wait(self.worker, wanted)
    }

    /// Where the watermark goes if no split of this worker counts. It is woken when that changes, but not
    /// more often than is of use.
    pub(super) fn follow(&mut self, now: Duration) -> Option<EventTime> {
        self.follows = true;
        if now >= self.follow_at && !self.board.is_following(self.worker) {
            self.follow_at = now.saturating_add(FOLLOW);
            self.board.follow(self.worker);
        }
        self.board.without(self.worker)
    }

    /// Splits of this worker count.
    pub(super) fn lead(&mut self) {
        self.follows = false;
    }

    /// When to look again how far the others have come, if that will not be told.
    pub(super) fn look_at(&self) -> Option<Duration> {
        (self.follows && !self.board.is_following(self.worker)).then_some(self.follow_at)
    }
}
