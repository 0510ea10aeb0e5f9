//! The inspection of what a function registers, before the job starts.
//!
//! `open` is called on a clone of the function, with [`States`](super::States) that keep nothing. So two
//! states of one name, readers of states that do not exist and reads of side outputs that the function does
//! not register are rejected before anything runs.
//!
//! A handle in the function that `open` has not registered is found by cloning the function once more: a
//! derived `Clone` clones each handle, and an unregistered handle records that it was cloned. Handles in
//! functions that are `Copy`, or in types that clone by reference, are not found; the job ends with an error
//! when one of those is used.

use std::cell::{OnceCell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::core::unregistered_in;
use crate::error::{Error, Result};
use crate::stream::{GivenSides, SideKey};

/// The registrations of a function, and its mistakes.
#[derive(Default)]
pub(crate) struct Trial {
    pub(crate) mistake: OnceCell<Error>,
    pub(crate) sides: RefCell<Vec<SideKey>>,
}

/// The side outputs that a function registers when it is opened by `open`.
///
/// # Errors
///
/// If a registration is invalid, or a handle is not registered.
pub(crate) fn inspect<F: Clone>(function: &F, open: impl FnOnce(&mut F, &Trial)) -> Result<GivenSides> {
    let trial = Trial::default();
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let mut function = function.clone();
        open(&mut function, &trial);
        unregistered_in(|| drop(function.clone()))
    }));
    let unregistered = opened.map_err(|panic| Error::panic("a function's `open`", &*panic))?;
    if let Some(mistake) = trial.mistake.into_inner() {
        return Err(mistake);
    }
    match unregistered {
        None => Ok(GivenSides::Known(trial.sides.into_inner())),
        Some(handle) => Err(Error::config(format!(
            "a function has a state that is not registered, a {handle}: register each handle in `open`, or keep in an Option what is \
             needed only at times"
        ))),
    }
}
