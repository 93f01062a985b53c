//! Registries behind handles: the verbs.

use std::ffi::{c_char, CString};

use super::error::{mdnsreg_error, mdnsreg_status};
use super::guard::{self, Out};
use super::handle::{Object, Pinned};
use super::{callback, table, text};
use crate::error::{Result, Status};
use crate::model::{to_json, Selection, Service};
use crate::options::{Options, RegisterOptions};
use crate::registry::Registry;

/// A registry: what this program registers, and its view of what others do.
#[allow(non_camel_case_types)]
pub struct mdnsreg_registry {
    _private: [u8; 0],
}

/// A registry behind a handle.
pub(super) struct Opened {
    pub(super) registry: Registry,
    name: CString,
}

impl Object for Opened {
    const KIND: u8 = 3;
    const NAME: &'static str = "mdnsreg_registry";
}

fn give(out: &Out<*mut mdnsreg_registry>, registry: Registry) -> Result<Status> {
    let name = text::c_string(registry.string());
    match table::open(Opened { registry, name }) {
        Ok(handle) => {
            out.put(handle.cast());
            Ok(Status::OK)
        }
        Err((opened, error)) => {
            opened.registry.close_now();
            Err(error)
        }
    }
}

/// The registry behind the argument `registry`.
pub(super) fn pin(registry: *mut mdnsreg_registry) -> Result<Pinned<Opened>> {
    table::pin::<Opened>("registry", registry.cast())
}

fn put_text(out: &Out<*mut c_char>, text: &str) -> Result<Status> {
    out.put(text::give(text)?);
    Ok(Status::OK)
}

/// Opens a registry.
///
/// @param options_json  a JSON object of options; NULL = the defaults; copied
/// @param out  [out, owned] the registry; close it with mdnsreg_close
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_OPTION |
///         MDNSREG_ERR_TOO_LARGE | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM | MDNSREG_ERR_UNSUPPORTED |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: while sockets are opened; not for the network.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_open(
    options_json: *const c_char,
    out: *mut *mut mdnsreg_registry,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        let options = text::optional_json("options_json", options_json)?.map(Options::from_json).transpose()?;
        give(&out, Registry::open(options.unwrap_or_default())?)
    })
}

/// The process's own registry, made at first use with the options in the environment variable
/// MDNS_REGISTRY_OPTIONS (JSON). Each call returns a new reference: mdnsreg_close drops it, and the
/// nodes go with the last.
///
/// @param out  [out, owned] the reference; close it with mdnsreg_close
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_JSON | MDNSREG_ERR_OPTION |
///         MDNSREG_ERR_TOO_LARGE | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM | MDNSREG_ERR_UNSUPPORTED |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: while sockets are opened; not for the network.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_default(
    out: *mut *mut mdnsreg_registry,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out", out, std::ptr::null_mut());
    guard::status(err, || give(&out.required()?, Registry::open_default()?))
}

/// Changes options in place: "timeout_ms", "addrs", "secure", "tls", "allow_unsigned" at any time, the
/// others while nothing is registered or watched.
///
/// @param registry  the registry, not NULL
/// @param options_json  a JSON object of the options that change, not NULL; copied
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_OPTION | MDNSREG_ERR_TOO_LARGE |
///         MDNSREG_ERR_NETWORK | MDNSREG_ERR_UNSUPPORTED | MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY
///         (registered or watched, or inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: while sockets are opened; not for the network.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_init(
    registry: *mut mdnsreg_registry,
    options_json: *const c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    guard::status(err, || {
        let registry = pin(registry)?;
        registry.registry.init(text::json("options_json", options_json)?)?;
        Ok(Status::OK)
    })
}

/// Every option in force, secrets as "***".
///
/// @param registry  the registry, not NULL
/// @param out_json  [out, owned] a JSON object; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED |
///         MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_options(
    registry: *mut mdnsreg_registry,
    out_json: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_json", out_json, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        put_text(&out, &pin(registry)?.registry.options().to_json())
    })
}

/// What kind of registry it is.
///
/// @param registry  the registry, not NULL
/// @return "mdns", which lives as long as the registry; NULL for what is no live registry
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_string(registry: *mut mdnsreg_registry) -> *const c_char {
    guard::pointer(|| Ok(pin(registry)?.name.as_ptr()))
}

/// Registers every node of a service, all or none. A node whose id is registered is replaced; identical
/// data sends nothing and starts the lease anew.
///
/// Returns when others can find the nodes and their announcement has been handed to the network; of hundreds it goes on
/// at a pace that receivers can take. Lookups in this process see them at once.
///
/// @param registry  the registry, not NULL
/// @param service_json  {"name","version","metadata","endpoints","nodes":[{"id","address","port",
///        "metadata"}]}, not NULL; copied
/// @param register_options_json  {"ttl_ms","auto_renew"}; NULL = the defaults; copied
/// @param err  [out, owned] why not, with "field", "limit" and "value"; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_OPTION | MDNSREG_ERR_INVALID |
///         MDNSREG_ERR_TOO_LARGE | MDNSREG_ERR_CANCELLED | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: until the network took the announcement; mdnsreg_close wakes it with MDNSREG_ERR_CANCELLED.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_register(
    registry: *mut mdnsreg_registry,
    service_json: *const c_char,
    register_options_json: *const c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    guard::status(err, || {
        let registry = pin(registry)?;
        let service = Service::from_json(text::json("service_json", service_json)?)?;
        let options = text::optional("register_options_json", register_options_json)?;
        let options = options.map(RegisterOptions::from_json).transpose()?.unwrap_or_default();
        registry.registry.register(&service, options).wait()?;
        Ok(Status::OK)
    })
}

