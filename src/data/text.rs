//! Text that is cheap to hold: borrowed from memory that lives as long as the process, or shared.
//!
//! Records with owned strings cost an allocation on one thread and a free on another, which limits a stream
//! of such records more than the work on them. A [`Text`] is two words and a tag. It refers either to bytes
//! that are never freed (a constant, a file that stays mapped) or to a shared allocation that many texts may
//! have in common; cloning it never copies its bytes.
//!
//! The bytes are UTF-8 by convention, not by proof: a decoder that hands out a text from a mapped
//! file does not read it. [`Text::as_str`] checks, and replaces what is not UTF-8.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::prefetch::RAW;

/// An immutable string that is cheap to clone, to move and to drop.
///
/// Two texts compare and hash by their bytes, wherever these lie.
///
/// ```
/// use highwater::data::Text;
/// let constant = Text::constant("Google");
/// let owned = Text::from(String::from("Google"));
/// assert_eq!(constant, owned);
/// assert_eq!(owned.as_str(), "Google");
/// ```
#[derive(Clone)]
pub struct Text(Bytes);

#[derive(Clone)]
enum Bytes {
    Constant(&'static [u8]),
    Shared(Shared),
}

/// A shared allocation that is released out of line.
///
/// Dropping a record with three texts must be little enough code to be inlined wherever the record is
/// dropped. When it is, the compiler sees that texts from a mapped file own nothing, and records of which
/// only numbers are used never exist in memory. With a plain `Arc` here it is not: a filter over bids
/// (Nexmark q2) then costs 27 ns per event instead of 9.
struct Shared(ManuallyDrop<Arc<[u8]>>);

impl Clone for Shared {
    fn clone(&self) -> Shared {
        Shared(ManuallyDrop::new(Arc::clone(&self.0)))
    }
}

impl Drop for Shared {
    #[inline(always)]
    #[allow(unsafe_code, reason = "the only way to drop a field out of line; measured above")]
    fn drop(&mut self) {
        // SAFETY: this is the drop of the struct that holds the field, which nothing uses afterwards.
        release(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// Releases a shared allocation.
///
/// It takes the pointer, not a reference to it: a text whose address is taken must lie in memory. The ABI
/// says that it does not unwind, so there is nothing to clean up after it, and dropping three texts is three
/// tests and calls.
#[cold]
#[inline(never)]
#[allow(
    improper_ctypes_definitions,
    reason = "the ABI is for what it says of unwinding; nothing foreign calls this"
)]
extern "C" fn release(bytes: Arc<[u8]>) {
    drop(bytes);
}

impl Text {
    /// A text over bytes that are never freed.
    pub const fn constant(text: &'static str) -> Text {
        Text(Bytes::Constant(text.as_bytes()))
    }

    /// A text over bytes that are never freed and have not been checked to be UTF-8.
    pub const fn from_static_bytes(bytes: &'static [u8]) -> Text {
        Text(Bytes::Constant(bytes))
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Bytes::Constant(bytes) => bytes,
            Bytes::Shared(bytes) => &bytes.0,
        }
    }

    /// The text; bytes that are not UTF-8 show as U+FFFD. Costs a pass over the bytes.
    pub fn as_str(&self) -> Cow<'_, str> {
        // Looking for bytes that are not UTF-8 is slower than looking whether there are any.
        str::from_utf8(self.as_bytes())
            .map_or_else(|_| String::from_utf8_lossy(self.as_bytes()), Cow::Borrowed)
    }

    /// The part between two places, counted in bytes, or `None` if the text is shorter. Bytes that are never
    /// freed are not copied for it; those of a shared allocation are, so that a small part does not keep a
    /// large whole.
    ///
    /// ```
    /// use highwater::data::Text;
    /// let text = Text::constant("item.htm");
    /// assert_eq!(text.get(0..4), Some(Text::constant("item")));
    /// assert_eq!(text.get(5..9), None);
    /// ```
    pub fn get(&self, range: Range<usize>) -> Option<Text> {
        match &self.0 {
            Bytes::Constant(bytes) => bytes.get(range).map(Text::from_static_bytes),
            Bytes::Shared(bytes) => bytes.0.get(range).map(|part| Text::from(Arc::<[u8]>::from(part))),
        }
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// True if there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for Text {
    fn default() -> Text {
        Text::constant("")
    }
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::from(Arc::<[u8]>::from(text.into_bytes()))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::from(Arc::<[u8]>::from(text.as_bytes()))
    }
}

impl From<Arc<[u8]>> for Text {
    /// A text over bytes that are shared already and have not been checked to be UTF-8.
    fn from(bytes: Arc<[u8]>) -> Text {
        Text(Bytes::Shared(Shared(ManuallyDrop::new(bytes))))
    }
}

impl PartialEq for Text {
    #[inline]
    fn eq(&self, other: &Text) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Text) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Text) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&self.as_str());
        }
        serializer.serialize_newtype_struct(RAW, &Raw(self.as_bytes()))
    }
}

/// The bytes, for binary formats. Whether they are UTF-8 is checked only when they are encoded, not when they
/// are prefetched.
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_bytes(self.0);
        }
        match str::from_utf8(self.0) {
            Ok(text) => Exact::Text(Cow::Borrowed(text)).serialize(serializer),
            Err(_) => Exact::Bytes(self.0.to_vec()).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer).map(Text::from);
        }
        Ok(match Exact::deserialize(deserializer)? {
            Exact::Text(text) => Text::from(Arc::<[u8]>::from(text.as_bytes())),
            Exact::Bytes(bytes) => Text::from(Arc::<[u8]>::from(bytes)),
        })
    }
}

/// What goes to another worker or into a snapshot, and comes back byte for byte. Most texts are UTF-8, which
/// codecs are good at.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Text")]
enum Exact<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    Bytes(Vec<u8>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The encoding in snapshots depends on this.
    #[test]
    fn a_text_is_written_as_it_always_was() {
        let (text, bytes) = (Text::from("ab"), Text::from(Arc::<[u8]>::from([0xff])));
        assert_eq!(postcard::to_allocvec(&text).unwrap(), [0, 2, b'a', b'b']);
        assert_eq!(postcard::to_allocvec(&bytes).unwrap(), [1, 1, 0xff]);
        assert_eq!(
            bitcode::serialize(&text).unwrap(),
            bitcode::serialize(&Exact::Text("ab".into())).unwrap()
        );
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"ab\"");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_from_another_worker(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in ".{0,20}") {
            for text in [Text::from(Arc::<[u8]>::from(bytes)), Text::from(text)] {
                let encoded = postcard::to_allocvec(&text).unwrap();
                prop_assert_eq!(postcard::from_bytes::<Text>(&encoded).unwrap(), text.clone());
                let encoded = bincode::serialize(&text).unwrap();
                prop_assert_eq!(bincode::deserialize::<Text>(&encoded).unwrap(), text.clone());
                let encoded = bitcode::serialize(&text).unwrap();
                prop_assert_eq!(bitcode::deserialize::<Text>(&encoded).unwrap(), text);
            }
        }
    }
}
