//! Runs on an object store that answers as services do.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as Failure, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result as Outcome,
};

use tempfile::TempDir;

use crate::object::remote_tests::{files, over};
use crate::object::{PutError, Remote, Store, check};
use crate::snapshot::{Cause, Repository, Selector};

/// What happens to the puts of a [`Client`].
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    /// It is done, and repeated by the client, which is told that there is one.
    ExistsAfter,
    /// The same, by the other status that services have for it.
    PreconditionAfter,
    /// It is not done, and said to be taken: two met.
    Conflict,
    /// It is not done.
    Fails,
    /// It is done, and the answer never comes.
    Hangs,
    /// It is done whatever is there.
    Overwrites,
}

/// An object store in memory, of whose puts every so many have an odd answer.
#[derive(Debug)]
struct Client {
    memory: InMemory,
    answer: Answer,
    each: u64,
    puts: AtomicU64,
}

impl Client {
    fn new(answer: Answer, each: u64) -> Client {
        Client { memory: InMemory::new(), answer, each, puts: AtomicU64::new(0) }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a client that answers {:?}", self.answer)
    }
}

impl ObjectStore for Client {
    fn put_opts<'a: 'f, 'b: 'f, 'f>(
        &'a self,
        at: &'b Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> BoxFuture<'f, Outcome<PutResult>> {
        Box::pin(async move {
            assert!(options.mode == PutMode::Create, "nothing is put over something else");
            let (path, source) = (at.to_string(), "told by the test".into());
            if self.puts.fetch_add(1, Ordering::SeqCst) % self.each != self.each - 1 {
                return self.memory.put_opts(at, payload, options).await;
            }
            match self.answer {
                Answer::Conflict => return Err(Failure::AlreadyExists { path, source }),
                Answer::Fails => return Err(Failure::Generic { store: "test", source }),
                Answer::Overwrites => return self.memory.put_opts(at, payload, PutOptions::default()).await,
                _ => {}
            }
            self.memory.put_opts(at, payload, options).await?;
            match self.answer {
                Answer::ExistsAfter => Err(Failure::AlreadyExists { path, source }),
                Answer::PreconditionAfter => Err(Failure::Precondition { path, source }),
                _ => std::future::pending().await,
            }
        })
    }

    fn put_multipart_opts<'a: 'f, 'b: 'f, 'f>(
        &'a self,
        _: &'b Path,
        _: PutMultipartOptions,
    ) -> BoxFuture<'f, Outcome<Box<dyn MultipartUpload>>> {
        unreachable!("a put in parts has no condition")
    }

    fn get_opts<'a: 'f, 'b: 'f, 'f>(
        &'a self,
        at: &'b Path,
        options: GetOptions,
    ) -> BoxFuture<'f, Outcome<GetResult>> {
        self.memory.get_opts(at, options)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Outcome<Path>>) -> BoxStream<'static, Outcome<Path>> {
        self.memory.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Outcome<ObjectMeta>> {
        self.memory.list(prefix)
    }

    fn list_with_delimiter<'a: 'f, 'b: 'f, 'f>(
        &'a self,
        prefix: Option<&'b Path>,
    ) -> BoxFuture<'f, Outcome<ListResult>> {
        self.memory.list_with_delimiter(prefix)
    }

    fn copy_opts<'a: 'f, 'b: 'f, 'c: 'f, 'f>(
        &'a self,
        _: &'b Path,
        _: &'c Path,
        _: CopyOptions,
    ) -> BoxFuture<'f, Outcome<()>> {
        unreachable!("nothing is copied")
    }
}

#[test]
fn whatever_puts_are_answered_one_run_commits_and_the_next_goes_on() {
    for answer in
        [Answer::ExistsAfter, Answer::PreconditionAfter, Answer::Conflict, Answer::Fails, Answer::Hangs]
    {
        for each in 1..6 {
            let client: Arc<dyn ObjectStore> = Arc::new(Client::new(answer, each));
            let store = Remote::over(client, "jobs/a").unwrap().patience(Duration::from_millis(20));
            let repository = Repository::open(Arc::new(store));
            let mut committed = None;
            for epoch in 1..8 {
                let Ok(mut lease) = repository.claim("job") else { continue };
                assert_eq!(lease.from().map(|(_, manifest)| manifest.epoch), committed, "{answer:?} {each}");
                lease.commit(lease.manifest(epoch, Cause::Interval, 1)).unwrap();
                committed = Some(epoch);
            }
            let found = repository.find(&Selector::Latest).unwrap().map(|(_, manifest)| manifest.epoch);
            assert_eq!(found, committed, "{answer:?} {each}");
            let comes_true = match answer {
                Answer::ExistsAfter | Answer::PreconditionAfter => true,
                // The second put of the probe is of a name that is there, whatever else is said of it.
                Answer::Conflict | Answer::Hangs => each > 1,
                _ => each > 2,
            };
            assert_eq!(committed.is_some(), comes_true, "{answer:?} {each}");
        }
    }
}

#[test]
fn an_object_store_that_overwrites_is_refused() {
    check(&over(InMemory::new())).unwrap();
    check(&files(&TempDir::new().unwrap())).unwrap();
    let refused = check(&over(Client::new(Answer::Overwrites, 1))).unwrap_err();
    assert!(refused.to_string().contains("creates one name twice"), "{refused}");
}

#[test]
fn of_many_threads_one_creates_and_none_waits_for_ever() {
    let store = over(InMemory::new());
    let won: usize = std::thread::scope(|scope| {
        let create = |n: u8| usize::from(store.create("log/1", &[n; 100]).is_ok());
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || create(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
    let hanging = over(Client::new(Answer::Hangs, 1)).patience(Duration::from_millis(50));
    let Err(PutError::Failed(error)) = hanging.create("log/1", b"one") else { panic!("it hangs") };
    assert!(error.to_string().contains("no answer within 50ms"), "{error}");
    assert_eq!(hanging.read("log/1").unwrap().as_deref(), Some(&b"one"[..]));
}
