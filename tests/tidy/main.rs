//! The rules of the house, as far as a look at the text can tell.

// The helpers of tests are tests too.
#![allow(clippy::unwrap_used)]

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use modules::{Modules, Name};

/// The longest that a file may be.
const LINES: usize = 500;

/// The widest that a line of prose may be.
const COLUMNS: usize = 110;

/// A text file of the repository.
struct Text {
    /// From the root, with slashes.
    path: String,
    text: String,
}

impl Text {
    fn is_code(&self) -> bool {
        let roots = ["src/", "tests/", "benches/", "examples/"];
        self.path.ends_with(".rs") && roots.iter().any(|root| self.path.starts_with(root))
    }

    /// The lines that are compiled into the library: without comments, and without tests, which come last.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        let lines = lines.map(|line| line.split("//").next().unwrap_or_default());
        lines.enumerate().map(|(at, line)| (at + 1, line))
    }
}

/// All text files, but for what is built and what is hidden.
fn texts() -> Vec<Text> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut texts) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let relative = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            let ignored = ["target", "data", "shared", ".git", "fuzz/target", "fuzz/artifacts", "fuzz/found"];
            let is_ignored = ignored.contains(&relative.as_str());
            if path.is_dir() && !is_ignored && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() && !is_ignored {
                texts.extend(fs::read_to_string(&path).ok().map(|text| Text { path: relative, text }));
            }
        }
    }
    texts.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(texts.len() > 50, "the files of the repository are not where they should be");
    texts
}

fn assert_none(violations: Vec<String>, rule: &str) {
    assert!(violations.is_empty(), "{rule}\n{}", violations.join("\n"));
}

/// The modules of the library, in the order of `lib.rs`.
fn modules(texts: &[Text]) -> Vec<String> {
    let lib = texts.iter().find(|text| text.path == "src/lib.rs").unwrap();
    let names = lib.code().filter_map(|(_, line)| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    });
    names.collect()
}

