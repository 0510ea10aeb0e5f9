//! The reader of a file: decodes records from lines, polls a followed file, and checks that the file is still
//! the same.

use std::fs::File;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use super::followed::{Found, OnRewritten};
use super::format::{Decoder, Format, Next};
use super::identity::{FilePosition, Identity, Node, Read};
use super::input::Input;
use super::watch::Watch;
use crate::connector::lines::{LinePosition, Lines, TURN};
use crate::connector::{Malformed, Reader, Status};
use crate::data::Visit;
use crate::error::{Error, Result};

/// The settings of a file reader.
pub(super) struct Settings<F> {
    pub(super) format: F,
    pub(super) max_length: usize,
    /// The table of followed files, if the source follows, and the poll interval.
    pub(super) following: Option<(Arc<Watch>, Duration)>,
    pub(super) policy: OnRewritten,
}

/// Reads a file.
pub struct FileReader<F: Format> {
    settings: Settings<F>,
    id: String,
    /// `None` if the file was gone before it could be opened.
    open: Option<Open<F>>,
    from: FilePosition,
    /// True if it is skipped as a copy of another file.
    is_passed: bool,
    malformed: Vec<Malformed>,
}

/// A file that is open.
struct Open<F: Format> {
    file: Arc<File>,
    node: Node,
    /// False for a pipe, for example, which cannot be read twice.
    is_regular: bool,
    path: String,
    lines: Lines<Input>,
    decoder: F::Decoder,
    /// The identity of all bytes that were read.
    read: Read,
    /// The identity of the bytes before the next record.
    done: Read,
    /// True if there was nothing to read.
    waits: bool,
    /// How often it was polled since it left the directory.
    away: u32,
}

impl<F: Format> Open<F> {
    fn new(file: Arc<File>, path: &str, settings: &Settings<F>) -> Result<Open<F>> {
        let cannot = |error| Error::io(format!("cannot read {path}"), error);
        let input = Input::new(Arc::clone(&file)).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        // A compressed file is identified by its whole content at once: positions in the unpacked text do not
        // correspond to bytes of the file.
        let read = match input.kind() {
            Some(_) => Read::default().up_to(&file, metadata.len()).map_err(cannot)?,
            None => Read::default(),
        };
        let grows = settings.following.is_some() && input.kind().is_none();
        Ok(Open {
            node: Node::of(&metadata),
            is_regular: metadata.is_file(),
            file,
            path: path.to_owned(),
            lines: Lines::new(input, path.to_owned(), settings.max_length, grows),
            decoder: settings.format.decoder(),
            read,
            done: read,
            waits: false,
            away: 0,
        })
    }

    /// Seeks to the position of an earlier reader.
    fn go_to(&mut self, place: &FilePosition) -> Result<()> {
        self.decoder.seek(&mut self.lines, LinePosition { offset: place.offset, line: place.line })?;
        self.remember()
    }

    fn is_compressed(&self) -> bool {
        self.lines.input().kind().is_some()
    }

    /// Updates the checksums of what was read.
    fn remember(&mut self) -> Result<()> {
        let end = self.lines.looked_at();
        if self.is_compressed() || !self.is_regular {
            return Ok(());
        }
        let place = self.decoder.position(&self.lines).offset;
        let cannot = |error| Error::io(format!("cannot read {}", self.path), error);
        self.read = self.read.up_to(&self.file, end).map_err(cannot)?;
        self.done =
            if place == end { self.read } else { self.done.up_to(&self.file, place).map_err(cannot)? };
        Ok(())
    }

    /// How the file differs from what was read, if it does.
    fn difference(&self) -> Result<Option<String>> {
        self.read
            .difference(&self.file)
            .map_err(|error| Error::io(format!("cannot read {}", self.path), error))
    }

    fn place(&self) -> FilePosition {
        let LinePosition { offset, line } = self.decoder.position(&self.lines);
        let of = Some(Identity { path: self.path.clone(), node: self.node, read: self.done });
        FilePosition { offset, line, of }
    }
}

/// Why reading paused.
enum Pause {
    More,
    Nothing,
    End,
}

impl<F: Format> FileReader<F> {
    /// Opens the file of a split, which has an id and was at a path.
    pub(super) fn open(
        settings: Settings<F>,
        (id, path): (&str, &str),
        from: Option<FilePosition>,
    ) -> Result<FileReader<F>> {
        let found = match &settings.following {
            Some((watch, _)) => watch.open(id)?,
            None => Found::Unknown,
        };
        let place = from.clone().unwrap_or_default();
        let mut reader = FileReader {
            settings,
            id: id.to_owned(),
            open: None,
            from: place,
            is_passed: false,
            malformed: Vec::new(),
        };
        let (file, path) = match found {
            Found::Here(file, path, is_copy) => {
                reader.is_passed = is_copy;
                (file, path)
            }
            Found::Gone(length) => return reader.gone(path, length).map(|()| reader),
            Found::Unknown => {
                let file =
                    File::open(path).map_err(|error| Error::io(format!("cannot open {path}"), error))?;
                (Arc::new(file), path.to_owned())
            }
        };
        let mut open = Open::new(file, &path, &reader.settings)?;
        if let Some(place) = &from {
            let cannot = |error| Error::io(format!("cannot read {path}"), error);
            match (place.differs(&open.file).map_err(cannot)?, reader.settings.policy) {
                (None, _) => open.go_to(place)?,
                (Some(_), OnRewritten::ReadAnew) => {}
                (Some(difference), OnRewritten::Fail) => {
                    return Err(rewritten(&path, place.offset, &difference));
                }
            }
        }
        reader.open = Some(open);
        Ok(reader)
    }

