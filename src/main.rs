//! The `highwater` program: Nexmark queries, snapshots, the event-time laboratory.
//!
//! It uses the public interface of the library, as any user would. `highwater --help` is its manual.

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
