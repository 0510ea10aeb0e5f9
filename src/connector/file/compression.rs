//! Compressed files: how they are distinguished from text, and how they are unpacked, which needs the feature
//! `compression`.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connector) enum Kind {
    Gzip,
    Zstandard,
}

impl Kind {
    /// The compression of a file that begins with these bytes, if it is compressed. Text does not begin like
    /// this: the second byte of gzip and the first two of Zstandard are not characters.
    pub(in crate::connector) fn of(start: &[u8]) -> Option<Kind> {
        match start {
            [0x1f, 0x8b, 8, ..] => Some(Kind::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Kind::Zstandard),
            // A skippable frame, which others follow.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Kind::Zstandard),
            _ => None,
        }
    }

    /// Its name in messages.
    pub(in crate::connector) fn name(self) -> &'static str {
        match self {
            Kind::Gzip => "gzip",
            Kind::Zstandard => "Zstandard",
        }
    }
}

/// The content of a file that is at its beginning.
#[cfg(feature = "compression")]
pub(in crate::connector) fn unpack(kind: Kind, file: Arc<File>) -> io::Result<Box<dyn Read>> {
    Ok(match kind {
        Kind::Gzip => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Kind::Zstandard => Box::new(frames::Frames::new(file)),
    })
}

/// The error that this build cannot unpack files.
#[cfg(not(feature = "compression"))]
pub(in crate::connector) fn unpack(kind: Kind, _: Arc<File>) -> io::Result<Box<dyn Read>> {
    let name = kind.name();
    let message = format!(
        "it is compressed by {name}, and this program was built without the feature `compression`: build it with that, or unpack the file"
    );
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

#[cfg(feature = "compression")]
mod frames {
    use std::fs::File;
    use std::io::{self, BufRead, BufReader, ErrorKind, Read};
    use std::sync::Arc;

    use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
    use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

    /// All frames of a file, one after the other. The decoder reads one.
    pub(in crate::connector) struct Frames {
        source: BufReader<Arc<File>>,
        decoder: FrameDecoder,
        /// True within a frame.
        is_open: bool,
    }

    impl Frames {
        pub(in crate::connector) fn new(file: Arc<File>) -> Frames {
            Frames { source: BufReader::new(file), decoder: FrameDecoder::new(), is_open: false }
        }

        /// Moves to the next frame; false if there is none.
        fn open(&mut self) -> io::Result<bool> {
            while !self.source.fill_buf()?.is_empty() {
                match self.decoder.reset(&mut self.source) {
                    Ok(()) => return Ok(true),
                    Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                        length,
                        ..
                    })) => {
                        let length = u64::from(length);
                        if io::copy(&mut (&mut self.source).take(length), &mut io::sink())? < length {
                            return Err(ErrorKind::UnexpectedEof.into());
                        }
                    }
                    Err(error) => return Err(damaged(error)),
                }
            }
            Ok(false)
        }

        /// An error if the content of the frame does not match its checksum.
        fn check(&self) -> io::Result<()> {
            match (self.decoder.get_checksum_from_data(), self.decoder.get_calculated_checksum()) {
                (Some(said), Some(found)) if said != found => Err(damaged("the checksum differs")),
                _ => Ok(()),
            }
        }
    }

    impl Read for Frames {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if buffer.is_empty() {
                return Ok(0);
            }
            loop {
                if !self.is_open && !self.open()? {
                    return Ok(0);
                }
                self.is_open = true;
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let decoded =
                        self.decoder.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1));
                    decoded.map_err(damaged)?;
                }
                let count = self.decoder.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.check()?;
                self.is_open = false;
            }
        }
    }

    fn damaged(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, error)
    }
}
