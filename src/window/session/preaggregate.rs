//! The sending side of sessions: joins records of a key while they are near.
//!
//! Where keys seldom repeat within what is sent at once, that is tried now and then, and records are sent as
//! they are meanwhile.

use std::marker::PhantomData;
use std::num::NonZeroU64;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::assigner::{Gap, Sessions};
use crate::data::{Data, Exchange, Key, Stamp};
use crate::error::Result;
use crate::snapshot::RestoredOperator;
use crate::state::{Migratable, Share, read_entries};
use crate::stream::{Aggregate, ChainSink, Collector, Ends, Preaggregator, SendBuffer, batch_of};
use crate::time::EventTime;
use crate::window::assigner::Window;

/// The settings that distinguish sessions from other windows.
pub(in crate::window) const SETTINGS: &str = "sessions";

/// A piece of a session on its way to the owner of its key.
///
/// Most are in time. They are many, so this variant is kept one word smaller.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Piece<K, Acc> {
    /// Of records that are not behind: where it starts, and how long it is.
    InTime {
        key: K,
        start: EventTime,
        length: NonZeroU64,
        acc: Acc,
    },
    Behind(Box<Behind<K, Acc>>),
}

/// One record that is behind the watermark in its stamp. If that is the least time, it is not behind.
///
/// Snapshots know it as what it was when all pieces were like it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename = "Piece")]
pub(crate) struct Behind<K, Acc> {
    pub(in crate::window) key: K,
    pub(in crate::window) reach: Window,
    pub(in crate::window) acc: Acc,
    pub(in crate::window) watermark: EventTime,
}

impl<K: Key, Acc: Exchange> Migratable for Behind<K, Acc> {
    type Part = Acc;
    type With<P: DeserializeOwned + 'static> = Behind<K, P>;

    fn own<P: DeserializeOwned + 'static>(with: Behind<K, P>, own: impl Fn(P) -> Acc) -> Behind<K, Acc> {
        let Behind { key, reach, acc, watermark } = with;
        Behind { key, reach, acc: own(acc), watermark }
    }
}

/// The pieces in a table of a snapshot, in order of the watermarks that they wait for.
pub(in crate::window) fn waiting_in<K: Key, Acc: Exchange>(
    table: &str,
    from: &RestoredOperator,
    share: &Share,
) -> Result<Vec<Behind<K, Acc>>> {
    Ok(read_entries(table, from, share)?.into_iter().map(|(_, piece)| piece).collect())
}

impl<K, Acc> Piece<K, Acc> {
    #[inline(always)]
    fn of(key: K, reach: Window, acc: Acc) -> Piece<K, Acc> {
        match NonZeroU64::new(reach.end.wrapping_sub(reach.start) as u64) {
            Some(length) => Piece::InTime { key, start: reach.start, length, acc },
            // A piece that begins at the end of time has no length.
            None => Piece::Behind(Box::new(Behind { key, reach, acc, watermark: EventTime::MIN })),
        }
    }

    #[inline(always)]
    pub(super) fn key(&self) -> &K {
        match self {
            Piece::InTime { key, .. } => key,
            Piece::Behind(behind) => &behind.key,
        }
    }
}

/// The terminal of a chain that leads to sessions.
#[derive(Clone)]
pub(super) struct Gathering<G, A> {
    pub(super) sessions: Sessions<G>,
    pub(super) aggregate: A,
}

impl<K: Key, T: Data, G: Gap<T>, A: Aggregate<T>> ChainSink<(K, T)> for Gathering<G, A> {
    type Element = Piece<K, A::Acc>;
    type Gather = Pieces<K, T, G, A>;

    fn open(&self) -> Pieces<K, T, G, A> {
        Pieces {
            how: self.clone(),
            places: Preaggregator::new(),
            sent: Vec::new(),
            trial: Trial::NEW,
            value: PhantomData,
        }
    }
}

