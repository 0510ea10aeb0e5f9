//! `highwater lab FILE`: runs event-time cases and shows what happened.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use highwater::lab::case::{Case, Verdict};
use highwater::{Error, Result};

use super::usage::CasesArgs;
use crate::cli::print;

/// The exit code if something else came out than expected.
const DIFFERENT: u8 = 1;

/// The largest file of cases that is read, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// Runs the cases of all files.
pub(super) fn run(args: &CasesArgs) -> Result<u8> {
    let (mut as_expected, mut others, mut different) = (0, 0, Vec::new());
    for case in cases(args)? {
        let (text, verdict) = told(&case);
        match verdict {
            Some(Verdict::AsExpected) => as_expected += 1,
            Some(Verdict::NothingExpected) => others += 1,
            _ => different.push(case.id.clone()),
        }
        let is_fine = matches!(verdict, Some(Verdict::AsExpected | Verdict::NothingExpected));
        if !(args.quiet && is_fine) {
            print(&text)?;
        }
    }
    let cases = if as_expected == 1 { "case" } else { "cases" };
    let mut summary = format!("{as_expected} {cases} came out as expected");
    if others > 0 {
        let _ = write!(summary, ", {others} without anything expected");
    }
    if !different.is_empty() {
        let _ = write!(summary, ", {} did not: {}", different.len(), different.join(", "));
    }
    print(&format!("{summary}\n"))?;
    Ok(if different.is_empty() { 0 } else { DIFFERENT })
}

/// The cases that are asked for, of all files: if one is not understood, none runs.
fn cases(args: &CasesArgs) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for file in &args.files {
        let of_file = Case::parse(&read(file)?);
        cases.extend(of_file.map_err(|error| Error::data(format!("{}: {error}", file.display())))?);
    }
    if let Some(only) = &args.only {
        let count = cases.len();
        cases.retain(|case| case.id.contains(only));
        if cases.is_empty() {
            return Err(Error::config(format!(
                "none of the {count} cases has {only:?} in its name (--only)"
            )));
        }
    }
    Ok(cases)
}

fn read(file: &Path) -> Result<String> {
    let told = |error| Error::io(format!("cannot read {}", file.display()), error);
    if fs::metadata(file).map_err(told)?.len() > MAX_FILE {
        return Err(Error::data(format!(
            "{} is larger than 64 MiB, which no file of cases should be",
            file.display()
        )));
    }
    fs::read_to_string(file).map_err(told)
}

/// What happened in a case, and its verdict; none if it could not be run.
fn told(case: &Case) -> (String, Option<Verdict>) {
    let mut text = format!("{} ({})\n", case.id, case.operator);
    if !case.note.is_empty() {
        let _ = writeln!(text, "  {}", case.note);
    }
    let run = match case.run() {
        Ok(run) => run,
        Err(error) => {
            let _ = writeln!(text, "  cannot be run: {error}\n");
            return (text, None);
        }
    };
    let _ = write!(text, "{}", run.timeline);
    let _ = match &run.verdict {
        Verdict::AsExpected => writeln!(text, "  as expected\n"),
        Verdict::NothingExpected => writeln!(text, "  nothing is expected\n"),
        Verdict::Different { missing, unexpected } => {
            let missing = missing.iter().map(|row| format!("  missing    {row}\n"));
            let unexpected = unexpected.iter().map(|row| format!("  unexpected {row}\n"));
            writeln!(text, "{}", missing.chain(unexpected).collect::<String>())
        }
    };
    (text, Some(run.verdict))
}
