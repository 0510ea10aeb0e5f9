//! Codecs and compressions: what a job has written in one way, it goes on from in any other.

use std::collections::BTreeMap;
use std::sync::Arc;

use highwater::config::Options;
use highwater::connector::Collection;
use highwater::harness::Simulation;
use highwater::object::{Memory, Store};
use highwater::snapshot::{Codec, Compression, PageHead, Repository, Restore, Selector, Snapshots};
use highwater::stream::Job;
use highwater::time::{Epochs, Watermarks};

use crate::draws::Event;
use crate::kinds::Everything;
use crate::world::millis;

const COUNT: i64 = 9000;

/// All ways that this program was built with.
fn ways() -> Vec<(Codec, Compression)> {
    let codecs = [Codec::Columnar, Codec::Rows, Codec::Abomonation, Codec::Blocks];
    let compressions = [Compression::None, Compression::Lz4, Compression::Zstd];
    let is_built = |way: &(Codec, Compression)| {
        (way.0 != Codec::Abomonation || cfg!(feature = "abomonation"))
            && (way.1 != Compression::Zstd || cfg!(feature = "zstd"))
    };
    codecs.into_iter().flat_map(|codec| compressions.map(|by| (codec, by))).filter(is_built).collect()
}

/// Events of 50 keys, as many of each.
fn job() -> Job {
    let job = Job::new();
    let events: Vec<Event> = (0..COUNT).map(|n| ((n * 7 % 50) as u8, n, n)).collect();
    let watermarks = Watermarks::bounded(millis(5), |event: &Event| event.2);
    let events = job.source(Collection::splits([events]), watermarks);
    events.key_by(|event| event.0).process_in_order(Everything::default()).uid("all").discard();
    job
}

fn options(store: &Arc<dyn Store>, (codec, compression): (Codec, Compression)) -> Options {
    let snapshots = Snapshots::in_store(Arc::clone(store)).every_epochs(1).restore(Restore::Latest);
    #[cfg(feature = "abomonation")]
    let snapshots = snapshots.plain::<u8, (), u64>();
    let snapshots = snapshots.codec(codec).compression(compression);
    Options::default().epochs(Epochs::records(300)).snapshots(snapshots)
}

/// The heads of the pages of a table in the last snapshot, with their bodies.
fn pages(store: &Arc<dyn Store>, table: &str) -> Vec<(PageHead, Vec<u8>)> {
    let (_, manifest) = Repository::open(Arc::clone(store)).find(&Selector::Latest).unwrap().unwrap();
    let read = manifest.pages().map(|page| {
        let bytes = store.read_range(&page.segment, page.offset, page.len as usize).unwrap().unwrap();
        PageHead::decode(&bytes).unwrap()
    });
    read.filter(|(head, _)| head.table == table).collect()
}

/// The epoch of the last snapshot.
fn epoch(store: &Arc<dyn Store>) -> Option<u64> {
    let found = Repository::open(Arc::clone(store)).find(&Selector::Latest).unwrap();
    found.map(|(_, manifest)| manifest.epoch)
}

#[test]
fn what_is_written_in_one_way_is_gone_on_from_in_another() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let ways = ways();
    assert!(ways.len() >= 4);
    for (n, way) in ways.iter().enumerate() {
        let simulation = Simulation::seeded(n as u64).options(options(&store, *way).workers(1 + n % 3));
        let mut running = simulation.start(&job()).unwrap();
        // It crashes when it has taken a snapshot with something new in it.
        let before = epoch(&store);
        let is_own = |(head, body): &(PageHead, Vec<u8>)| {
            let is_plain = way.0 != Codec::Abomonation || body[0] == 1;
            // Columns of so few and so regular rows are as small as they can be.
            let is_compressed = head.compression == way.1 || way.0 == Codec::Columnar;
            head.codec == way.0 && is_compressed && is_plain
        };
        while epoch(&store) == before || !pages(&store, "state count").iter().any(is_own) {
            assert!(!running.is_finished(), "{way:?}");
            running.steps(1).unwrap();
        }
        drop(running);
        assert!(Repository::open(Arc::clone(&store)).verify().unwrap().findings.is_empty());
    }
    Simulation::seeded(0).options(options(&store, ways[0])).run(&job()).unwrap();
    let repository = Repository::open(Arc::clone(&store));
    let counts = repository.state::<u8, (), u64>(&Selector::Latest, "all", "count").unwrap();
    let expected: BTreeMap<_, _> = (0..50u8).map(|key| ((key, ()), COUNT as u64 / 50)).collect();
    assert!(counts.all().unwrap() == expected);
}

#[cfg(not(all(feature = "zstd", feature = "abomonation")))]
#[test]
fn a_job_does_not_start_in_a_way_that_the_program_was_built_without() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let ways = [
        (!cfg!(feature = "zstd")).then_some((Codec::Rows, Compression::Zstd, "the feature `zstd`")),
        (!cfg!(feature = "abomonation")).then_some((
            Codec::Abomonation,
            Compression::Lz4,
            "the feature `abomonation`",
        )),
    ];
    for (codec, compression, told) in ways.into_iter().flatten() {
        let refused = job().run_with(options(&store, (codec, compression))).unwrap_err();
        assert!(refused.to_string().contains(told), "{refused}");
    }
    assert!(store.list("").unwrap().is_empty());
}
