//! Reads lines from a TCP socket. Without an argument it starts a server of its own, which sends a few lines.
//!
//! To send lines yourself, start `nc -lk 9000` and give the address:
//! `cargo run --example 04_socket 127.0.0.1:9000`.
//!
//! ```text
//! $ cargo run --example 04_socket
//! 5 hello
//! 6 stream
//! 3 bye
//! ```

use std::io::Write;
use std::net::TcpListener;
use std::thread;

use highwater::prelude::*;

/// Starts a server that sends some lines to the first who connects, and gives its address.
fn serve() -> Result<String> {
    let cannot = |error| Error::io("cannot start a server on 127.0.0.1", error);
    let listener = TcpListener::bind("127.0.0.1:0").map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    thread::spawn(move || listener.accept()?.0.write_all(b"hello\nstream\nbye\n"));
    Ok(address.to_string())
}

fn main() -> Result<()> {
    let address = match std::env::args().nth(1) {
        Some(address) => address,
        None => serve()?,
    };
    let job = Job::new();
    job.socket(address).map(|line| format!("{} {line}", line.len())).print();
    job.run()?;
    Ok(())
}
