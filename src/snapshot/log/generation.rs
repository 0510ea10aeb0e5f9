//! The runs of a job on one snapshot store: an output uses them to decide what it may touch.
//!
//! A run is known by the number of its claim and by a nonce, 64 bits that are drawn for it. Numbers order the
//! runs of one store; nonces tell runs of the same number apart, of other stores, of copies of one, of
//! processes that all have the process id 1. So a name that carries both belongs to one run alone, and the
//! claims of a store tell which names its runs have made. Claims are never deleted.

use std::fmt;
use std::str::FromStr;

/// A run of a job, as its claim of the snapshot store identifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    /// Counts the runs on a store.
    pub number: u64,
    /// Distinguishes it from other runs of the same number.
    pub nonce: u64,
}

/// The form that is used in names: `3-9f86d081884c7d65`.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.number, self.nonce)
    }
}

/// Parses the displayed form, and no other spelling of it.
impl FromStr for Generation {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Generation, ()> {
        let (number, nonce) = text.split_once('-').ok_or(())?;
        let generation = Generation {
            number: number.parse().map_err(drop)?,
            nonce: u64::from_str_radix(nonce, 16).map_err(drop)?,
        };
        // A name belongs to one run alone, so `+3` and upper-case digits are refused.
        (generation.to_string() == text).then_some(generation).ok_or(())
    }
}

/// The runs that a snapshot store knows, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generations(Vec<Generation>);

impl Generations {
    /// True if it is one of them.
    pub fn contains(&self, generation: &Generation) -> bool {
        self.0.contains(generation)
    }

    /// The last one.
    pub fn last(&self) -> Option<Generation> {
        self.0.last().copied()
    }
}

impl FromIterator<Generation> for Generations {
    fn from_iter<I: IntoIterator<Item = Generation>>(generations: I) -> Generations {
        let mut generations: Vec<Generation> = generations.into_iter().collect();
        generations.sort_unstable();
        Generations(generations)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::object::Memory;
    use crate::snapshot::log::repository::Repository;

    #[test]
    fn a_store_knows_its_runs_and_no_other_does() {
        let repository = Repository::open(Arc::new(Memory::default()));
        let first = repository.claim("job").unwrap().run();
        let second = repository.claim("job").unwrap().run();
        let known = repository.generations().unwrap();
        assert!(known.contains(&first) && known.last() == Some(second) && first < second);
        let other = Repository::open(Arc::new(Memory::default()));
        let alike = other.claim("job").unwrap().run();
        assert_eq!(alike.number, first.number);
        assert!(!known.contains(&alike) && !other.generations().unwrap().contains(&first));
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let generation = Generation { number: 3, nonce: 0xab };
        assert_eq!(generation.to_string(), "3-00000000000000ab");
        assert_eq!("3-00000000000000ab".parse(), Ok(generation));
        for other in
            ["3-ab", "+3-00000000000000ab", "3-00000000000000AB", "3", "", "-", "03-00000000000000ab"]
        {
            assert_eq!(other.parse::<Generation>(), Err(()), "{other}");
        }
    }
}
