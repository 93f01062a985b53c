//! Plain data into the dataclasses of `model.py`.

use mdns_registry::{Action, Endpoint, Event, Metadata, Node, Reason, Service, Value};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::pending::Answer;

/// What `model.py` defines.
struct Model {
    service: Py<PyAny>,
    node: Py<PyAny>,
    endpoint: Py<PyAny>,
    value: Py<PyAny>,
    event: Py<PyAny>,
    /// In the order of `ALL`, which is that of the discriminants.
    actions: Vec<Py<PyAny>>,
    reasons: Vec<Py<PyAny>>,
}

fn model(py: Python<'_>) -> PyResult<&Model> {
    static MODEL: PyOnceLock<Model> = PyOnceLock::new();
    MODEL.get_or_try_init(py, || {
        let module = py.import("mdns_registry.model")?;
        let class = |name: &str| module.getattr(name).map(Bound::unbind);
        let member = |class: &str, word: &str| module.getattr(class)?.call1((word,)).map(Bound::unbind);
        Ok(Model {
            service: class("Service")?,
            node: class("Node")?,
            endpoint: class("Endpoint")?,
            value: class("Value")?,
            event: class("Event")?,
            actions: Action::ALL.iter().map(|a| member("Action", a.as_str())).collect::<PyResult<_>>()?,
            reasons: Reason::ALL.iter().map(|r| member("Reason", r.as_str())).collect::<PyResult<_>>()?,
        })
    })
}

pub fn answer<'py>(py: Python<'py>, answer: &Answer) -> PyResult<Bound<'py, PyAny>> {
    match answer {
        Answer::Nothing => Ok(py.None().into_bound(py)),
        Answer::Service(one) => service(py, one),
        Answer::Services(all) => {
            let all = all.iter().map(|one| service(py, one)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyList::new(py, all)?.into_any())
        }
    }
}

pub fn event<'py>(py: Python<'py>, event: &Event) -> PyResult<Bound<'py, PyAny>> {
    let model = model(py)?;
    let class = model.event.bind(py);
    match event.change() {
        Some(change) => {
            let action = &model.actions[change.action as usize];
            let reason = &model.reasons[change.reason as usize];
            class.call1((action, service(py, &change.service)?, &*change.key, reason, event.kind()))
        }
        None => class.call1((py.None(), py.None(), py.None(), py.None(), event.kind())),
    }
}

pub fn service<'py>(py: Python<'py>, service: &Service) -> PyResult<Bound<'py, PyAny>> {
    let metadata = metadata(py, &service.metadata)?;
    let endpoints = tuple(py, &service.endpoints, endpoint)?;
    let nodes = tuple(py, &service.nodes, node)?;
    model(py)?.service.bind(py).call1((&*service.name, &*service.version, metadata, endpoints, nodes))
}

fn node<'py>(py: Python<'py>, node: &Node) -> PyResult<Bound<'py, PyAny>> {
    let metadata = metadata(py, &node.metadata)?;
    model(py)?.node.bind(py).call1((&*node.id, &*node.address, node.port, metadata))
}

fn endpoint<'py>(py: Python<'py>, endpoint: &Endpoint) -> PyResult<Bound<'py, PyAny>> {
    let shape = |shape: &Option<Value>| shape.as_ref().map(|shape| value(py, shape)).transpose();
    let (request, response) = (shape(&endpoint.request)?, shape(&endpoint.response)?);
    let metadata = metadata(py, &endpoint.metadata)?;
    model(py)?.endpoint.bind(py).call1((&*endpoint.name, request, response, metadata))
}

fn value<'py>(py: Python<'py>, shape: &Value) -> PyResult<Bound<'py, PyAny>> {
    let values = tuple(py, &shape.values, value)?;
    model(py)?.value.bind(py).call1((&*shape.name, &*shape.r#type, values))
}

fn metadata<'py>(py: Python<'py>, metadata: &Metadata) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    metadata.iter().try_for_each(|(key, value)| dict.set_item(key, value))?;
    Ok(dict)
}

fn tuple<'py, T>(
    py: Python<'py>,
    items: &[T],
    one: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    let items = items.iter().map(|item| one(py, item)).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}
