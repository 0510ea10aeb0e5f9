//! Lines from a TCP socket.
//!
//! The source connects when the job starts and has one split. The socket does not block: if no data is
//! available, the reader asks to be polled again a millisecond later, and the worker does its other work
//! meanwhile. The stream ends when the other side closes the connection.
//!
//! A socket cannot be replayed. Its position is only a count of lines: after a failure, lines that were read
//! from the old connection and not committed are lost. Use it for tests and demonstrations, and for data that
//! may be lost.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::collection::Numbered;
use super::lines::{Lines, MAX_LENGTH, Piece, TURN};
use super::{Malformed, Reader, Source, Status, Untimed};
use crate::data::Visit;
use crate::error::{Error, Result};
use crate::stream::{Job, Stream};
use crate::time::Watermarks;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long to wait before polling a silent socket again.
const PAUSE: Duration = Duration::from_millis(1);

/// A source of the lines that come over a TCP connection.
///
/// The lines must be UTF-8 without NUL bytes; other lines, and lines longer than the maximum, are
/// [`Malformed`].
#[derive(Clone, Debug)]
pub struct Socket {
    address: String,
    max_length: usize,
}

impl Socket {
    /// Connects to `address`, a name or a number with a port, as in `127.0.0.1:9000`.
    ///
    /// See [`Job::socket`] for an example.
    pub fn new(address: impl Into<String>) -> Socket {
        Socket { address: address.into(), max_length: MAX_LENGTH }
    }

    /// The greatest length of a line in bytes; 1 MiB unless set. A longer one is malformed, and is skipped
    /// without being held in memory.
    pub fn max_length(mut self, bytes: usize) -> Socket {
        self.max_length = bytes;
        self
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let mut last = None;
        for address in self.address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => {
                    stream.set_nonblocking(true)?;
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))
    }
}

impl Source for Socket {
    type Item = String;
    type Split = Numbered;
    type Reader = SocketReader;

    fn name(&self) -> String {
        format!("socket {}", self.address)
    }

    fn splits(&self) -> Result<Vec<Numbered>> {
        Ok(vec![Numbered(0)])
    }

    /// Connects. With a position, the count of lines continues from there, with the lines of the new
    /// connection.
    fn open(&self, _: &Numbered, from: Option<u64>) -> Result<SocketReader> {
        let stream = self.connect().map_err(|error| {
            let what = format!(
                "cannot connect to {}: start what sends the lines first, and check the address and the port",
                self.address
            );
            Error::io(what, error)
        })?;
        let lines = Lines::new(stream, self.address.clone(), self.max_length, false);
        Ok(SocketReader { lines, before: from.unwrap_or(0), malformed: Vec::new() })
    }
}

/// Reads a [`Socket`].
pub struct SocketReader {
    lines: Lines<TcpStream>,
    before: u64,
    malformed: Vec<Malformed>,
}

impl Reader for SocketReader {
    type Item = String;
    /// The number of lines read.
    type Position = u64;

    fn read<V: Visit<String>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let start = self.lines.looked_at();
        let mut count = 0;
        while count < limit && self.lines.looked_at() - start < TURN {
            let piece = self.lines.next();
            match piece
                .map_err(|error| Error::io(format!("the connection to {} broke", self.lines.name()), error))?
            {
                Piece::Line => match self.lines.text() {
                    Ok(line) => visit.visit(line.to_owned()),
                    Err(reason) => self.malformed.push(self.lines.malformed(reason)),
                },
                Piece::TooLong => self.malformed.push(self.lines.too_long()),
                // A part of a line does not count against the limit of records.
                Piece::Busy => continue,
                Piece::Nothing => return Ok(Status::Wait(PAUSE)),
                Piece::End => return Ok(Status::Done),
            }
            count += 1;
        }
        Ok(Status::More)
    }

    fn position(&self) -> u64 {
        self.before + self.lines.after().line
    }

    fn malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }
}

impl Job {
    /// Reads lines from a TCP connection to `address`, until the other side closes it. They have no event
    /// times.
    ///
    /// A socket cannot be replayed: see [`Socket`], also for settings. The job fails at the start if nothing
    /// listens there.
    ///
    /// ```
    /// use highwater::stream::Job;
    /// use std::io::Write;
    ///
    /// let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    /// let address = server.local_addr().unwrap();
    /// let sender = std::thread::spawn(move || server.accept().unwrap().0.write_all(b"to be\nor not\n"));
    ///
    /// let job = Job::new();
    /// let lines = job.socket(address.to_string()).collect();
    /// job.run()?;
    /// assert_eq!(lines.values(), ["to be", "or not"]);
    /// # sender.join().unwrap().unwrap();
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn socket(&self, address: impl Into<String>) -> Stream<String, Untimed<Socket>> {
        self.source(Socket::new(address), Watermarks::none())
    }
}
