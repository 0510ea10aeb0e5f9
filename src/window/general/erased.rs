//! Assigners and triggers behind a pointer, so that the operator of all windows is compiled once for each
//! type of keys, values and contents, and not again for each kind of windows and each trigger.
//!
//! A record costs two virtual calls, beside the look-ups of its window and of the trigger's state.

use std::sync::Arc;

use super::assigner::Assigner;
use super::trigger::{Absorbed, Fire, Trigger, TriggerContext};
use crate::data::Key;
use crate::error::Result;
use crate::process::{States, TimeDomain};
use crate::time::EventTime;
use crate::window::assigner::{Aligned, Window};
use crate::window::key_and_window::Scope;

/// An [`Assigner`] of any type.
pub(in crate::window) struct ErasedAssigner<T> {
    assigner: Arc<dyn DynAssigner<T>>,
    /// See [`Assigner::MERGES`].
    pub(super) merges: bool,
    /// See [`Assigner::ENDS`].
    pub(super) ends: bool,
    /// See [`Assigner::CLOCK`].
    pub(super) clock: TimeDomain,
}

impl<T> Clone for ErasedAssigner<T> {
    fn clone(&self) -> Self {
        ErasedAssigner { assigner: Arc::clone(&self.assigner), ..*self }
    }
}

impl<T> ErasedAssigner<T> {
    pub(in crate::window) fn new<W: Assigner<T>>(assigner: W) -> ErasedAssigner<T> {
        ErasedAssigner { assigner: Arc::new(assigner), merges: W::MERGES, ends: W::ENDS, clock: W::CLOCK }
    }

    pub(super) fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>) {
        self.assigner.assign(value, time, windows);
    }

    pub(super) fn touches(&self) -> bool {
        self.assigner.touches()
    }

    pub(super) fn check(&self) -> Result<()> {
        self.assigner.check()
    }

    pub(super) fn settings(&self) -> Option<String> {
        self.assigner.settings()
    }

    pub(super) fn aligned(&self) -> Option<Aligned> {
        self.assigner.aligned()
    }
}

/// The methods of an [`Assigner`].
trait DynAssigner<T>: Send + Sync {
    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>);
    fn touches(&self) -> bool;
    fn check(&self) -> Result<()>;
    fn settings(&self) -> Option<String>;
    fn aligned(&self) -> Option<Aligned>;
}

impl<T, W: Assigner<T>> DynAssigner<T> for W {
    fn assign(&self, value: &T, time: EventTime, windows: &mut Vec<Window>) {
        Assigner::assign(self, value, time, windows);
    }

    fn touches(&self) -> bool {
        Assigner::touches(self)
    }

    fn check(&self) -> Result<()> {
        Assigner::check(self)
    }

    fn settings(&self) -> Option<String> {
        Assigner::settings(self)
    }

    fn aligned(&self) -> Option<Aligned> {
        Assigner::aligned(self)
    }
}

/// The methods of a [`Trigger`] of any type.
pub(in crate::window) trait DynTrigger<K: Key, T>: Send + Sync {
    fn boxed(&self) -> Box<dyn DynTrigger<K, T>>;
    fn open(&mut self, states: &mut States<'_, Scope<K>>);
    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire;
    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire;
    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire;
    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire;
    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>);
    fn clear(&mut self, cx: &mut TriggerContext<'_, K>);
}

impl<K: Key, T: 'static, G: Trigger<K, T>> DynTrigger<K, T> for G {
    fn boxed(&self) -> Box<dyn DynTrigger<K, T>> {
        Box::new(self.clone())
    }

    fn open(&mut self, states: &mut States<'_, Scope<K>>) {
        Trigger::open(self, states);
    }

    fn on_element(&mut self, value: &T, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::on_element(self, value, cx)
    }

    fn on_content(&mut self, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::on_content(self, cx)
    }

    fn on_event_time(&mut self, time: EventTime, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::on_event_time(self, time, cx)
    }

    fn on_processing_time(&mut self, time: i64, cx: &mut TriggerContext<'_, K>) -> Fire {
        Trigger::on_processing_time(self, time, cx)
    }

    fn on_merge(&mut self, absorbed: Absorbed, cx: &mut TriggerContext<'_, K>) {
        Trigger::on_merge(self, absorbed, cx);
    }

    fn clear(&mut self, cx: &mut TriggerContext<'_, K>) {
        Trigger::clear(self, cx);
    }
}

impl<K: Key, T: 'static> Clone for Box<dyn DynTrigger<K, T>> {
    fn clone(&self) -> Self {
        (**self).boxed()
    }
}
