//! Several runs, some of which do not know that they are followed, in stores that fail by a seed.

use crate::snapshot::tests::*;

struct World {
    memory: Memory,
    store: Arc<dyn Store>,
    /// All runs there were. Only the last may commit.
    runs: Vec<Run>,
    committed: Option<u64>,
    seed: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let memory = Memory::default();
        let faults = Faults {
            before: 0.04,
            after: 0.04,
            torn: 0.3,
            short: 0.02,
            stale: 0.2,
            stale_by: 12,
            ..Faults::default()
        };
        let store: Arc<dyn Store> = Arc::new(Faulty::new(Arc::new(memory.clone()), seed, faults));
        World { memory, store, runs: Vec::new(), committed: None, seed }
    }

    fn step(&mut self) {
        match draw(&mut self.seed, 10) {
            0 | 1 => {
                if let Ok(run) = Run::claim(&self.store) {
                    assert!(run.lease.last_epoch() >= self.committed);
                    self.runs.push(run);
                }
            }
            2 => drop(still(self.store.clone()).gc(1 + (self.seed % 2) as usize, NO_GRACE)),
            3..5 => self.snapshot_by_an_old_run(),
            _ => self.snapshot(),
        }
    }

    fn snapshot(&mut self) {
        let Some(run) = self.runs.last_mut() else { return };
        let epoch = run.next_epoch();
        if run.snapshot(epoch).is_ok() {
            assert!(Some(epoch) > self.committed);
            self.committed = Some(epoch);
        }
    }

    fn snapshot_by_an_old_run(&mut self) {
        let old = self.runs.len().saturating_sub(1);
        if old > 0 {
            let run = &mut self.runs[draw(&mut self.seed, old as u64) as usize];
            let outcome = run.snapshot(run.next_epoch());
            assert!(outcome.is_err(), "a run committed that another had followed");
        }
    }
}

#[test]
fn in_a_faulty_store_only_the_last_run_commits_and_nothing_is_lost() {
    let (mut committed, mut claimed) = (0, 0);
    for seed in 0..500 {
        let mut world = World::new(seed);
        for step in 0..30 {
            world.step();
            if step % 5 == 0 {
                assert!(assert_sound(&world.memory) >= world.committed, "seed {seed}");
            }
        }
        let latest = assert_sound(&world.memory);
        assert!(latest >= world.committed, "seed {seed}");
        let store: Arc<dyn Store> = Arc::new(world.memory.clone());
        let next = Run::claim(&store).unwrap();
        assert_eq!(next.lease.last_epoch(), latest, "seed {seed}");
        committed += world.committed.unwrap_or(0);
        claimed += world.runs.len();
    }
    assert!(committed > 2000 && claimed > 1000, "{committed} {claimed}");
}

#[test]
fn an_old_run_deletes_nothing_that_is_needed() {
    let (memory, store, _) = memory();
    let mut old = Run::claim(&store).unwrap();
    old.snapshots(1..=4);
    let mut next = Run::claim(&store).unwrap();
    next.snapshot(5).unwrap();
    let pending = next.write(6).unwrap();
    // It knows no better than that it holds the store.
    still(store.clone()).gc(1, NO_GRACE).unwrap();
    next.lease.commit(pending).unwrap();
    assert!(matches!(old.snapshot(9), Err(CommitError::Fenced)));
    assert_eq!(assert_sound(&memory), Some(6));
}

#[test]
fn a_snapshot_that_is_being_collected_is_given_no_name() {
    let (memory, store, repository) = memory();
    Run::claim(&store).unwrap().snapshots(1..=3);
    // The collector falls asleep between its intent and its first deletion.
    let faults = |call| Faults { crash: Some(call), ..Faults::default() };
    let asleep = (0..99).find_map(|call| {
        let then = memory.as_of(usize::MAX);
        let store = Arc::new(Faulty::new(Arc::new(then.clone()), 0, faults(call)));
        assert!(still(store).gc(1, NO_GRACE).is_err());
        (then.list("gc/").unwrap().len() == 1).then_some(then)
    });
    let asleep = asleep.unwrap();
    let repository_then = open(&asleep);
    assert_eq!(repository_then.list().unwrap().len(), 3);
    let error = repository_then.keep(&Selector::Epoch(1), "late").unwrap_err();
    assert!(error.to_string().contains("being collected"), "{error}");
    assert_eq!(repository_then.names().unwrap(), []);
    repository_then.keep(&Selector::Latest, "fine").unwrap();
    // Another collection, which keeps more, does not know if the first one has ended.
    repository_then.gc(9, NO_GRACE).unwrap();
    assert!(repository_then.keep(&Selector::Epoch(1), "late").is_err());
    // Once what it was to delete is gone, so is its intent.
    assert_eq!(repository_then.gc(1, NO_GRACE).unwrap().manifests, 2);
    assert_eq!(asleep.list("gc/").unwrap(), []);
    // One that was given before is seen.
    repository.keep(&Selector::Epoch(1), "early").unwrap();
    assert_eq!(repository.gc(1, NO_GRACE).unwrap().manifests, 1);
    assert_sound(&memory);
}
