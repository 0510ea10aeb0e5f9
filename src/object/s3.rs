//! Buckets of S3, and of services that speak like it: by an address, and settings from the environment.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use crate::error::{Error, Result};
use crate::object::remote::Remote;

/// What a request is repeated for. All of it lies within the patience of a store.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(2),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: 6, retry_timeout: Duration::from_secs(12) }
}

impl Remote {
    /// What lies below `s3://bucket/prefix`, with settings from the environment and from `options`, which
    /// come first.
    ///
    /// The environment has them as variables that begin with `AWS_`: `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_ENDPOINT_URL` for other services than
    /// that of AWS, and `AWS_ALLOW_HTTP=true` if those have no TLS. Without keys the machine's, container's
    /// or web identity's role is asked for. Files in `~/.aws` are not read. Options are the same in small
    /// letters, such as `("aws_region", "eu-central-1")`; all are listed with `AmazonS3ConfigKey` of the
    /// crate `object_store`.
    ///
    /// Requests nothing yet. A request that the server fails is repeated some times, for 12 seconds at most.
    ///
    /// # Errors
    ///
    /// If the address is not of this form, or has credentials in it; if an option is unknown, or a setting
    /// makes no sense.
    ///
    /// ```
    /// use highwater::object::Remote;
    ///
    /// let store = Remote::s3("s3://bucket/jobs/counts", [("aws_region", "eu-central-1")])?;
    /// assert_eq!(format!("{store:?}"), r#"Remote { at: "s3://bucket/jobs/counts", .. }"#);
    /// # Ok::<(), highwater::Error>(())
    /// ```
    pub fn s3<K: AsRef<str>, V: Into<String>>(
        address: &str,
        options: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Remote> {
        let (bucket, prefix) = parts(address)?;
        // The patience of the store bounds a request by what it carries; this is only so that none stays for
        // ever.
        let mut builder = AmazonS3Builder::new()
            .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), "3600s")
            .with_retry(retries());
        // Without the prefix, the names are as common as TOKEN and REGION.
        let settings = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        for (key, value) in settings.filter(|(key, _)| key.starts_with("AWS_")) {
            if let Ok(key) = key.to_ascii_lowercase().parse() {
                builder = builder.with_config(key, value);
            }
        }
        for (key, value) in options {
            let key = key.as_ref();
            let known = key.to_ascii_lowercase().parse().map_err(|_| {
                Error::config(format!(
                    "{key:?} is no option of S3: see `AmazonS3ConfigKey` of the crate object_store"
                ))
            })?;
            builder = builder.with_config(known, value);
        }
        // Single deletes: not every service has those of many objects, and few objects are deleted.
        let client =
            builder.with_bucket_name(bucket).with_disable_bulk_delete(true).build().map_err(|error| {
                Error::config(format!(
                    "the settings for s3://{bucket} make no sense: {}",
                    crate::object::remote::told(&error.to_string())
                ))
            })?;
        let mut remote = Remote::over(Arc::new(client), prefix)?;
        remote.called = format!("s3://{bucket}/{}", prefix.trim_matches('/'));
        Ok(remote)
    }
}

/// The bucket and the prefix of an address. What is wrong with it is said without repeating it: it may have
/// credentials in it.
fn parts(address: &str) -> Result<(&str, &str)> {
    let wrong = |what: &str| {
        Error::config(format!(
            "the address of a bucket {what}: it is s3://bucket/prefix, and keys are set in the environment, \
             as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))
    };
    let rest = address.strip_prefix("s3://").or_else(|| address.strip_prefix("s3a://"));
    let rest = rest.ok_or_else(|| wrong("begins with something else than s3://"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let is_ok = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if bucket.is_empty() || !bucket.bytes().all(is_ok) {
        return Err(wrong("has a bucket that is none"));
    }
    match prefix.contains(['?', '#', '@', '%']) {
        true => Err(wrong("has '?', '#', '@' or '%' in it")),
        false => Ok((bucket, prefix)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    #[test]
    fn an_address_is_a_bucket_and_a_prefix() {
        assert_eq!(parts("s3://a-b.c/x/y").unwrap(), ("a-b.c", "x/y"));
        assert_eq!(parts("s3a://a").unwrap(), ("a", ""));
        for wrong in [
            "",
            "s3:/a",
            "gs://a",
            "s3://",
            "s3:///a",
            "s3://a b/c",
            "s3://a/b?token=1",
            "s3://a/b#c",
            "s3://a/b%2f",
        ] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
        for wrong in ["s3://a/../b", "s3://a/b//c"] {
            assert!(Remote::s3(wrong, NONE).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_are_not_shown() {
        let refused = Remote::s3("s3://key:secret@bucket/x", NONE).unwrap_err();
        assert!(!format!("{refused:?}{refused}").contains("secret"), "{refused}");
        assert!(refused.to_string().contains("AWS_SECRET_ACCESS_KEY"), "{refused}");
        let keys =
            [("aws_access_key_id", "the key"), ("aws_secret_access_key", "secret"), ("aws_token", "secret")];
        let store = Remote::s3("s3://bucket/x", keys).unwrap();
        assert!(!format!("{store:?} {store:#?}").contains("secret"));
    }

    #[test]
    fn options_that_are_unknown_or_make_no_sense_are_refused() {
        assert!(
            Remote::s3("s3://b/x", [("aws_colour", "red")]).unwrap_err().to_string().contains("aws_colour")
        );
        assert!(Remote::s3("s3://b/x", [("aws_conditional_put", "sometimes")]).is_err());
    }
}
