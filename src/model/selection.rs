//! What `deregister` takes away.

use super::{parse, Service};
use crate::error::Result;
use crate::limits;

/// Names the nodes to withdraw: all of a service, of one of its versions, or those with given ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub(crate) name: String,
    pub(crate) version: Option<String>,
    pub(crate) ids: Option<Vec<String>>,
}

impl Selection {
    /// Every node of the service that this registry registered.
    pub fn service(name: impl Into<String>) -> Selection {
        Selection { name: name.into(), version: None, ids: None }
    }

    /// Only nodes of this version.
    pub fn version(mut self, version: impl Into<String>) -> Selection {
        self.version = Some(version.into());
        self
    }

    /// Only nodes with these ids; none where the list is empty. Unknown ids are no error.
    pub fn ids(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Selection {
        self.ids = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Reads a descriptor: `nodes` absent or null selects all, `[]` none. Of each node only the
    /// id counts, so the descriptor that was registered can be passed again.
    pub fn from_json(text: &str) -> Result<Selection> {
        let reader = parse("service", text)?;
        let fields = reader.fields(&["name", "version", "metadata", "endpoints", "nodes"])?;
        let name = fields.required("name")?.name()?;
        let version = fields.optional("version").map(|v| v.version()).transpose()?;
        let ids = match fields.optional("nodes") {
            None => None,
            Some(nodes) => {
                let id = |node: &super::Reader<'_>| {
                    node.fields(&["id", "address", "port", "metadata"])?.required("id")?.name()
                };
                Some(nodes.list(limits::CALL_NODES)?.iter().map(id).collect::<Result<Vec<_>>>()?)
            }
        };
        Ok(Selection { name, version: version.filter(|v| !v.is_empty()), ids })
    }

    pub(crate) fn selects(&self, name: &str, version: &str, id: &str) -> bool {
        self.name == name
            && self.version.as_deref().is_none_or(|wanted| wanted == version)
            && self.ids.as_ref().is_none_or(|ids| ids.iter().any(|wanted| wanted == id))
    }
}

impl From<&Service> for Selection {
    /// The nodes of the descriptor, by id; of the version where it has one.
    fn from(service: &Service) -> Selection {
        let selection = Selection::service(&service.name).ids(service.nodes.iter().map(|node| &node.id));
        match service.version.is_empty() {
            true => selection,
            false => selection.version(&service.version),
        }
    }
}
