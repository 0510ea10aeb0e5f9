//! A store by what a user writes on a command line: a directory, or the address of a bucket.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::object::Store;
use crate::object::local::Local;

/// The store in a directory, which is made if there is none; or the one below an address such as
/// `s3://bucket/prefix`, with settings from the environment, if the crate was built with its feature `s3`
/// (see `Remote::s3`).
///
/// # Errors
///
/// If the directory cannot be made; if the address is of another kind, or of one that this program was built
/// without.
pub fn store_at(place: impl AsRef<Path>) -> Result<Arc<dyn Store>> {
    match address(place.as_ref()) {
        Some((scheme, address)) => open(scheme, address),
        None => Ok(Arc::new(Local::open(place)?)),
    }
}

/// The scheme of an address and all of it; `None` for a directory.
fn address(place: &Path) -> Option<(&str, &str)> {
    let place = place.to_str()?;
    let (scheme, _) = place.split_once("://")?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_scheme.then_some((scheme, place))
}

#[cfg(feature = "s3")]
fn s3(address: &str) -> Result<Arc<dyn Store>> {
    const NONE: [(&str, &str); 0] = [];
    Ok(Arc::new(crate::object::remote::Remote::s3(address, NONE)?))
}

#[cfg(not(feature = "s3"))]
fn s3(_: &str) -> Result<Arc<dyn Store>> {
    Err(Error::config(
        "this program was built without S3: build it with the feature `s3`, as in `cargo build --release --features s3`",
    ))
}

fn open(scheme: &str, address: &str) -> Result<Arc<dyn Store>> {
    match scheme {
        "s3" | "s3a" => s3(address),
        "file" => Err(Error::config(
            "snapshots go to a directory without `file://` before it: name the directory alone",
        )),
        // The address is not repeated: it may have credentials in it.
        _ => Err(Error::config(format!(
            "snapshots go to a directory or to s3://bucket/prefix, and not to {scheme}://: write `./` before it if it is a directory; \
             a program of your own reaches other object stores with `Remote::over`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_told_from_an_address() {
        for directory in ["state", "/a/b", "a:b", "./s3://x", "://x", "a b://c"] {
            assert_eq!(address(Path::new(directory)), None, "{directory}");
        }
        assert_eq!(address(Path::new("s3://a/b")), Some(("s3", "s3://a/b")));
    }

    #[test]
    fn what_cannot_be_reached_is_told_with_what_to_do() {
        let refused = |place: &str| store_at(place).unwrap_err().to_string();
        assert!(refused("file:///a").contains("without `file://`"));
        let told = refused("gs://key:secret@a/b");
        assert!(
            told.contains("gs://") && told.contains("Remote::over") && !told.contains("secret"),
            "{told}"
        );
        #[cfg(not(feature = "s3"))]
        assert!(refused("s3://a/b").contains("--features s3"));
        #[cfg(feature = "s3")]
        assert!(format!("{:?}", store_at("s3://a/b").unwrap()).contains("s3://a/b"));
    }
}
