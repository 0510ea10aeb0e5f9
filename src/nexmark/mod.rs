//! Nexmark.
