//! Faults deep inside an operator, where no error can be returned: a sum that overflows, a window that cannot
//! be computed.
//!
//! A fault is [recorded](note) in a thread-local variable, which costs nothing without a fault and does not
//! unwind, so that the loops around it need no cleanup code. The record is [checked](check) before anything
//! leaves the operator: a batch, the state as of an epoch, or its progress. Then the worker ends, as by a
//! panic, with an error that names the operator; so nothing that was computed after the fault is visible.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};

thread_local! {
    static IS_NOTED: Cell<bool> = const { Cell::new(false) };
    static WHAT: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The panic payload of an error that ends the worker.
struct Raised(Error);

/// Records a fault. The first one counts.
#[cold]
#[inline(never)]
#[allow(improper_ctypes_definitions, reason = "the ABI is for what it says of unwinding")]
pub(crate) extern "C" fn note(what: &str) {
    if !IS_NOTED.replace(true) {
        WHAT.with_borrow_mut(|known| what.clone_into(known));
    }
}

/// Ends the worker if a fault was recorded. `operator` is the uid of the operator at fault.
#[inline]
pub(crate) fn check(operator: &str) {
    if IS_NOTED.get() {
        raise(operator);
    }
}

#[cold]
fn raise(operator: &str) -> ! {
    // The test harness catches the error and continues on the same thread.
    IS_NOTED.set(false);
    let error = Error::data(format!("operator {operator:?}: {}", WHAT.take()));
    // Unlike `panic!` this does not call the panic hook: the error is reported once, by the job.
    resume_unwind(Box::new(Raised(error)))
}

/// The error of a worker that has panicked: one that was raised by a fault, or the panic of `who`.
pub(crate) fn error_of(who: impl std::fmt::Display, panic: Box<dyn Any + Send>) -> Error {
    match panic.downcast::<Raised>() {
        Ok(raised) => raised.0,
        Err(panic) => Error::panic(who, &*panic),
    }
}

/// Runs `work`, and returns the error if a fault was raised in it. Panics are propagated.
pub(crate) fn catch<R>(work: impl FnOnce() -> R) -> Result<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| match panic.downcast::<Raised>() {
        Ok(raised) => raised.0,
        Err(panic) => resume_unwind(panic),
    })
}
