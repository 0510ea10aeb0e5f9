//! The socket source, against a server on this machine.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use highwater::ErrorKind;
use highwater::config::Options;
use highwater::connector::{Reader, Socket, Source, Status};
use highwater::stream::Job;
use highwater::time::Watermarks;

/// Starts a server that does `serve` with the first connection.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

#[test]
fn all_lines_come_in_order_until_the_connection_is_closed() {
    for workers in 1..=2 {
        let (address, sender) = server(|mut stream| {
            for part in ["one\r\nt", "wo\n", "", "three\nlast without its end"] {
                stream.write_all(part.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(10));
            }
        });
        let job = Job::new();
        let lines = job.socket(address).collect();
        job.run_with(Options::default().workers(workers)).unwrap();
        sender.join().unwrap();
        assert_eq!(lines.values(), ["one", "two", "three", "last without its end"]);
    }
}

#[test]
fn many_lines_come_through() {
    let (address, sender) = server(|mut stream| {
        let lines: String = (0..100_000).map(|n| format!("{n}\n")).collect();
        stream.write_all(lines.as_bytes()).unwrap();
    });
    let job = Job::new();
    let lines = job.socket(address).map(|line| line.parse::<u32>().unwrap()).collect();
    job.run().unwrap();
    sender.join().unwrap();
    assert_eq!(lines.values(), (0..100_000).collect::<Vec<_>>());
}

#[test]
fn long_and_binary_lines_are_malformed() {
    let (address, sender) = server(|mut stream| {
        stream.write_all(&[&b"good\n"[..], &[b'x'; 200_000], b"\n\xff\nalso\n"].concat()).unwrap();
    });
    let job = Job::new();
    let (good, bad) = job.source_checked(Socket::new(address).max_length(100), Watermarks::none());
    let (good, bad) = (good.collect(), bad.collect());
    job.run().unwrap();
    sender.join().unwrap();
    assert_eq!(good.values(), ["good", "also"]);
    assert_eq!(bad.values().iter().map(|bad| bad.input.len()).collect::<Vec<_>>(), [200, 3]);
}

#[test]
fn a_silent_socket_asks_for_patience() {
    let (address, sender) = server(|mut stream| {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b"late\n").unwrap();
    });
    let source = Socket::new(address);
    let mut reader = source.open(&source.splits().unwrap()[0], None).unwrap();
    assert_eq!(reader.read(9, &mut |_| {}).unwrap(), Status::Wait(Duration::from_millis(1)));
    sender.join().unwrap();
    let mut lines = Vec::new();
    while reader.read(9, &mut |line| lines.push(line)).unwrap() != Status::Done {}
    assert_eq!((lines, reader.position()), (vec!["late".to_owned()], 1));
}

#[test]
fn a_refused_connection_says_what_to_do() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let job = Job::new();
    job.socket(&address).discard();
    let error = job.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains(&address) && error.to_string().contains("start"), "{error}");
}
