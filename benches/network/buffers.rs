//! A program with the receive buffer that the kernel gives by default, whatever it asks for.
//!
//! The limit a system would set, `net.core.rmem_max`, holds for the whole machine. So a seccomp filter answers requests
//! for SO_RCVBUF and SO_RCVBUFFORCE with success and does nothing, as the kernel does beyond that limit.

use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::{sock_filter, sock_fprog};

/// Where seccomp(2) keeps the number of the call and the low words of its arguments, on little-endian machines.
const NUMBER: u32 = 0;
const LEVEL: u32 = 16 + 8;
const OPTION: u32 = 16 + 2 * 8;

/// Becomes the program.
pub fn exec(words: &[String]) -> ! {
    let load = |k| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, k, 0, 0);
    let equal = |k: i64, yes, no| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, k as u32, yes, no);
    let answer = |k| statement(libc::BPF_RET | libc::BPF_K, k, 0, 0);
    let mut filter = [
        load(NUMBER),
        equal(libc::SYS_setsockopt, 0, 5),
        load(LEVEL),
        equal(libc::SOL_SOCKET.into(), 0, 3),
        load(OPTION),
        equal(libc::SO_RCVBUF.into(), 2, 0),
        equal(libc::SO_RCVBUFFORCE.into(), 1, 0),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_ERRNO),
    ];
    let program = sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: numbers, and a program that lives during the call.
    let installed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    };
    assert!(installed, "no seccomp filter: {}", std::io::Error::last_os_error());
    panic!("{words:?}: {}", Command::new(&words[0]).args(&words[1..]).exec());
}

fn statement(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter { code: code as u16, jt, jf, k }
}
