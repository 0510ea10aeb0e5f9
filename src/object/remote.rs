//! A store in an object store: S3 and what speaks like it, or whatever else the crate `object_store` reaches.
//!
//! An object is created by a put that says "only if there is none of this name", and the service decides who
//! was first. Nothing is ever put over something else, so nothing needs a comparison of versions.
//!
//! The client repeats a put that was answered with an error of the server, although the put may have been
//! done; then the repetition is answered that the name is taken, by this very put. And a service that sees
//! two puts at once may refuse one before either is there. So "taken" is checked once more here: if the name
//! is there, it is reported as taken, and whose it is, the protocol of snapshots settles, which reads and
//! compares; if it is not, the outcome is reported as unknown.
//!
//! The client is asynchronous and this interface is not. A thread of the store's own drives it; callers wait
//! for what they asked for, wherever they are, but no longer than the [patience](Remote::patience) that was
//! set.
//!
//! Error messages do not pass on the answers of services: these may repeat what was sent to them, down to
//! session tokens.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use futures_util::TryStreamExt;
use object_store::path::Path;
use object_store::{
    Error as Failure, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::object::name::{check_name, check_prefix};
use crate::object::{PutError, Store};

/// How long a call may take, unless said otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// The slowest that bytes may come or go: 1 MiB/s.
const SLOWEST: u64 = 1 << 20;

/// A store in an object store, such as a bucket of S3, under a prefix.
///
/// A call costs a request, or two when a name is taken. Callers may be on any thread; one that is
/// asynchronous is blocked meanwhile.
///
/// Each claim of a run [checks](crate::object::check) that the service creates a name only once, and refuses
/// it otherwise. A file system by way of `object_store` loses what was written when power is lost, unless it
/// was told to sync: better use [`Local`](crate::object::Local).
///
/// ```
/// use std::sync::Arc;
/// use highwater::object::{Remote, Store};
/// use object_store::memory::InMemory;
///
/// let store = Remote::over(Arc::new(InMemory::new()), "jobs/counts")?;
/// store.create("log/1", b"one")?;
/// assert!(store.create("log/1", b"another").is_err());
/// assert_eq!(store.list("log/")?, [("log/1".to_owned(), 3)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Remote {
    client: Arc<dyn ObjectStore>,
    /// What is before all names; empty or with a slash at the end.
    prefix: String,
    /// Its name in errors.
    pub(super) called: String,
    patience: Duration,
    driver: Driver,
}

/// Shows where it is, and nothing of the client: that may hold credentials.
impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("at", &self.called).finish_non_exhaustive()
    }
}

/// The thread that drives the client. It ends when this is dropped.
struct Driver {
    handle: Handle,
    _end: oneshot::Sender<()>,
}

/// Why a request has no answer that can be used.
enum Trouble {
    Late(Duration),
    Failed(Failure),
}

impl Remote {
    /// The objects below a prefix in any object store, such as one of Google or Azure; an empty prefix is all
    /// of it.
    ///
    /// Requests nothing yet. What a client does of its own about failures is for whoever made it: its retries
    /// should end well within the [patience](Remote::patience).
    ///
    /// # Errors
    ///
    /// If the prefix has empty parts, or parts of dots alone; or if there can be no thread.
    pub fn over(client: Arc<dyn ObjectStore>, prefix: &str) -> Result<Remote> {
        let whole = prefix.trim_matches('/');
        let path = Path::parse(whole).map_err(|error| {
            Error::config(format!("{prefix:?} cannot be the prefix of a snapshot store: {error}"))
        })?;
        let prefix = if path.as_ref().is_empty() { String::new() } else { format!("{path}/") };
        let called = format!("the object store, below {:?}", path.as_ref());
        Ok(Remote { client, prefix, called, patience: PATIENCE, driver: Driver::start()? })
    }

    /// How long a call may take, beside a second for each MiB that comes or goes; 20 seconds unless said
    /// otherwise.
    ///
    /// When it is over, a put may still be under way. A job notices and does not lose anything, but it cannot
    /// take snapshots meanwhile.
    pub fn patience(mut self, patience: Duration) -> Remote {
        self.patience = patience;
        self
    }

    fn path(&self, name: &str) -> Result<Path> {
        check_name(name)?;
        Path::parse(format!("{}{name}", self.prefix)).map_err(|error| self.error("name", name, &error.into()))
    }

    /// Runs a request with the time that its bytes need; `what` and `name` are for errors.
    fn call<T: Send + 'static>(
        &self,
        (what, name): (&str, &str),
        bytes: u64,
        request: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<Result<T, Failure>> {
        let outcome = self.driver.run(within(self.patience, bytes, request));
        match outcome.ok_or_else(|| self.gone())? {
            Ok(done) => Ok(Ok(done)),
            Err(Trouble::Failed(failure)) => Ok(Err(failure)),
            Err(Trouble::Late(limit)) => Err(self.late(what, name, limit)),
        }
    }

