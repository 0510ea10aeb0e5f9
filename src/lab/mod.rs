//! The event-time laboratory.

pub mod case;