    /// Handles a file that is gone before it was opened.
    fn gone(&self, path: &str, length: u64) -> Result<()> {
        let read = self.from.of.as_ref().map_or(self.from.offset, |of| of.read.end);
        // A file that was read completely may go; otherwise records would be lost without notice.
        if length > read {
            return Err(Error::io(
                format!(
                    "{path} had {length} bytes, of which {read} were read, and has gone: leave files where they are until they have been read"
                ),
                ErrorKind::NotFound.into(),
            ));
        }
        Ok(())
    }

    /// Handles a file that differs from what was read, by the policy.
    fn rewritten(&mut self, difference: &str) -> Result<Status> {
        let Some(open) = &mut self.open else { return Ok(Status::Done) };
        match self.settings.policy {
            OnRewritten::Fail => Err(rewritten(&open.path, open.lines.looked_at(), difference)),
            OnRewritten::ReadAnew => {
                *open = Open::new(Arc::clone(&open.file), &open.path, &self.settings)?;
                Ok(Status::More)
            }
        }
    }

    /// Handles the end of what can be read now.
    fn wait(&mut self) -> Result<Status> {
        let (Some(open), Some((watch, every))) = (&mut self.open, &self.settings.following) else {
            return Ok(Status::Done);
        };
        watch.note(&self.id, open.place(), false);
        // The directory is searched at the first and the last poll after the file has left its place; a
        // listing for each poll would cost more than it finds.
        let is_last = every.saturating_mul(open.away) >= watch.linger;
        match watch.still(&self.id, &open.path, open.node, open.away == 0 || is_last)? {
            Some(path) => {
                open.lines.rename(&path);
                (open.path, open.away) = (path, 0);
            }
            None if is_last && open.away > 0 => {
                // Nothing more is expected: an incomplete last line is read as a record.
                open.lines.finish();
                return Ok(Status::More);
            }
            None => open.away += 1,
        }
        open.waits = true;
        Ok(Status::Wait(*every))
    }
}

impl<F: Format> Open<F> {
    fn read<V: Visit<F::Item>>(
        &mut self,
        limit: usize,
        malformed: &mut Vec<Malformed>,
        visit: &mut V,
    ) -> Result<Pause> {
        let start = self.lines.looked_at();
        let mut count = 0;
        while count < limit && self.lines.looked_at().saturating_sub(start) < TURN {
            let before = self.lines.looked_at();
            match self.decoder.next(&mut self.lines)? {
                Next::Record(record) => {
                    count += 1;
                    visit.visit(record);
                }
                Next::Malformed(bad) => {
                    count += 1;
                    malformed.push(bad);
                    if self.lines.looked_at() < before {
                        // The decoder has gone back behind an open quote, so much may have been scanned in
                        // vain.
                        return Ok(Pause::More);
                    }
                }
                Next::Busy => {}
                Next::Nothing => return Ok(Pause::Nothing),
                Next::End => return Ok(Pause::End),
            }
        }
        Ok(Pause::More)
    }
}

impl<F: Format> Reader for FileReader<F> {
    type Item = F::Item;
    type Position = FilePosition;

    fn read<V: Visit<F::Item>>(&mut self, limit: usize, visit: &mut V) -> Result<Status> {
        let Some(open) = &mut self.open else { return Ok(Status::Done) };
        // After a wait the file may have been rewritten in place. Checked before the first byte is read from
        // it.
        if std::mem::take(&mut open.waits)
            && let Some(difference) = open.difference()?
        {
            return self.rewritten(&difference);
        }
        let pause = match self.is_passed {
            true => Pause::End,
            false => open.read(limit, &mut self.malformed, visit)?,
        };
        let has_read = open.is_compressed() || open.lines.looked_at() != open.read.end;
        // At the end of what is there, a file that was cut short looks as if there were nothing more.
        if !matches!(pause, Pause::More)
            && has_read
            && let Some(difference) = open.difference()?
        {
            return self.rewritten(&difference);
        }
        open.remember()?;
        match pause {
            Pause::More => Ok(Status::More),
            Pause::Nothing => self.wait(),
            Pause::End => {
                if let Some((watch, _)) = &self.settings.following {
                    watch.note(&self.id, open.place(), true);
                }
                Ok(Status::Done)
            }
        }
    }

    fn position(&self) -> FilePosition {
        self.open.as_ref().map_or_else(|| self.from.clone(), Open::place)
    }

    fn malformed(&mut self) -> Vec<Malformed> {
        std::mem::take(&mut self.malformed)
    }
}

/// The error that a file is not the one any more of which an earlier part was read.
fn rewritten(path: &str, bytes: u64, difference: &str) -> Error {
    Error::data(format!(
        "{path} is not the file any more of which {bytes} bytes were read before: {difference}. Files that are read must only grow: append to them, or rename the old one and create a new one; or let the source read such a file from its beginning, with `on_rewritten(OnRewritten::ReadAnew)`, by which what was not read yet is missing"
    ))
}