    /// An object's bytes, all or some; `None` if there is none.
    fn get(
        &self,
        name: &str,
        range: Option<GetRange>,
    ) -> Result<Result<Option<(ObjectMeta, Vec<u8>)>, Failure>> {
        let (client, path, patience) = (Arc::clone(&self.client), self.path(name)?, self.patience);
        let request = async move {
            let options = GetOptions { range, ..GetOptions::default() };
            // The length is known only from the head of the answer, so the body gets its time after that.
            let found = within(patience, 0, client.get_opts(&path, options)).await?;
            let (meta, len) = (found.meta.clone(), found.range.end.saturating_sub(found.range.start));
            Ok((meta, within(patience, len, found.bytes()).await?.to_vec()))
        };
        match self.driver.run(request).ok_or_else(|| self.gone())? {
            Ok(found) => Ok(Ok(Some(found))),
            Err(Trouble::Failed(Failure::NotFound { .. })) => Ok(Ok(None)),
            Err(Trouble::Failed(failure)) => Ok(Err(failure)),
            Err(Trouble::Late(limit)) => Err(self.late("read", name, limit)),
        }
    }

    /// How long an object is, if it is there.
    fn len(&self, name: &str) -> Result<Option<u64>> {
        let (client, path) = (Arc::clone(&self.client), self.path(name)?);
        match self.call(("look at", name), 0, async move { client.head(&path).await })? {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Failure::NotFound { .. }) => Ok(None),
            Err(failure) => Err(self.error("look at", name, &failure)),
        }
    }

    fn error(&self, what: &str, name: &str, failure: &Failure) -> Error {
        let (kind, advice) = match failure {
            Failure::PermissionDenied { .. } | Failure::Unauthenticated { .. } => (
                ErrorKind::Config,
                "; look at the credentials, and that they may get, put, list and delete objects there",
            ),
            Failure::NotImplemented { .. } | Failure::NotSupported { .. } => (
                ErrorKind::Config,
                "; snapshots need a store that can create an object only if there is none of its name",
            ),
            Failure::InvalidPath { .. } | Failure::UnknownConfigurationKey { .. } => (ErrorKind::Config, ""),
            _ => (ErrorKind::Io, "; look at the network, the address and the service, then run again"),
        };
        // Not as it is: the answer may repeat credentials.
        let told = told(&failure.to_string());
        Error::new(kind, format!("cannot {what} {name} in {}: {told}{advice}", self.called))
    }

    fn late(&self, what: &str, name: &str, limit: Duration) -> Error {
        let message = format!(
            "cannot {what} {name} in {}: no answer within {limit:.0?}; look at the network, the address and the credentials, then run again",
            self.called
        );
        Error::new(ErrorKind::Io, message)
    }

    fn gone(&self) -> Error {
        Error::new(
            ErrorKind::Panic,
            format!("the client of {} panicked: look at what it has printed", self.called),
        )
    }
}

impl Driver {
    fn start() -> Result<Driver> {
        let cannot = |error| Error::io("cannot start a thread for the snapshot store", error);
        // Blocking threads are what `object_store` reads and writes files on.
        let runtime =
            Builder::new_current_thread().enable_all().max_blocking_threads(8).build().map_err(cannot)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        // Ends when the store, and with it the sender, is dropped.
        let drive = move || drop(runtime.block_on(ended));
        thread::Builder::new().name("snapshot store".to_owned()).spawn(drive).map_err(cannot)?;
        Ok(Driver { handle, _end: end })
    }

    /// Waits for what the thread makes of a request; `None` if it panics.
    fn run<T: Send + 'static>(&self, request: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (tell, told) = sync_channel(1);
        self.handle.spawn(async move { tell.send(request.await) });
        // If the request panics, its sender is dropped without a value.
        told.recv().ok()
    }
}

