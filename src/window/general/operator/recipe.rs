//! How the operator of windows is built on a worker.

use std::marker::PhantomData;
use std::sync::Arc;

use super::super::assigner::Assigner;
use super::super::content::Content;
use super::super::function::WindowStates;
use super::super::trigger::Trigger;
use super::{Settings, Windows};
use crate::data::{Exchange, Key, hash64};
use crate::error::Result;
use crate::process::context::Counters;
use crate::process::core::Core;
use crate::process::inspect::inspect;
use crate::process::side_output::Sides;
use crate::process::{States, Value};
use crate::state::TimerQueue;
use crate::stream::{Consumers, Edge, GivenSides, Keyed, Lowering, Operator, Reader, epoch_driver};
use crate::window::key_and_window::Scope;

/// The recipe.
pub(in crate::window::general) struct WindowOperator<K: Key, T, W, G, B: Content<K, T>> {
    pub(in crate::window::general) edge: Edge<Keyed<K, T>>,
    pub(in crate::window::general) settings: Settings<K, T, W, G>,
    pub(in crate::window::general) content: B,
    pub(in crate::window::general) consumers: Arc<Consumers<B::Out>>,
}

impl<K, T, W, G, B> Operator for WindowOperator<K, T, W, G, B>
where
    K: Key,
    T: Exchange,
    W: Assigner<T>,
    G: Trigger<K, T>,
    B: Content<K, T>,
{
    fn prepare(&self, _: usize) -> Result<()> {
        self.settings.assigner.check()
    }

    fn inspect(&self, readers: Vec<(&'static str, Reader)>) -> Result<GivenSides> {
        let function = (self.settings.trigger.clone(), self.content.clone());
        let given = inspect(&function, |(trigger, content), trial| {
            trigger.open(&mut States::trial(trial, Vec::new()));
            let window = States::trial(trial, Vec::new());
            let mut states = WindowStates { window, global: States::trial(trial, readers) };
            content.open(&mut states);
            states.global.check();
        })?;
        Ok(match (given, self.settings.late) {
            (GivenSides::Known(mut sides), Some(late)) => {
                sides.push(late.key);
                GivenSides::Known(sides)
            }
            (given, _) => given,
        })
    }

    fn lower(&self, uid: &str, cx: &mut Lowering<'_>) {
        let (worker, readers) = (cx.worker.clone(), cx.readers());
        let mut builder = cx.operator(uid);
        let input = builder.by_key(self.edge, |keyed| &keyed.key);
        let ports = self.consumers.open(&mut builder);
        let sides = Sides(self.consumers.open_sides(&mut builder));
        let mut windows = Core::new(|scope: &Scope<K>| hash64(&scope.key), uid, &worker);
        let mut keys = Core::new(hash64, uid, &worker);
        let (mut settings, mut content) = (self.settings.clone(), self.content.clone());
        let none = Vec::new;
        settings.trigger.open(&mut States::new(&mut windows, &worker, none()));
        let mut states = WindowStates {
            window: States::new(&mut windows, &worker, none()),
            // What a function keeps for its keys can be read from outside.
            global: States::new(&mut keys, &worker, readers),
        };
        content.open(&mut states);
        states.global.check();
        let over_at = States::new(&mut windows, &worker, none()).value("over at");
        let merged = match self.settings.assigner.merges() {
            true => States::new(&mut keys, &worker, none()).value("merged"),
            false => Value::default(),
        };
        let logic = Windows {
            settings,
            content,
            has_keyed_state: keys.store.has_columns(),
            windows,
            keys,
            merged,
            over_at,
            ends: TimerQueue::sealable(worker.quota(uid, "timers_spilled")),
            pieces: None,
            waiting: TimerQueue::of_records(worker.quota(uid, "records_spilled")),
            assigned: Vec::new(),
            sides,
            counters: Counters::new(worker.shared.metrics.clone(), uid),
            worker: worker.clone(),
            value: PhantomData,
        };
        epoch_driver::build(builder, worker, vec![input], ports, logic);
    }
}