/// Pieces of sessions that are being gathered.
pub(crate) struct Pieces<K, T, G, A: Aggregate<T>> {
    how: Gathering<G, A>,
    places: Preaggregator<(), K, (Window, A::Acc)>,
    sent: Vec<Piece<K, A::Acc>>,
    trial: Trial,
    value: PhantomData<fn(T)>,
}

/// Whether joining pays.
struct Trial {
    /// Records until it is looked at again.
    left: u32,
    /// Records of this trial that were joined to others. `None` while nothing is tried.
    joined: Option<u32>,
}

/// The records of a trial, and those that are sent as they are after one in which less than a quarter were
/// joined.
const TRIED: u32 = 4096;
const UNTRIED: u32 = 32 * TRIED;

impl Trial {
    const NEW: Trial = Trial { left: TRIED, joined: Some(0) };

    /// True if the next record is to be joined to others.
    #[inline(always)]
    fn tries(&mut self) -> bool {
        self.left -= 1;
        if self.left == 0 {
            *self = match self.joined {
                Some(joined) if joined < TRIED / 4 => Trial { left: UNTRIED, joined: None },
                _ => Trial::NEW,
            };
        }
        self.joined.is_some()
    }
}

impl<K: Key, T: Data, G: Gap<T>, A: Aggregate<T>> Ends for Pieces<K, T, G, A> {
    type End = Self;

    #[inline]
    fn end(&mut self) -> &mut Self {
        self
    }
}

impl<K: Key, T: Data, G: Gap<T>, A: Aggregate<T>> Collector<(K, T)> for Pieces<K, T, G, A> {
    #[inline(always)]
    fn push(&mut self, (key, value): (K, T), stamp: Stamp) {
        let Gathering { sessions, aggregate } = &self.how;
        let reach = sessions.reach(&value, stamp.timestamp);
        let is_behind = stamp.timestamp < stamp.watermark;
        if is_behind {
            // Not joined to others: its place among them is decided by its own watermark.
            let behind = Behind { key, reach, acc: aggregate.start(value), watermark: stamp.watermark };
            self.sent.push(Piece::Behind(Box::new(behind)));
            return;
        }
        // Where keys seldom repeat, looking for a partner costs more than it saves: sent as it is.
        if !A::COMBINES || !self.trial.tries() {
            self.sent.push(Piece::of(key, reach, aggregate.start(value)));
            return;
        }
        let place = match self.places.find(&(), &key) {
            Ok((window, acc)) => {
                if window.overlaps(reach) {
                    self.trial.joined = self.trial.joined.map(|joined| joined + 1);
                    *window = window.span(reach);
                    if !aggregate.ignores(acc, &value) {
                        aggregate.add(acc, value);
                    }
                } else {
                    // The older piece goes on its way, and the place is the new one's.
                    let reach = std::mem::replace(window, reach);
                    let acc = std::mem::replace(acc, aggregate.start(value));
                    self.sent.push(Piece::of(key, reach, acc));
                }
                return;
            }
            Err(place) => place,
        };
        if let Some(((), key, (reach, acc))) = place.replace(((), key, (reach, aggregate.start(value)))) {
            self.sent.push(Piece::of(key, reach, acc));
        }
    }
}

impl<K: Key, T: Data, G: Gap<T>, A: Aggregate<T>> SendBuffer for Pieces<K, T, G, A> {
    type Element = Piece<K, A::Acc>;

    #[inline]
    fn is_full(&self) -> bool {
        self.sent.len() >= batch_of::<Piece<K, A::Acc>>()
    }

    fn drain(&mut self, all: bool, send: &mut dyn FnMut(&mut Vec<Piece<K, A::Acc>>)) {
        if all {
            let rest = self.places.drain();
            self.sent.extend(rest.map(|((), key, (reach, acc))| Piece::of(key, reach, acc)));
        }
        send(&mut self.sent);
    }
}
