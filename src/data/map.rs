//! Memory-mapped files, for the rest of the process.
//!
//! Mapping needs `unsafe`. The gain: two gigabytes in the page cache can be read after 50 microseconds, and
//! reading a byte of each cache line takes 0.2 seconds, page faults included. `std::fs::read` needs 2.8
//! seconds before the first byte, and the memory a second time.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// The contents of a file, mapped and never unmapped.
///
/// The map is leaked on purpose, once per call: records that are decoded from it refer to its bytes without
/// counting, so nothing knows when the last reference is gone.
pub(crate) fn map(file: &File) -> io::Result<&'static [u8]> {
    // SAFETY: a map is sound while nobody changes the file. The files that are mapped here are those that
    // `nexmark::write` wrote: complete before their name exists, and not written again. Nothing can be done
    // about another process that breaks this. One that cuts the file short makes a later read raise
    // SIGBUS, which ends the process; one that overwrites it changes bytes whose every use is checked.
    let map = unsafe { Mmap::map(file)? };
    Ok(Box::leak(Box::new(map)))
}
