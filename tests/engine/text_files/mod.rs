//! Files of text as sources and sinks: what becomes of them while they are read, how they are compressed, and
//! the numbers in them.

#[cfg(feature = "compression")]
mod compressed;
mod logs;
mod numbers;
mod random;
mod rotation;