/// The modules named by paths that begin with `crate::` in a line.
fn named(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for path in line.split("crate::").skip(1) {
        let is_list = path.starts_with('{');
        let list = if is_list { path.trim_start_matches('{').split('}').next().unwrap() } else { path };
        let items = if is_list { list.split(',').collect() } else { vec![list] };
        for item in items {
            names.push(item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

#[test]
fn modules_use_only_those_before_them() {
    let texts = texts();
    let modules = modules(&texts);
    assert!(modules.len() > 10, "the modules of lib.rs are not understood: {modules:?}");
    let place = |name: &str| modules.iter().position(|module| module == name);
    let mut violations = Vec::new();
    for text in &texts {
        let Some(path) = text.path.strip_prefix("src/") else { continue };
        let Some(own) = place(path.split(['/', '.']).next().unwrap()) else { continue };
        for (at, line) in text.code() {
            for name in named(line) {
                if place(&name).is_some_and(|other| other > own) {
                    let module = &modules[own];
                    violations
                        .push(format!("{}:{at}: {module} uses {name}, which comes after it", text.path));
                }
            }
        }
    }
    assert_none(violations, "The order of the modules in src/lib.rs is the order of dependency:");
}

/// The files that are in circles, or between two: those that are left when others are taken away that use
/// none that is left, or that none uses.
fn circles<'a>(arrows: &'a BTreeMap<&Name, BTreeSet<Name>>) -> BTreeSet<&'a Name> {
    let mut left: BTreeSet<&Name> = arrows.keys().copied().collect();
    loop {
        let uses = |name: &Name| arrows[name].iter().any(|used| left.contains(used));
        let is_used = |name: &Name| left.iter().any(|other| arrows[*other].contains(name));
        let stay: BTreeSet<&Name> = left.iter().copied().filter(|name| uses(name) && is_used(name)).collect();
        if stay.len() == left.len() {
            return left;
        }
        left = stay;
    }
}

#[test]
fn no_circle_of_files() {
    let modules = Modules::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    assert!(modules.0.len() > 200, "the files of the library are not found");
    let arrows = modules.arrows();
    let circles = circles(&arrows);
    let shown = circles.iter().map(|name| {
        let used = arrows[*name].iter().filter(|used| circles.contains(used)).map(|used| used.join("::"));
        format!("{} uses {}", name.join("::"), used.collect::<Vec<_>>().join(", "))
    });
    assert_none(shown.collect(), "No file uses one that uses it, by whatever way round:");
}

#[test]
fn files_use_only_those_before_them() {
    let modules = Modules::read(Path::new(env!("CARGO_MANIFEST_DIR")));
    let mut violations = Vec::new();
    for (name, used) in modules.arrows() {
        for used in used {
            let common = name.iter().zip(&used).take_while(|(one, other)| one == other).count();
            let (Some(one), Some(other)) = (name.get(common), used.get(common)) else { continue };
            let children = &modules.0[&name[..common]].children;
            let place = |child: &String| children.iter().position(|other| other == child);
            if place(other) > place(one) {
                violations.push(format!(
                    "{} uses {}, which comes after it",
                    name.join("::"),
                    used.join("::")
                ));
            }
        }
    }
    assert_none(violations, "The order of the modules in a mod.rs is the order of dependency:");
}

#[test]
fn paths_are_understood() {
    assert_eq!(named("use crate::time::{Time, crate_x};"), ["time"]);
    assert_eq!(named("use crate::{data::Record, Error};"), ["data", "Error"]);
    assert_eq!(named("pub(crate) fn f(_: crate::state::Run) -> crate::window::Pane {"), ["state", "window"]);
}

#[test]
fn every_file_begins_by_saying_what_it_is() {
    let texts = texts();
    let silent = texts.iter().filter(|text| text.is_code() && !text.text.starts_with("//! "));
    assert_none(silent.map(|text| text.path.clone()).collect(), "A file of Rust begins with `//!`:");
}

#[test]
fn no_file_is_long() {
    let texts = texts();
    let lengths = texts.iter().filter(|text| text.is_code()).map(|text| (text, text.text.lines().count()));
    let long = lengths.filter(|(_, lines)| *lines > LINES);
    let long = long.map(|(text, lines)| format!("{}: {lines} lines", text.path));
    assert_none(long.collect(), "A file has one idea and at most 500 lines:");
}

/// Whether a line of a comment can be broken: it has several words outside code spans and links, and is no
/// row of a table and no code.
fn is_prose(comment: &str) -> bool {
    let mut words = 0;
    for (at, text) in comment.split('`').enumerate() {
        words += if at % 2 == 0 { text.split_whitespace().count() } else { 0 };
    }
    words > 3 && !comment.trim_start().starts_with(['|', '['])
}

#[test]
fn prose_is_wrapped() {
    let mut violations = Vec::new();
    for text in texts().iter().filter(|text| text.is_code()) {
        let mut is_fenced = false;
        for (line, at) in text.text.lines().zip(1..) {
            let Some(comment) = line.trim_start().strip_prefix("//") else { continue };
            let comment = comment.trim_start_matches(['/', '!']);
            is_fenced ^= comment.trim_start().starts_with("```");
            if !is_fenced && line.chars().count() > COLUMNS && is_prose(comment) {
                violations.push(format!("{}:{at}", text.path));
            }
        }
    }
    assert_none(violations, "Comments are at most 110 columns wide, but for tables and code:");
}

#[test]
fn no_machine_is_named() {
    // In pieces, so that they are not found here.
    let folders =
        ["/ro|ot/", "/ho|me/", "/wo|rk/", "/t|mp/", "/Us|ers/"].map(|folder| folder.replace('|', ""));
    let mut violations = Vec::new();
    for text in texts() {
        for (line, at) in text.text.lines().zip(1..) {
            // Elsewhere a slash is part of an address or of a fraction.
            let begins = |folder: &String| {
                line.match_indices(folder.as_str())
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-)".contains(c)))
            };
            violations.extend(
                folders
                    .iter()
                    .filter(|folder| begins(folder))
                    .map(|folder| format!("{}:{at}: {folder}", text.path)),
            );
        }
    }
    assert_none(
        violations,
        "A path of one machine does not exist on the next; use std::env::temp_dir or arguments:",
    );
}

#[test]
fn every_example_is_in_the_readme_with_what_it_prints() {
    let texts = texts();
    let readme = texts.iter().find(|text| text.path == "README.md").unwrap();
    let mut violations = Vec::new();
    for text in texts.iter().filter(|text| text.path.starts_with("examples/")) {
        let name = text.path.trim_start_matches("examples/").trim_end_matches(".rs");
        if !readme.text.contains(&format!("`{name}`")) {
            violations.push(format!("{}: the README does not mention it", text.path));
        }
        if !text.text.contains(&format!("//! $ cargo run --example {name}\n")) {
            violations.push(format!("{}: its head does not say how to run it", text.path));
        }
    }
    assert_none(violations, "Examples are found and say what they print:");
}