/// Withdraws nodes of this registry. Unknown ids are no error.
///
/// @param registry  the registry, not NULL
/// @param service_json  {"name","version","nodes":[{"id"}]}, not NULL: without "nodes" all nodes of the
///        name (and version, if given), with [] none; a whole descriptor does as well; copied
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_UTF8 | MDNSREG_ERR_JSON | MDNSREG_ERR_INVALID | MDNSREG_ERR_TOO_LARGE |
///         MDNSREG_ERR_CANCELLED | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY (inside
///         the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: until the network took the goodbye; mdnsreg_close wakes it with MDNSREG_ERR_CANCELLED.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_deregister(
    registry: *mut mdnsreg_registry,
    service_json: *const c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    guard::status(err, || {
        let registry = pin(registry)?;
        let selection = Selection::from_json(text::json("service_json", service_json)?)?;
        registry.registry.deregister(&selection).wait()?;
        Ok(Status::OK)
    })
}

/// Looks a service up: one object per version, nodes sorted by id, own nodes included.
///
/// @param registry  the registry, not NULL
/// @param name  the service's name, 1 to 255 bytes without control characters, not NULL; copied
/// @param out_json  [out, owned] a JSON array; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_UTF8 | MDNSREG_ERR_INVALID | MDNSREG_ERR_TOO_LARGE | MDNSREG_ERR_NOT_FOUND |
///         MDNSREG_ERR_CANCELLED | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY (inside
///         the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: not for a name looked up in the last minute or watched; else until the answers have settled,
///         at most the option "timeout_ms". mdnsreg_close wakes it with MDNSREG_ERR_CANCELLED.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_get_service(
    registry: *mut mdnsreg_registry,
    name: *const c_char,
    out_json: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_json", out_json, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        let registry = pin(registry)?;
        put_text(&out, &registry.registry.get_service_json(text::required("name", name)?).wait()?)
    })
}

/// Lists the services there are: names only, sorted.
///
/// @param registry  the registry, not NULL
/// @param out_json  [out, owned] a JSON array; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_CANCELLED | MDNSREG_ERR_NETWORK | MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY (inside
///         the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: until the answers have settled, at most the option "timeout_ms". mdnsreg_close wakes it with
///         MDNSREG_ERR_CANCELLED.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_list_services(
    registry: *mut mdnsreg_registry,
    out_json: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_json", out_json, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        let registry = pin(registry)?;
        let services = registry.registry.list_services().wait()?;
        put_text(&out, &to_json(&services))
    })
}

/// What the registry has done and refused, counted; `refused` by the reasons of docs/limits.md.
///
/// @param registry  the registry, not NULL
/// @param out_json  [out, owned] a JSON object; free it with mdnsreg_string_free
/// @param err  [out, owned] why not; may be NULL
/// @return MDNSREG_OK | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_NOMEM | MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED |
///         MDNSREG_ERR_PANIC
/// Threads: any.
/// Blocks: no.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_stats(
    registry: *mut mdnsreg_registry,
    out_json: *mut *mut c_char,
    err: *mut *mut mdnsreg_error,
) -> mdnsreg_status {
    let out = Out::new("out_json", out_json, std::ptr::null_mut());
    guard::status(err, || {
        let out = out.required()?;
        put_text(&out, &pin(registry)?.registry.stats()?)
    })
}

/// Withdraws what the registry registered, ends its watches and frees it; of the process's own registry,
/// drops one reference. Watches stay valid handles, and are closed by themselves before or after.
///
/// @param registry  the registry, not NULL; the pointer is not valid afterwards
/// @return MDNSREG_OK | MDNSREG_DEFERRED (called inside a callback: the goodbyes go out when there is
///         time) | MDNSREG_ERR_NULL | MDNSREG_ERR_HANDLE | MDNSREG_ERR_CLOSED | MDNSREG_ERR_TYPE |
///         MDNSREG_ERR_BUSY (inside the log callback) | MDNSREG_ERR_FORKED | MDNSREG_ERR_PANIC
/// Threads: any; calls of other threads on this registry end with MDNSREG_ERR_CANCELLED.
/// Blocks: until the network took the first goodbyes and, where no other registry of the process uses the
///         same port, the link has ended; at most 250 ms. Not inside a callback, and not where other
///         references to the process's own registry remain.
/// Since: 0.1.0
#[no_mangle]
pub unsafe extern "C" fn mdnsreg_close(registry: *mut mdnsreg_registry) -> mdnsreg_status {
    guard::status(std::ptr::null_mut(), || {
        let registry = table::close::<Opened>("registry", registry.cast())?;
        if callback::inside_any() {
            registry.registry.close_now();
            return Ok(Status::DEFERRED);
        }
        registry.registry.close().wait();
        Ok(Status::OK)
    })
}
