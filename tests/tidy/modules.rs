//! The modules of the library as a look at the text sees them: who is whose child, and which file uses which.
//!
//! A path is followed to the file that defines what it names, through whatever re-exports it. Files that only
//! re-export (`mod.rs` of a folder) are passed through and use nobody by that. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The names from the crate root on.
pub(crate) type Name = Vec<String>;

/// A file of the library.
pub(crate) struct Module {
    /// In the order of the file.
    pub(crate) children: Vec<String>,
    items: BTreeSet<String>,
    /// What is named here by a `use`, and whether others may take it from here.
    uses: BTreeMap<String, (Name, bool)>,
    globs: Vec<Name>,
    /// All paths that are written down but for re-exports, from the crate root on.
    paths: Vec<Name>,
}

/// All files of the library by their names.
pub(crate) struct Modules(pub(crate) BTreeMap<Name, Module>);

impl Modules {
    /// Reads them, from `src/lib.rs` on.
    pub(crate) fn read(root: &Path) -> Modules {
        let mut modules = Modules(BTreeMap::new());
        modules.load(Vec::new(), root.join("src/lib.rs"));
        modules
    }

    fn load(&mut self, name: Name, file: PathBuf) {
        let text = code_of(&fs::read_to_string(&file).unwrap());
        let is_folder = ["lib.rs", "mod.rs"].iter().any(|end| file.ends_with(end));
        let folder = if is_folder { file.parent().unwrap().to_owned() } else { file.with_extension("") };
        let children: Vec<String> = text.lines().filter_map(child).collect();
        for child in &children {
            let paths = [folder.join(format!("{child}.rs")), folder.join(child).join("mod.rs")];
            if let Some(path) = paths.into_iter().find(|path| path.exists()) {
                self.load([&name[..], std::slice::from_ref(child)].concat(), path);
            }
        }
        let module = Module::of(&name, &text, children);
        self.0.insert(name, module);
    }

    /// The file that defines what a path names.
    fn owner(&self, path: &[String], depth: usize) -> Option<Name> {
        let known = (0..=path.len()).rev().find(|len| self.0.contains_key(&path[..*len]))?;
        let (name, rest) = path.split_at(known);
        let module = &self.0[name];
        let Some(first) = rest.first() else { return Some(name.to_vec()) };
        if module.items.contains(first) || depth > 8 {
            return Some(name.to_vec());
        }
        if let Some((target, _)) = module.uses.get(first) {
            return self.owner(&[target, &rest[1..]].concat(), depth + 1);
        }
        let of_glob = |glob: &Name| {
            let owner = self.owner(&[glob, rest].concat(), depth + 1)?;
            self.0[&owner].items.contains(first).then_some(owner)
        };
        module.globs.iter().find_map(of_glob).or(Some(name.to_vec()))
    }

    /// Which files each file uses.
    pub(crate) fn arrows(&self) -> BTreeMap<&Name, BTreeSet<Name>> {
        let targets = |name: &Name, module: &Module| {
            let owners = module.paths.iter().filter_map(|path| self.owner(path, 0));
            owners.filter(|owner| owner != name && !owner.is_empty()).collect()
        };
        self.0.iter().map(|(name, module)| (name, targets(name, module))).collect()
    }
}

impl Module {
    fn of(name: &Name, text: &str, children: Vec<String>) -> Module {
        let items = text.lines().filter_map(item).collect();
        let mut module =
            Module { children, items, uses: BTreeMap::new(), globs: Vec::new(), paths: Vec::new() };
        let mut rest = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let Some((is_public, mut tree)) = use_tree(line) else {
                rest.push_str(line);
                rest.push('\n');
                continue;
            };
            while !tree.contains(';') {
                tree.push_str(lines.next().unwrap_or(";"));
            }
            for (path, alias) in leaves(tree.trim_end_matches([';', ' '])) {
                module.add_use(name, &path, alias, is_public);
            }
        }
        module.paths.extend(written_paths(&rest).filter_map(|path| absolute(name, &module.children, &path)));
        module
    }

    fn add_use(&mut self, name: &Name, path: &[String], alias: Option<String>, is_public: bool) {
        let Some(mut target) = absolute(name, &self.children, path) else { return };
        if target.last().is_some_and(|last| last == "self") {
            target.pop();
        }
        if target.last().is_some_and(|last| last == "*") {
            target.pop();
            self.globs.push(target.clone());
        } else if let Some(last) = target.last() {
            self.uses.insert(alias.unwrap_or_else(|| last.clone()), (target.clone(), is_public));
        }
        if !is_public {
            self.paths.push(target);
        }
    }
}

