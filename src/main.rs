//! The program: parses the command line, nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    calvaria::cli::main()
}
