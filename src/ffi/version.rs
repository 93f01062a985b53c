//! Which library this is.

use std::ffi::c_char;

use super::error::{mdnsreg_error, mdnsreg_status};
use super::guard;
use crate::error::{Error, Status};

/// The number of the ABI, that of the soname: functions are added under one number, and never changed
/// or removed.
pub const MDNSREG_ABI_VERSION: i32 = 0;

/// The version of the library that is loaded; compare with MDNSREG_VERSION, that of the header.
///
/// @return static text, "MAJOR.MINOR.PATCH"
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// The number of the ABI that is loaded; compare with MDNSREG_ABI_VERSION, that of the header.
///
/// @return the number
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_abi_version() -> i32 {
    MDNSREG_ABI_VERSION
}

/// Refuses a caller that was built for another ABI: call it once with MDNSREG_ABI_VERSION.
///
/// @param wanted  the ABI number of the header the caller was built with
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_VERSION | MDNSREG_ERR_BUSY (inside the log callback) |
///         MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_abi_check(wanted: i32, err: *mut *mut mdnsreg_error) -> mdnsreg_status {
    guard::status(err, || {
        if wanted == MDNSREG_ABI_VERSION {
            Ok(Status::OK)
        } else {
            Err(Error::Version { wanted, have: MDNSREG_ABI_VERSION })
        }
    })
}