/// The text of a file without comments, and without tests, which come last or are files of their own.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            // Further attributes of the same item.
            while lines.peek().is_some_and(|next| next.trim().starts_with("#[")) {
                lines.next();
            }
            match lines.next() {
                Some(next) if next.starts_with("mod ") && next.ends_with('{') => break,
                _ => continue,
            }
        }
        // Where something is visible is no use of what is there.
        let line = line.split("//").next().unwrap_or_default();
        let mut parts = line.split("pub(in ");
        code.push_str(parts.next().unwrap_or_default());
        parts.for_each(|part| {
            code.push_str("pub ");
            code.push_str(part.split_once(')').map_or("", |(_, rest)| rest).trim_start());
        });
        code.push('\n');
    }
    code
}

fn visible(line: &str) -> (bool, &str) {
    let Some(rest) = line.strip_prefix("pub") else { return (false, line) };
    let rest = if rest.starts_with('(') { rest.split_once(')').map_or(rest, |(_, rest)| rest) } else { rest };
    (true, rest.trim_start())
}

fn child(line: &str) -> Option<String> {
    Some(visible(line).1.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
}

fn item(line: &str) -> Option<String> {
    let mut rest = visible(line).1;
    for word in ["unsafe ", "async ", "const fn "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let kinds =
        ["struct ", "enum ", "trait ", "fn ", "type ", "const ", "static ", "union ", "macro_rules! "];
    let found = kinds.iter().find_map(|kind| rest.strip_prefix(kind));
    // What is left of `const fn` is the name.
    let name = found.or_else(|| visible(line).1.starts_with("const fn ").then_some(rest))?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}

fn use_tree(line: &str) -> Option<(bool, String)> {
    let (is_public, rest) = visible(line.trim_start());
    Some((is_public, rest.strip_prefix("use ")?.to_owned()))
}

/// The paths of a tree of uses, with the names that they are given.
fn leaves(tree: &str) -> Vec<(Name, Option<String>)> {
    let tree = tree.trim();
    if let Some(list) = tree.strip_prefix('{').and_then(|list| list.strip_suffix('}')) {
        let (mut depth, mut parts) = (0, vec![String::new()]);
        for c in list.chars() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            match c {
                ',' if depth == 0 => parts.push(String::new()),
                _ => parts.last_mut().unwrap().push(c),
            }
        }
        return parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| leaves(part)).collect();
    }
    if let Some((first, rest)) = tree.split_once("::") {
        let prefix = |(path, alias): (Name, _)| ([&[first.trim().to_owned()], &path[..]].concat(), alias);
        return leaves(rest).into_iter().map(prefix).collect();
    }
    let (name, alias) = tree.split_once(" as ").unzip();
    vec![(vec![name.unwrap_or(tree).trim().to_owned()], alias.map(|alias| alias.trim().to_owned()))]
}

/// The paths in code that begin with `crate`, `super` or `self`.
fn written_paths(code: &str) -> impl Iterator<Item = Name> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(move |c| !is_part(c)).filter_map(|path| {
        let path = path.trim_end_matches(':');
        let begins = ["crate::", "super::", "self::"].iter().any(|begin| path.starts_with(begin));
        begins.then(|| path.split("::").map(str::to_owned).collect())
    })
}

/// A path from the crate root on, if it leads into the crate.
fn absolute(name: &Name, children: &[String], path: &[String]) -> Option<Name> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([name, &path[1..]].concat()),
        "super" => Some([&name[..name.len().checked_sub(ups)?], &path[ups..]].concat()),
        first if path.len() > 1 && children.iter().any(|child| child == first) => Some([name, path].concat()),
        _ => None,
    }
}
