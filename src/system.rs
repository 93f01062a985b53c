//! What the system refuses, in words that name its limit; and whether there is memory for what comes.

use std::hint::black_box;
use std::io;

use nix::errno::Errno;
use nix::sys::resource::{getrlimit, Resource, RLIM_INFINITY};

use crate::error::{Error, Result};

/// The error for a descriptor, socket or thread that is not to be had.
pub(crate) fn refused(what: &str, problem: impl Into<io::Error>) -> Error {
    let error = problem.into();
    let limits: &[(&str, Resource)] = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOMEM) => return Error::Memory,
        Some(Errno::EMFILE) => &[("RLIMIT_NOFILE", Resource::RLIMIT_NOFILE)],
        // What threads are refused with, whichever it was.
        Some(Errno::EAGAIN) => &[("RLIMIT_NPROC", Resource::RLIMIT_NPROC), ("RLIMIT_AS", Resource::RLIMIT_AS)],
        _ => &[],
    };
    let finite = |(name, resource): &(&str, Resource)| {
        let limit = getrlimit(*resource).ok().map(|(soft, _)| soft).filter(|soft| *soft != RLIM_INFINITY)?;
        Some(format!("; {name} is {limit}"))
    };
    let limits: String = limits.iter().filter_map(finite).collect();
    Error::Network { what: what.to_owned(), problem: format!("{error}{limits}") }
}

/// Refuses what needs so much memory when it is not there now. Rust ends the process where an allocation fails, so who
/// will need much asks first.
pub(crate) fn room(bytes: usize) -> Result<()> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| Error::Memory)?;
    // An allocation that nobody looks at is none to the optimizer.
    black_box(room.as_mut_ptr());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_and_what_it_has_is_not() {
        assert_eq!(room(isize::MAX as usize), Err(Error::Memory));
        assert_eq!(room(usize::MAX), Err(Error::Memory));
        assert_eq!(room(1 << 20), Ok(()));
    }

    #[test]
    fn no_descriptor_left_names_the_limit_and_no_memory_is_a_status_of_its_own() {
        let message = refused("opening a socket", Errno::EMFILE).to_string();
        assert!(message.starts_with("opening a socket: ") && message.contains("; RLIMIT_NOFILE is "), "{message}");
        assert_eq!(refused("opening a socket", Errno::ENOMEM), Error::Memory);
    }
}
