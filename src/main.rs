//! The `highwater` program: runs the Nexmark queries and the event-time laboratory, and tells how that went.
//!
//! It uses the library as any user would, through what is public. `highwater --help` is its manual.

mod cli;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: highwater::Allocator = highwater::Allocator;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
