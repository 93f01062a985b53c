//! `mdns-registry`: list, get, register and watch services from a shell.

#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod args;
mod commands;
mod output;
mod program;
mod show;
mod watch;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use mdns_registry::{Error, Status};

/// Why a command ended other than well.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The registry refused or failed.
    #[error(transparent)]
    Registry(#[from] Error),
    /// The arguments cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// A file, standard output or the program to run.
    #[error("{what}: {error}")]
    System { what: String, error: io::Error },
}

impl Failure {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        let what = what.into();
        |error| Failure::System { what, error }
    }

    /// 1 not found, 2 what was asked cannot be, 3 anything else; a reader that went away is no failure.
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::System { error, .. } if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Failure::System { .. } => 3,
            Failure::Registry(error) => match error.status() {
                Status::NOT_FOUND => 1,
                Status::OPTION | Status::INVALID | Status::TOO_LARGE | Status::JSON | Status::UTF8 => 2,
                Status::UNSUPPORTED => 2,
                _ => 3,
            },
        }
    }
}

fn main() -> ExitCode {
    let outcome = match args::Arguments::try_parse() {
        Ok(arguments) => commands::run(arguments),
        Err(error) if error.use_stderr() => Err(Failure::Usage(args::one_line(&error))),
        Err(help) => help.print().map(|()| 0).map_err(Failure::system("standard output")),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let code = failure.exit_code();
            if code != 0 {
                // Nobody is left to tell where standard error is gone too.
                let _ = writeln!(io::stderr(), "mdns-registry: {}", output::visible(&failure.to_string()));
            }
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_failure_has_the_exit_code_of_the_manual() {
        let closed = || io::Error::from(io::ErrorKind::BrokenPipe);
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        for (failure, code) in [
            (Failure::Registry(Error::NotFound { name: "a".into() }), 1),
            (Failure::Usage("no such flag".into()), 2),
            (Failure::Registry(Error::Option { key: "wire".into(), problem: "?".into() }), 2),
            (Failure::Registry(Error::Forked), 3),
            (Failure::System { what: "a.json".into(), error: missing() }, 3),
            (Failure::System { what: "standard output".into(), error: closed() }, 0),
        ] {
            assert_eq!(failure.exit_code(), code, "{failure}");
        }
    }
}
