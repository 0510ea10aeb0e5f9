//! A service that speaks as much of S3 as a snapshot store needs, in this process: so that its client is
//! tried and not only its interface.
//!
//! It holds one bucket. It knows PUT with `If-None-Match: *`, GET with ranges, HEAD, DELETE, and lists of
//! version 2 in pages of [`PAGE`] objects. It looks whether requests are signed, and not by whom. What goes
//! wrong is drawn for each request by a function that the test gives.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How many objects a page of a list has.
const PAGE: usize = 3;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is served.
    Well,
    /// The server fails, and has done nothing.
    Fails,
    /// The server fails, and has done what was asked.
    FailsAfter,
    /// The connection ends without an answer, and what was asked is done.
    Breaks,
    /// It is served after a while.
    Slow(Duration),
    /// It is said to be in conflict with another, and nothing is done.
    Conflict,
    /// It is not allowed, and the answer repeats what was sent, as that of S3 does.
    Denied,
    /// It is served as if it had no condition.
    Unconditional,
}

/// A request, as far as it is understood.
pub(crate) struct Request {
    pub(crate) method: String,
    /// Below the bucket.
    pub(crate) key: String,
    query: String,
    /// By names in small letters.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

type Objects = Mutex<BTreeMap<String, Vec<u8>>>;
type Fates = dyn Fn(&Request) -> Fate + Send + Sync;

/// The service, which runs as long as the process.
pub(crate) struct Service {
    address: SocketAddr,
    objects: Arc<Objects>,
}

impl Service {
    pub(crate) fn start(fates: impl Fn(&Request) -> Fate + Send + Sync + 'static) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, objects) = (listener.local_addr().unwrap(), Arc::new(Objects::default()));
        let (shared, fates) = (Arc::clone(&objects), Arc::new(fates));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (objects, fates) = (Arc::clone(&shared), Arc::clone(&fates));
                // A client that goes away ends its connection, and no more.
                thread::spawn(move || serve(&stream, &objects, &*fates));
            }
        });
        Service { address, objects }
    }

    /// The settings that a client needs, by the names of the environment.
    pub(crate) fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", format!("http://{}", self.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret-key".to_owned()),
            ("AWS_SESSION_TOKEN", "secret-token".to_owned()),
        ]
    }

    /// The names of all objects.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }
}

fn serve(stream: &TcpStream, objects: &Objects, fates: &Fates) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let request = read(&mut reader)?;
        let fate = fates(&request);
        match fate {
            Fate::Slow(time) => thread::sleep(time),
            Fate::FailsAfter | Fate::Breaks => drop(answer(&request, objects, true)),
            _ => {}
        }
        let (status, mut headers, body) = match fate {
            Fate::Breaks => return None,
            Fate::Fails | Fate::FailsAfter => refusal("503 Service Unavailable", "SlowDown", ""),
            Fate::Conflict => refusal("409 Conflict", "ConditionalRequestConflict", ""),
            Fate::Denied => {
                refusal("403 Forbidden", "SignatureDoesNotMatch", &format!("{:?}", request.headers))
            }
            Fate::Unconditional => answer(&request, objects, false),
            Fate::Well | Fate::Slow(_) => answer(&request, objects, true),
        };
        headers.push_str("Last-Modified: Fri, 01 Jan 2021 00:00:00 GMT\r\n");
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
        writer.write_all(head.as_bytes()).ok()?;
        if request.method != "HEAD" {
            writer.write_all(&body).ok()?;
        }
    }
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = || {
        let mut line = String::new();
        (reader.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    while let Some((name, value)) = line()?.split_once(": ") {
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |len| len.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let key = path.strip_prefix("/bucket").unwrap_or_default().trim_start_matches('/').to_owned();
    Some(Request { method, key, query: query.to_owned(), headers, body })
}

type Answer = (&'static str, String, Vec<u8>);

fn refusal(status: &'static str, code: &str, detail: &str) -> Answer {
    let message = format!("told by {code}");
    let body =
        format!("<Error><Code>{code}</Code><Message>{message}</Message><Request>{detail}</Request></Error>");
    (status, "Content-Type: application/xml\r\n".to_owned(), body.into_bytes())
}

fn answer(request: &Request, objects: &Objects, is_conditional: bool) -> Answer {
    let Request { method, key, query, headers, body } = request;
    let is_signed = headers.get("authorization").is_some_and(|signed| signed.starts_with("AWS4-HMAC-SHA256"));
    if !is_signed {
        return refusal("403 Forbidden", "AccessDenied", "");
    }
    let mut objects = objects.lock().unwrap();
    let tag = "ETag: \"tag\"\r\n".to_owned();
    let found = objects.get(key);
    match method.as_str() {
        "GET" if key.is_empty() => ("200 OK", String::new(), list(&objects, query)),
        "PUT"
            if found.is_some()
                && is_conditional
                && headers.get("if-none-match").is_some_and(|tag| tag == "*") =>
        {
            refusal("412 Precondition Failed", "PreconditionFailed", "")
        }
        "PUT" => {
            objects.insert(key.clone(), body.clone());
            ("200 OK", tag, Vec::new())
        }
        "DELETE" => {
            objects.remove(key);
            ("204 No Content", String::new(), Vec::new())
        }
        "GET" | "HEAD" => match (found, headers.get("range")) {
            (None, _) => refusal("404 Not Found", "NoSuchKey", ""),
            (Some(bytes), None) => ("200 OK", tag, bytes.clone()),
            (Some(bytes), Some(range)) => ranged(bytes, range, tag),
        },
        _ => refusal("400 Bad Request", "InvalidRequest", ""),
    }
}

fn ranged(bytes: &[u8], range: &str, tag: String) -> Answer {
    let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
    let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let end = bytes.len().min(last.saturating_add(1));
    match bytes.get(first..end).filter(|part| !part.is_empty()) {
        None => refusal("416 Range Not Satisfiable", "InvalidRange", ""),
        Some(part) => {
            let range = format!("{tag}Content-Range: bytes {first}-{}/{}\r\n", end - 1, bytes.len());
            ("206 Partial Content", range, part.to_vec())
        }
    }
}

fn list(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Vec<u8> {
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(value.replace("%2F", "/"))
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let after = parameter("continuation-token");
    let is_next = |key: &String| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| key > after);
    let mut found = objects.iter().filter(|(key, _)| is_next(key)).peekable();
    let (mut text, mut last) = ("<ListBucketResult>".to_owned(), None);
    for (key, bytes) in found.by_ref().take(PAGE) {
        let (len, at) = (bytes.len(), "2021-01-01T00:00:00.000Z");
        text += &format!(
            "<Contents><Key>{key}</Key><Size>{len}</Size><LastModified>{at}</LastModified></Contents>"
        );
        last = Some(key);
    }
    if let Some(last) = last.filter(|_| found.peek().is_some()) {
        text += &format!("<NextContinuationToken>{last}</NextContinuationToken>");
    }
    (text + "</ListBucketResult>").into_bytes()
}
