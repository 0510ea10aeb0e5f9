//! Cases of watermarks by themselves: how one is made of a split's records, and how those of several channels
//! become one.

use std::num::NonZeroU16;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::timeline::{Event, Output, Timeline};
use crate::error::Result;
use crate::time::{EventTime, SplitWatermarks, Watermarks};

/// The configuration of a watermark behind the greatest event time.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bounded {
    /// By how much, in milliseconds.
    bound: u64,
}

/// A step of a split.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SplitStep {
    /// A record of an event time.
    Record(EventTime),
    /// The watermark is emitted.
    Emit,
}

/// The engine's watermark of one split.
pub(super) fn generate(config: &Bounded, steps: &[SplitStep]) -> Result<Timeline> {
    let watermarks = Watermarks::bounded(Duration::from_millis(config.bound), |time: &EventTime| *time);
    let mut split = SplitWatermarks::new(&watermarks.strategy, 1, None, 0).being_all();
    let mut timeline = Timeline::default();
    for step in steps {
        match step {
            SplitStep::Record(time) => {
                timeline.push(Event::Input(json!(time)));
                split.stamp(0, time, *time, 0);
            }
            // Nothing at or before it comes: one less than what may still come.
            SplitStep::Emit => {
                let promised = split.watermark().saturating_sub(1);
                timeline.push(Event::Output(Output::Watermark(promised)));
            }
        }
    }
    Ok(timeline)
}

/// The configuration of a merge of watermarks.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Merge {
    channels: NonZeroU16,
    #[serde(default)]
    resume: Resume,
}

/// What makes an idle channel active again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Resume {
    /// A watermark, as of the splits of a source.
    #[default]
    OnWatermark,
    /// The signal `active`, as of channels between operators: the watermarks of an idle channel are ignored.
    OnActive,
}

/// What a channel says.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Signal {
    Watermark(EventTime),
    Idle,
    Active,
}

/// The number of a channel, from 0, and what it says.
pub(super) type ChannelStep = (u16, Signal);

#[derive(Clone)]
struct Channel {
    watermark: EventTime,
    idle: bool,
    /// False if it came back behind what was told without it: then it has no say until it has caught up.
    aligned: bool,
}

impl Channel {
    fn turn(&mut self, idle: bool, told: EventTime) {
        self.aligned = !idle && self.watermark >= told;
        self.idle = idle;
    }
}

/// Refuses channels that there are not, and signals that a channel of this kind does not give.
pub(super) fn check_merge(config: &Merge, steps: &[ChannelStep]) -> Result<(), String> {
    steps.iter().try_for_each(|(channel, signal)| match signal {
        _ if *channel >= config.channels.get() => {
            Err(format!("there is no channel {channel}: `channels` is {}, from 0", config.channels))
        }
        Signal::Active if config.resume == Resume::OnWatermark => {
            Err("`active` is a signal of channels with `\"resume\": \"on_active\"`".to_owned())
        }
        _ => Ok(()),
    })
}

/// The least watermark of the channels that are not idle. When all are idle none holds anything back: the
/// greatest counts.
pub(super) fn merge(config: &Merge, steps: &[ChannelStep]) -> Result<Timeline> {
    let channel = Channel { watermark: EventTime::MIN, idle: false, aligned: true };
    let mut channels = vec![channel; config.channels.get().into()];
    let (mut told, mut idle, mut timeline) = (EventTime::MIN, false, Timeline::default());
    for (number, signal) in steps {
        timeline.push(Event::Input(json!([number, signal])));
        let Some(channel) = channels.get_mut(usize::from(*number)) else { continue };
        match *signal {
            Signal::Watermark(_) if channel.idle && config.resume == Resume::OnActive => continue,
            Signal::Watermark(watermark) => {
                channel.watermark = channel.watermark.max(watermark);
                channel.idle = false;
                channel.aligned |= channel.watermark >= told;
            }
            Signal::Idle | Signal::Active => {
                let turns_idle = matches!(signal, Signal::Idle);
                if turns_idle == channel.idle {
                    continue;
                }
                channel.turn(turns_idle, told);
            }
        }
        let all_idle = channels.iter().all(|channel| channel.idle);
        let mut output = |output| timeline.push(Event::Output(output));
        if idle && !all_idle {
            output(Output::Active);
        }
        let active = channels.iter().filter(|channel| !channel.idle && channel.aligned);
        let reached = match all_idle {
            true => channels.iter().map(|channel| channel.watermark).max(),
            false => active.map(|channel| channel.watermark).min(),
        };
        if let Some(reached) = reached.filter(|reached| *reached > told) {
            told = reached;
            output(Output::Watermark(told));
        }
        if all_idle && !idle {
            output(Output::Idle);
        }
        idle = all_idle;
    }
    Ok(timeline)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Channels that speak once each, and then fall silent, in an order.
    fn told(watermarks: &[EventTime], order: &[u16]) -> Vec<EventTime> {
        let speak =
            order.iter().map(|channel| (*channel, Signal::Watermark(watermarks[usize::from(*channel)])));
        let rest = order.iter().map(|channel| (*channel, Signal::Idle));
        let steps: Vec<ChannelStep> = speak.chain(rest).collect();
        let channels = NonZeroU16::new(order.len() as u16).unwrap();
        let timeline = merge(&Merge { channels, resume: Resume::OnWatermark }, &steps).unwrap();
        let told = timeline.events().iter().filter_map(|event| match event {
            Event::Output(Output::Watermark(time)) => Some(*time),
            _ => None,
        });
        told.collect()
    }

    proptest! {
        /// What the engine makes of splits that do the same.
        #[test]
        fn channels_are_merged_as_the_engine_merges_splits(
            watermarks in proptest::collection::vec(0..50i64, 1..6),
            order in Just((0..6u16).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let order: Vec<u16> =
                order.into_iter().filter(|channel| usize::from(*channel) < watermarks.len()).collect();
            let monotone = Watermarks::monotone(|time: &EventTime| *time);
            let mut splits = SplitWatermarks::new(&monotone.strategy, order.len(), Some(100), 0).being_all();
            for (now, channel) in (0..).zip(&order) {
                let time = watermarks[usize::from(*channel)];
                splits.stamp(usize::from(*channel), &time, time, now);
            }
            let mut moves = vec![splits.watermark()];
            splits.pass(1_000, &mut |_, watermark| moves.push(watermark));
            prop_assert_eq!(told(&watermarks, &order), moves);
        }
    }
}
