//! `highwater snapshot verify`: checks that all snapshots are undamaged.

use highwater::Result;
use highwater::snapshot::Report;
use serde_json::json;

use super::existing;
use super::usage::VerifyArgs;
use crate::cli::amount::several;
use crate::cli::print;

/// The exit code if anything is damaged, after `sysexits.h`.
const DAMAGED_CODE: u8 = 65;

/// Verifies; returns the exit code.
pub(super) fn run(args: &VerifyArgs) -> Result<u8> {
    let report = existing(&args.directory)?.verify()?;
    print(&if args.json { json(&report) } else { text(&report) })?;
    Ok(if report.findings.is_empty() { 0 } else { DAMAGED_CODE })
}

fn text(report: &Report) -> String {
    let mut text: String = report.findings.iter().map(|finding| format!("{finding}\n")).collect();
    let wrong = match report.findings.len() as u64 {
        0 => "all as they should be".to_owned(),
        findings => several(findings, "finding"),
    };
    let counts = [(report.manifests, "snapshot"), (report.pages, "page"), (report.bytes, "byte")];
    let counts = counts.map(|(count, what)| several(count, what)).join(", ");
    text.push_str(&format!("{counts}: {wrong}\n"));
    if !report.findings.is_empty() {
        text.push_str("A snapshot that needs none of these objects can be gone on from: --restore with its epoch or name.\n");
    }
    text
}

fn json(report: &Report) -> String {
    let finding =
        |finding: &highwater::snapshot::Finding| json!({ "object": finding.object, "what": finding.what });
    let object = json!({
        "snapshots": report.manifests,
        "pages": report.pages,
        "bytes": report.bytes,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use highwater::snapshot::Finding;

    use super::*;

    #[test]
    fn each_finding_has_a_line() {
        let mut report = Report { manifests: 2, pages: 1_200, bytes: 5, findings: Vec::new() };
        assert_eq!(text(&report), "2 snapshots, 1,200 pages, 5 bytes: all as they should be\n");
        let finding = |object: &str| Finding { object: object.to_owned(), what: "is damaged".to_owned() };
        report.findings = vec![finding("pages/1/a"), finding("names/b")];
        let told = text(&report);
        assert!(told.starts_with("pages/1/a: is damaged\nnames/b: is damaged\n"), "{told}");
        assert!(told.contains(": 2 findings\n"), "{told}");
        let read: serde_json::Value = serde_json::from_str(&json(&report)).unwrap();
        assert_eq!(read["findings"][1]["object"], "names/b");
    }
}
