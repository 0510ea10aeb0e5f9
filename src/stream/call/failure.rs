//! The errors of calls.

use std::fmt;
use std::sync::Arc;

/// The error type of a call.
pub trait CallError: fmt::Display + Send + Sync + 'static {}
impl<E: fmt::Display + Send + Sync + 'static> CallError for E {}

/// A record that has no answer, because its last attempt failed too.
#[derive(Debug)]
pub struct Failed<T, E> {
    /// The record.
    pub record: T,
    /// The error of the last attempt.
    pub error: Arc<E>,
    /// How many attempts were made.
    pub attempts: u32,
}

impl<T: Clone, E> Clone for Failed<T, E> {
    fn clone(&self) -> Failed<T, E> {
        let Failed { record, error, attempts } = self;
        Failed { record: record.clone(), error: Arc::clone(error), attempts: *attempts }
    }
}
