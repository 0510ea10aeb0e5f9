//! What goes wrong deep inside an operator, where nothing can be returned: a sum that does not fit, a window
//! that cannot be told.
//!
//! It is [noted](note), which costs nothing where all is well and does not unwind, so that the loops around
//! need not be prepared for it. The note is looked at before anything leaves the operator: a batch, the state
//! as of an epoch, or how far it has come. Then the worker [ends](check), as by a panic, with an error that
//! names the operator; so no one sees what was computed after the fault.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};

thread_local! {
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
    static WHAT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// An error on its way to the worker's end.
struct Raised(Error);

/// Takes note of a fault. The first one counts.
#[cold]
#[inline(never)]
#[allow(improper_ctypes_definitions, reason = "the ABI is for what it says of unwinding")]
pub(crate) extern "C" fn note(what: &str) {
    if !IS_NOTED.replace(true) {
        WHAT.with_borrow_mut(|known| what.clone_into(known));
    }
}

/// Ends the worker if a fault was noted. `operator` is the uid of the one that it is in.
#[inline]
pub(crate) fn check(operator: &str) {
    if IS_NOTED.get() {
        raise(operator);
    }
}

#[cold]
fn raise(operator: &str) -> ! {
    IS_NOTED.set(false);
    let error = Error::data(format!("operator {operator:?}: {}", WHAT.take()));
    resume_unwind(Box::new(Raised(error)))
}

/// The error of a worker that has ended in the midst of `work`: one that was raised, or of a panic of `who`.
pub(crate) fn error_of(who: impl std::fmt::Display, panic: Box<dyn Any + Send>) -> Error {
    match panic.downcast::<Raised>() {
        Ok(raised) => raised.0,
        Err(panic) => Error::panic(who, &*panic),
    }
}

/// Does some work, and gives the error that was raised meanwhile. Panics go on.
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<Raised>() {
        Ok(raised) => raised.0,
        Err(panic) => resume_unwind(panic),
    })
}
