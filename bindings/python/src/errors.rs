//! Calls into the library, and what Python is told of those that fail.

use mdns_registry::{fork, panics, Error, Result};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;

/// Runs `body`, unless this process was forked. For what takes no longer than a lock: the caller keeps the GIL,
/// because to give it up costs more wherever another thread is busy in Python.
pub fn call<T>(py: Python<'_>, body: impl FnOnce() -> Result<T>) -> PyResult<T> {
    admitted(body).map_err(|error| exception(py, &error))
}

/// The same for what takes longer: other threads of Python run meanwhile.
pub fn call_detached<T: Send>(py: Python<'_>, body: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| admitted(body)).map_err(|error| exception(py, &error))
}

fn admitted<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    fork::check()?;
    panics::caught(body)
}

/// The exception of the error's status, which `errors.py` makes.
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = MAKE.import(py, "mdns_registry.errors", "from_json");
    match make.and_then(|make| make.call1((error.to_json(),))) {
        Ok(exception) => PyErr::from_value(exception),
        Err(error) => error,
    }
}

/// A string argument, as UTF-8.
pub fn text(argument: &'static str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let Ok(string) = value.cast::<PyString>() else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{argument} must be str, not {kind}")));
    };
    if let Ok(text) = string.to_str() {
        return Ok(text.to_owned());
    }
    // Half of a surrogate pair: Python has strings that UTF-8 has not.
    let bytes: Vec<u8> = string.call_method1("encode", ("utf-8", "surrogatepass"))?.extract()?;
    let offset = std::str::from_utf8(&bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let byte = bytes.get(offset).copied().unwrap_or_default();
    Err(exception(value.py(), &Error::Utf8 { argument, offset, byte }))
}
