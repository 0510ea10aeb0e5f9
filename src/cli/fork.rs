//! `highwater fork`: a new snapshot directory that begins with a snapshot of another one, and a second job
//! that restores it.
//!
//! The program of the job replaces this process, so signals and the exit code are its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use highwater::object::Local;
use highwater::program::saving::{existing, quoted};
use highwater::snapshot::Manifest;
use highwater::{Error, Result};

use super::usage::ForkArgs;
use super::{print, selector, warn};

/// The options that are added to the command, which must not contain them.
const GIVEN: [&str; 3] = ["--snapshots", "--restore", "--fresh"];

/// Forks, and starts the job if there is one to start; gives the exit code otherwise.
pub(crate) fn run(args: &ForkArgs) -> Result<u8> {
    if let Some(given) = args.command.iter().find(|word| is_given(word)) {
        return Err(Error::config(format!(
            "{} is what the fork says to the job: leave it out after `--`",
            given.display()
        )));
    }
    let repository = existing(&args.directory)?;
    // Checked before anything is created.
    selector::found(repository.find(&args.snapshot)?, &args.snapshot, &args.directory)?;
    check_empty(&args.into)?;
    let manifest = repository.fork(&args.snapshot, Arc::new(Local::open(&args.into)?))?;
    let told = told(args, &manifest);
    let [program, arguments @ ..] = &args.command[..] else { return print(&told).map(|()| 0) };
    warn(&told);
    let mut command = Command::new(program);
    command.args(arguments).arg("--snapshots").arg(&args.into).args(["--restore", "latest"]);
    // This returns only if it fails.
    let error = command.exec();
    let into = args.into.display();
    Err(Error::io(
        format!("cannot start {}: start it with --snapshots {into} --restore latest", program.display()),
        error,
    ))
}

fn is_given(word: &OsString) -> bool {
    let word = word.to_string_lossy();
    GIVEN.contains(&word.split('=').next().unwrap_or_default())
}

/// An error if the directory is not empty; it is left unchanged.
fn check_empty(into: &Path) -> Result<()> {
    let shown = into.display();
    match fs::read_dir(into).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::config(format!("{shown} is not empty: name a new directory with --into"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io(format!("{shown} cannot be a new directory: name another"), error)),
    }
}

fn told(args: &ForkArgs, manifest: &Manifest) -> String {
    let (directory, into) = (args.directory.display(), args.into.display());
    let (epoch, job) = (manifest.epoch, &manifest.job);
    let mut told = format!("{into} begins with the snapshot of epoch {epoch} of {directory}\n");
    if args.command.is_empty() {
        let into = quoted(&args.into.to_string_lossy());
        told.push_str(&format!(
            "To go on from it, start the job {job:?} with another output and:\n  --snapshots {into} --restore latest\n"
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_fork_says_is_not_said_twice() {
        let is_given = |word: &str| is_given(&OsString::from(word));
        assert!(is_given("--snapshots") && is_given("--restore=latest") && is_given("--fresh"));
        assert!(!is_given("--workers") && !is_given("snapshots") && !is_given("--snapshots-of"));
    }
}