/// Gives a request up when it takes longer than its patience and its bytes allow.
async fn within<T>(
    patience: Duration,
    bytes: u64,
    request: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Trouble> {
    let limit = patience.saturating_add(Duration::from_secs(bytes / SLOWEST));
    match tokio::time::timeout(limit, request).await {
        Ok(outcome) => outcome.map_err(Trouble::Failed),
        Err(_) => Err(Trouble::Late(limit)),
    }
}

/// The part of a failure that may be shown: the words before the service's answer, without the queries of
/// addresses; and of the answer, if it is XML, the code and the message.
pub(super) fn told(failure: &str) -> String {
    let (words, answer) = failure.split_at(failure.find('<').unwrap_or(failure.len()));
    let words = words.split(' ').map(|word| word.split('?').next().unwrap_or_default());
    let mut told: String = words.collect::<Vec<_>>().join(" ").trim_end().chars().take(400).collect();
    for tag in ["Code", "Message"] {
        let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
        let inner = answer.split_once(&open).and_then(|(_, rest)| rest.split_once(&close));
        if let Some((inner, _)) = inner {
            told.push(' ');
            told.extend(inner.chars().take(200));
        }
    }
    told
}

impl Store for Remote {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<(), PutError> {
        let (client, path) = (Arc::clone(&self.client), self.path(name)?);
        let payload = PutPayload::from(bytes.to_vec());
        let put = async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            client.put_opts(&path, payload, options).await
        };
        // Services answer in different ways that a name is taken. It may be by this very put, which the
        // client has repeated, or two puts may have met: so the name is looked up.
        match self.call(("create", name), bytes.len() as u64, put)? {
            Ok(_) => Ok(()),
            Err(
                Failure::AlreadyExists { .. } | Failure::Precondition { .. } | Failure::NotModified { .. },
            ) => match self.len(name)? {
                Some(_) => Err(PutError::Exists),
                None => Err(PutError::Failed(Error::new(
                    ErrorKind::Io,
                    format!(
                        "cannot create {name} in {}: another put of it was under way, and is not there yet",
                        self.called
                    ),
                ))),
            },
            Err(failure) => Err(PutError::Failed(self.error("create", name, &failure))),
        }
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let found = self.get(name, None)?.map_err(|failure| self.error("read", name, &failure))?;
        Ok(found.map(|(_, bytes)| bytes))
    }

    fn read_range(&self, name: &str, offset: u64, len: usize) -> Result<Option<Vec<u8>>> {
        check_name(name)?;
        let short =
            |ends: u64| Error::data(format!("{name} has no {len} bytes at {offset}: it ends at {ends}"));
        let end = offset.checked_add(len as u64);
        let range = end.filter(|_| len > 0).map(|end| GetRange::Bounded(offset..end));
        // There is no range of no bytes.
        let Some(range) = range else {
            let Some(ends) = self.len(name)? else { return Ok(None) };
            return if end.is_some_and(|end| end <= ends) { Ok(Some(Vec::new())) } else { Err(short(ends)) };
        };
        match self.get(name, Some(range))? {
            Ok(None) => Ok(None),
            Ok(Some((_, bytes))) if bytes.len() == len => Ok(Some(bytes)),
            Ok(Some((meta, _))) => Err(short(meta.size)),
            // Services differ in what they say of a range that is not there.
            Err(failure) => match self.len(name)? {
                Some(ends) if end.is_none_or(|end| end > ends) => Err(short(ends)),
                _ => Err(self.error("read", name, &failure)),
            },
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>> {
        check_prefix(prefix)?;
        // `object_store` lists whole folders. A prefix that ends within a name is applied below.
        let folder = prefix.rsplit_once('/').map_or("", |(folder, _)| folder);
        let folder = Path::parse(format!("{}{folder}", self.prefix))
            .map_err(|error| self.error("list", prefix, &error.into()))?;
        let (client, patience) = (Arc::clone(&self.client), self.patience);
        let request = async move {
            let mut listed = client.list(Some(&folder).filter(|folder| !folder.as_ref().is_empty()));
            let mut found = Vec::new();
            while let Some(meta) = within(patience, 0, listed.try_next()).await? {
                found.push((meta.location.to_string(), meta.size));
            }
            Ok(found)
        };
        let found =
            self.driver.run(request).ok_or_else(|| self.gone())?.map_err(|trouble| match trouble {
                Trouble::Late(limit) => self.late("list", prefix, limit),
                Trouble::Failed(failure) => self.error("list", prefix, &failure),
            })?;
        let own = found.into_iter().filter_map(|(path, len)| {
            let name = path.strip_prefix(&self.prefix)?;
            // What has no valid name belongs to someone else.
            (name.starts_with(prefix) && check_name(name).is_ok()).then(|| (name.to_owned(), len))
        });
        let mut own: Vec<_> = own.collect();
        own.sort();
        Ok(own)
    }

    fn delete(&self, name: &str) -> Result<()> {
        let (client, path) = (Arc::clone(&self.client), self.path(name)?);
        match self.call(("delete", name), 0, async move { client.delete(&path).await })? {
            Ok(()) | Err(Failure::NotFound { .. }) => Ok(()),
            Err(failure) => Err(self.error("delete", name, &failure)),
        }
    }
}
