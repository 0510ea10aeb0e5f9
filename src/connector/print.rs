//! Records as lines of text, on the standard output or another writer.
//!
//! A worker holds the lines of an epoch in memory and writes them when the epoch is complete, in one piece:
//! lines of several workers do not mix, and the visible output of a worker ends with a complete epoch. The
//! writer is flushed each time.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::{Sink, SinkHandle, Writer};
use crate::data::{Data, Record};
use crate::error::{Error, Result};
use crate::lock::lock;
use crate::stream::{Chain, Stream};

/// A writer that all workers share.
struct PrintSink<W> {
    name: &'static str,
    out: Arc<Mutex<W>>,
}

impl<T: Data + Display, W: Write + Send + 'static> Sink<T> for PrintSink<W> {
    type Writer = Printer<W>;

    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn open(&self, _: usize, _: usize) -> Result<Printer<W>> {
        Ok(Printer { out: Arc::clone(&self.out), lines: Vec::new() })
    }
}

struct Printer<W> {
    out: Arc<Mutex<W>>,
    lines: Vec<u8>,
}

impl<T: Data + Display, W: Write + Send + 'static> Writer<T> for Printer<W> {
    type Prepared = Vec<u8>;

    fn write(&mut self, _: u64, batch: &mut Vec<Record<T>>) -> Result<()> {
        for record in batch.drain(..) {
            writeln!(self.lines, "{}", record.value)
                .map_err(|error| Error::io("cannot print a record", error))?;
        }
        Ok(())
    }

    fn prepare(&mut self, _: u64) -> Result<Vec<u8>> {
        Ok(std::mem::take(&mut self.lines))
    }

    fn commit(&mut self, _: u64, lines: Vec<u8>) -> Result<()> {
        let mut out = lock(&self.out);
        out.write_all(&lines).and_then(|()| out.flush()).map_err(|error| Error::io("cannot print", error))
    }
}

impl<T: Data + Display, C: Chain<Out = T>> Stream<T, C> {
    /// Prints each record on a line of the standard output, when its epoch is complete.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let job = Job::new();
    /// job.collection(["to be", "or not"]).print();
    /// job.run()?;
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn print(self) -> SinkHandle {
        self.sink(PrintSink { name: "print", out: Arc::new(Mutex::new(io::stdout())) })
    }

    /// Prints each record on a line of `writer`, when its epoch is complete. The writer is flushed after each
    /// epoch.
    ///
    /// ```
    /// # use highwater::stream::Job;
    /// let path = std::env::temp_dir().join(format!("highwater-print-{}", std::process::id()));
    /// let job = Job::new();
    /// job.collection([1, 2]).print_to(std::fs::File::create(&path).unwrap());
    /// job.run()?;
    /// assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn print_to(self, writer: impl Write + Send + 'static) -> SinkHandle {
        self.sink(PrintSink { name: "print_to", out: Arc::new(Mutex::new(writer)) })
    }
}
