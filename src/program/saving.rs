//! The snapshot options of a program: what the job restores, how it is suspended, and what is printed of it.
//!
//! Options are checked before the job starts, so that a refusal names the options of the command line. The
//! job checks again when it claims the store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::usage::SavingArgs;
use super::{amount, selector};
use crate::connector::splits_of;
use crate::error::{Error, Result};
use crate::metric::Metrics;
use crate::object::store_at;
use crate::snapshot::{Cause, Manifest, Repository, Restore, Selector, Snapshots};

/// The snapshots of the job that is run.
pub struct Saving {
    directory: PathBuf,
    repository: Repository,
    /// The snapshot that the job restores.
    from: Option<Manifest>,
    /// The options for the job.
    pub snapshots: Snapshots,
}

/// What is reported of snapshots after a job has run.
pub struct Saved {
    /// Where they are.
    pub directory: PathBuf,
    /// How many were taken.
    pub taken: u64,
    /// The bytes written for them.
    pub bytes: u64,
    /// How many could not be written.
    pub failed: u64,
    /// How long the last one took, if one was taken.
    pub last: Option<Duration>,
    /// The epoch of the latest one.
    pub epoch: Option<u64>,
    /// The epoch of the one that the job restored.
    pub from: Option<u64>,
    /// True if the job was suspended there.
    pub is_suspended: bool,
}

impl Saved {
    /// The epoch at the end of which the job was suspended, if it was.
    pub fn suspended_at(&self) -> Option<u64> {
        self.epoch.filter(|_| self.is_suspended)
    }
}

impl Saving {
    /// The snapshots of the job of this name, as the options ask for; `None` if they ask for none.
    pub fn open(args: &SavingArgs, job: &str) -> Result<Option<Saving>> {
        let Some(directory) = &args.snapshots else { return Ok(None) };
        if let Some(Selector::Epoch(_) | Selector::Name(_)) = &args.restore {
            // A directory that does not exist has no such snapshot, and must not be created.
            existing(directory)?;
        }
        let store = store_at(directory)?;
        let repository = Repository::open(store.clone());
        let wanted = args.restore.clone().unwrap_or(Selector::Latest);
        let found = if args.fresh { None } else { repository.find(&wanted)?.map(|(_, manifest)| manifest) };
        let restore = decide(args, found.as_ref(), directory)?;
        if let Some(other) = found.as_ref().map(|found| &found.job).filter(|found| *found != job) {
            let directory = directory.display();
            return Err(Error::config(format!(
                "{directory} has snapshots of {other:?}, and this is {job:?}: name another directory"
            )));
        }
        let from = found.filter(|_| args.restore.is_some());
        let snapshots = Snapshots::in_store(store).job(job).restore(restore);
        let snapshots = snapshots.every(args.every).retain(args.retain.get());
        Ok(Some(Saving { directory: directory.clone(), repository, from, snapshots }))
    }

    /// The number of splits in the snapshot that the job restores.
    pub fn splits(&self) -> Result<Option<usize>> {
        let Some(from) = &self.from else { return Ok(None) };
        let mut splits = 0;
        for source in from.operators.iter().filter(|operator| operator.kind == "source") {
            splits += splits_of(source)?.len();
        }
        Ok((splits > 0).then_some(splits))
    }

    /// A note for the user before the job runs.
    pub fn note(&self, args: &SavingArgs) -> String {
        let directory = self.directory.display();
        match (&self.from, &args.restore) {
            (Some(from), _) => {
                let end = match from.cause {
                    Cause::End => ", which is that of the end of the input: there is nothing left to read",
                    _ => "",
                };
                format!(
                    "goes on from the snapshot of epoch {}, taken {}{end}\n",
                    from.epoch,
                    amount::date(from.at.cast_signed())
                )
            }
            (None, Some(_)) => format!("{directory} has no snapshot yet: begins at the beginning\n"),
            (None, None) => String::new(),
        }
    }

    /// The report after the job has run, or was interrupted.
    pub fn tell(&self, metrics: &Metrics, is_interrupted: bool) -> Saved {
        let metric = |name| u64::try_from(metrics.metric("snapshots", name).get()).unwrap_or(0);
        let taken = metric("taken");
        // The job has reported its own errors; if this look fails, the report says less.
        let latest = self.repository.find(&Selector::Latest).ok().flatten().map(|(_, manifest)| manifest);
        // A snapshot that was due may have followed the one taken on suspension, so its cause does not
        // matter.
        let goes_on = latest.as_ref().is_some_and(|manifest| manifest.cause != Cause::End);
        Saved {
            directory: self.directory.clone(),
            taken,
            bytes: metric("bytes"),
            failed: metric("failed"),
            last: (taken > 0).then(|| Duration::from_micros(metric("last_micros"))),
            epoch: latest.as_ref().map(|manifest| manifest.epoch),
            from: self.from.as_ref().map(|from| from.epoch),
            is_suspended: is_interrupted && taken > 0 && goes_on,
        }
    }
}

