//! The extension module `mdns_registry._mdns_registry`: what the Python package cannot do itself.
//!
//! Each class holds one thing of the Rust API; names, defaults, iterators and asyncio are Python's.

mod convert;
mod errors;
mod logs;
mod pending;
mod registry;
mod wakeup;
mod watcher;

use pyo3::prelude::*;

/// The Rust side of the package `mdns_registry`.
#[pymodule]
mod _mdns_registry {
    use super::*;

    #[pymodule_export]
    use super::logs::{log_end, log_limit, log_next, log_over};
    #[pymodule_export]
    use super::pending::Pending;
    #[pymodule_export]
    use super::registry::Registry;
    #[pymodule_export]
    use super::wakeup::Wakeup;
    #[pymodule_export]
    use super::watcher::Watcher;

    /// A descriptor, checked, as a `Service`.
    #[pyfunction]
    fn read_service<'py>(py: Python<'py>, service: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let text = errors::text("service", service)?;
        let service = errors::call(py, || mdns_registry::Service::from_json(&text))?;
        convert::service(py, &service)
    }

    /// Whether this process was forked from one that uses the library.
    #[pyfunction]
    fn forked() -> bool {
        mdns_registry::fork::forked()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        use mdns_registry::{limits, Action, Reason, Status};
        module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
        module.add("JSON_DEPTH", limits::JSON_DEPTH)?;
        let statuses = Status::ALL.iter().map(|status| (status.code(), status.name(), status.text()));
        module.add("STATUSES", statuses.collect::<Vec<_>>())?;
        module.add("ACTIONS", Action::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>())?;
        module.add("REASONS", Reason::ALL.iter().map(|reason| reason.as_str()).collect::<Vec<_>>())
    }
}
