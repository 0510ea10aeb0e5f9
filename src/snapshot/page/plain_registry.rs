//! The registry of row types that are written as they lie in memory.
//!
//! A codec sees rows of any type, and of almost all types it knows only how they serialize. A type with a
//! plain form is registered once, and looked up by the type. The registry is of the whole program, since it
//! is about types and not about jobs. Without the feature `abomonation` it is empty.
#![cfg_attr(not(feature = "abomonation"), allow(dead_code))]

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use crate::error::Result;

/// How rows of a type are written and read.
pub(in crate::snapshot) struct PlainCodec<T> {
    pub(in crate::snapshot) encode: fn(&[T]) -> Result<Vec<u8>>,
    pub(in crate::snapshot) decode: fn(&[u8], usize) -> Result<Vec<T>>,
}

impl<T> Clone for PlainCodec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for PlainCodec<T> {}

/// Forms by the types of their rows.
type Known = BTreeMap<TypeId, Box<dyn Any + Send + Sync>>;

fn known() -> &'static RwLock<Known> {
    static KNOWN: OnceLock<RwLock<Known>> = OnceLock::new();
    KNOWN.get_or_init(RwLock::default)
}

/// Registers how rows of a type are written. To register it again changes nothing.
pub(in crate::snapshot) fn register<T: 'static>(form: PlainCodec<T>) {
    let mut known = known().write().unwrap_or_else(PoisonError::into_inner);
    known.insert(TypeId::of::<T>(), Box::new(form));
}

/// How rows of a type are written, if that was registered.
pub(in crate::snapshot) fn form<T: 'static>() -> Option<PlainCodec<T>> {
    let known = known().read().unwrap_or_else(PoisonError::into_inner);
    known.get(&TypeId::of::<T>())?.downcast_ref().copied()
}