/// The snapshots in an existing directory, or in a bucket that has any. Creates nothing.
pub fn existing(directory: &Path) -> Result<Repository> {
    let shown = directory.display();
    let what = match directory.metadata() {
        Err(_) if is_address(directory) => {
            let repository = Repository::open(store_at(directory)?);
            if !repository.store().list("log/")?.is_empty() {
                return Ok(repository);
            }
            "there are no snapshots in"
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => "there is no directory",
        Err(error) => return Err(Error::io(format!("cannot look into {shown}"), error)),
        Ok(found) if !found.is_dir() => "this is no directory:",
        // What every store has since it was first opened. Without it this is a directory of something else.
        Ok(_) if !directory.join(".temporary").is_dir() && !directory.join("log").is_dir() => {
            "there are no snapshots in"
        }
        Ok(_) => return Ok(Repository::open(store_at(directory)?)),
    };
    Err(Error::config(format!("{what} {shown}: name the one that a job was given with --snapshots")))
}

/// True if [`store_at`] takes this for an address and not for a directory.
fn is_address(place: &Path) -> bool {
    let scheme = place.to_str().and_then(|place| place.split_once("://"));
    scheme.is_some_and(|(scheme, _)| {
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

/// What the job restores, given the snapshot that the options select, or else the latest.
fn decide(args: &SavingArgs, found: Option<&Manifest>, directory: &Path) -> Result<Restore> {
    match (&args.restore, found) {
        _ if args.fresh => Ok(Restore::Anew),
        (None, None) => Ok(Restore::Nothing),
        (None, Some(found)) => Err(Error::config(format!(
            "{} has snapshots of an earlier run, the latest of epoch {}: go on with --restore latest, or begin at the beginning with --fresh",
            directory.display(),
            found.epoch
        ))),
        (Some(Selector::Latest), _) => Ok(Restore::Latest),
        (Some(wanted), None) => Err(selector::missing(wanted, directory)),
        (Some(Selector::Epoch(epoch)), Some(_)) => Ok(Restore::Epoch(*epoch)),
        (Some(Selector::Name(name)), Some(_)) => Ok(Restore::Named(name.clone())),
    }
}

/// The message that the job was suspended at the end of an epoch, with the command that continues.
pub fn suspended(epoch: u64) -> String {
    format!("suspended at the end of epoch {epoch}. To go on:\n  {}\n", command(std::env::args()))
}

/// The command that continues where the one with these arguments was interrupted.
fn command(arguments: impl IntoIterator<Item = String>) -> String {
    let mut words = Vec::new();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--fresh" => {}
            "--restore" => drop(arguments.next()),
            given if given.starts_with("--restore=") => {}
            given => words.push(quoted(given)),
        }
    }
    words.extend(["--restore".to_owned(), "latest".to_owned()]);
    words.join(" ")
}

/// A word, quoted for a shell if it must be.
pub fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=,:+@%".contains(&byte);
    match !word.is_empty() && word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser;

    use super::*;
    use crate::error::ErrorKind;
    use crate::object::Memory;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        saving: SavingArgs,
    }

    fn args(line: &str) -> SavingArgs {
        Line::try_parse_from(["job", "--snapshots", "d"].into_iter().chain(line.split_whitespace()))
            .unwrap()
            .saving
    }

    fn manifest() -> Manifest {
        let repository = Repository::open(Arc::new(Memory::default()));
        repository.claim("job").unwrap().manifest(7, Cause::Interval, 2)
    }

    #[test]
    fn a_job_goes_on_only_if_it_is_told_to() {
        let (found, directory) = (manifest(), Path::new("d"));
        let decided = |line: &str, found: Option<&Manifest>| decide(&args(line), found, directory);
        assert_eq!(decided("", None).unwrap(), Restore::Nothing);
        let refused = decided("", Some(&found)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        let told = refused.to_string();
        assert!(
            told.contains("epoch 7") && told.contains("--restore latest") && told.contains("--fresh"),
            "{told}"
        );
        assert_eq!(decided("--fresh", Some(&found)).unwrap(), Restore::Anew);
        assert_eq!(decided("--restore latest", None).unwrap(), Restore::Latest);
        assert_eq!(decided("--restore 7", Some(&found)).unwrap(), Restore::Epoch(7));
        assert_eq!(decided("--restore good", Some(&found)).unwrap(), Restore::Named("good".to_owned()));
        let told = decided("--restore good", None).unwrap_err().to_string();
        assert!(told.contains("\"good\"") && told.contains("highwater snapshot list d"), "{told}");
    }

    #[test]
    fn what_is_said_of_snapshots_needs_a_directory() {
        for line in
            ["--every 1s", "--restore latest", "--fresh", "--retain 2", "--snapshots d --fresh --restore 1"]
        {
            let parsed = Line::try_parse_from(["job"].into_iter().chain(line.split_whitespace()));
            assert!(parsed.is_err(), "{line}");
        }
        assert_eq!(args("").every, Duration::from_secs(1));
        assert_eq!(Line::try_parse_from(["job"]).ok().unwrap().saving.snapshots, None);
    }

    #[test]
    fn the_command_to_go_on_is_the_same_from_the_latest_snapshot() {
        let line = |words: &[&str]| command(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(line(&["highwater", "q5", "--fresh"]), "highwater q5 --restore latest");
        assert_eq!(line(&["highwater", "--restore", "7", "q5"]), "highwater q5 --restore latest");
        assert_eq!(line(&["hw", "--restore=a", "-o", "my rows"]), "hw -o 'my rows' --restore latest");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
