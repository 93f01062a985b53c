//! An open registry: its verbs start here, and a `Pending` or a `Watcher` goes on with them.

use std::sync::atomic::{AtomicBool, Ordering};

use mdns_registry::{Options, RegisterOptions, Selection, Service, WatchOptions};
use pyo3::prelude::*;

use crate::pending::{Answer, Pending};
use crate::watcher::Watcher;
use crate::{errors, logs};

/// An open registry.
#[pyclass(frozen)]
pub struct Registry {
    registry: mdns_registry::Registry,
    counted: AtomicBool,
}

impl Registry {
    fn of(registry: mdns_registry::Registry) -> Registry {
        logs::opened();
        Registry { registry, counted: AtomicBool::new(true) }
    }

    fn discount(&self) {
        if self.counted.swap(false, Ordering::Relaxed) {
            logs::closed();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.discount();
    }
}

#[pymethods]
impl Registry {
    /// Opens a registry with options as JSON.
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Registry> {
        let options = errors::text("options", options)?;
        let open = || mdns_registry::Registry::open(Options::from_json(&options)?);
        errors::call_detached(py, open).map(Registry::of)
    }

    /// A new reference to the default registry.
    #[staticmethod]
    fn default(py: Python<'_>) -> PyResult<Registry> {
        errors::call_detached(py, mdns_registry::Registry::open_default).map(Registry::of)
    }

    fn init(&self, py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<()> {
        let options = errors::text("options", options)?;
        errors::call_detached(py, || self.registry.init(&options))
    }

    /// Every option in force, as JSON.
    fn options(&self, py: Python<'_>) -> PyResult<String> {
        errors::call(py, || Ok(self.registry.options().to_json()))
    }

    /// What was heard, kept and refused, as JSON.
    fn stats(&self, py: Python<'_>) -> PyResult<String> {
        errors::call(py, || self.registry.stats())
    }

    fn string(&self) -> &'static str {
        self.registry.string()
    }

    /// Begins to register; the answer is the `Service` as it was understood.
    fn register(&self, py: Python<'_>, service: &Bound<'_, PyAny>, options: &Bound<'_, PyAny>) -> PyResult<Pending> {
        let (service, options) = (errors::text("service", service)?, errors::text("options", options)?);
        errors::call_detached(py, || {
            let service = Service::from_json(&service)?;
            let pending = self.registry.register(&service, RegisterOptions::from_json(&options)?);
            Ok(Pending::new(pending, |()| Answer::Service(service)))
        })
    }

    /// Begins to withdraw the nodes that a descriptor selects.
    fn deregister(&self, py: Python<'_>, selection: &Bound<'_, PyAny>) -> PyResult<Pending> {
        let selection = errors::text("service", selection)?;
        errors::call_detached(py, || {
            let pending = self.registry.deregister(&Selection::from_json(&selection)?);
            Ok(Pending::new(pending, |()| Answer::Nothing))
        })
    }

    /// Begins to look a service up.
    fn get_service(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<Pending> {
        let name = errors::text("name", name)?;
        errors::call(py, || Ok(Pending::new(self.registry.get_service(&name), Answer::Services)))
    }

    /// Begins to list the services.
    fn list_services(&self, py: Python<'_>) -> PyResult<Pending> {
        errors::call(py, || Ok(Pending::new(self.registry.list_services(), Answer::Services)))
    }

    /// Watches, with options as JSON.
    fn watch(&self, py: Python<'_>, options: &Bound<'_, PyAny>) -> PyResult<Watcher> {
        let options = errors::text("options", options)?;
        errors::call_detached(py, || self.registry.watch(WatchOptions::from_json(&options)?)).map(Watcher::new)
    }

    /// Begins to close.
    fn close(&self, py: Python<'_>) -> PyResult<Pending> {
        let pending = errors::call_detached(py, || Ok(self.registry.close()))?;
        self.discount();
        Ok(Pending::new(pending.map(Ok), |()| Answer::Nothing))
    }
}
