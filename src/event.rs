//! What a watcher is told.

use serde::Serialize;

use crate::model::Service;

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A node that was not known.
    Create,
    /// A known node whose data differ.
    Update,
    /// A node that is gone.
    Delete,
}

impl Action {
    /// `"create"`, `"update"` or `"delete"`, as go-micro says it (registry/watcher.go).
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        }
    }
}

/// Why it became so. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Heard of, or registered here, for the first time.
    Announced,
    /// Its data differ from what was known.
    Changed,
    /// Its owner said goodbye.
    Goodbye,
    /// Its lease ended in silence.
    Expired,
    /// Deregistered in this registry, or its lease here was not renewed.
    Withdrawn,
    /// Another owner has the same service and id; both are listed.
    Duplicate,
    /// The interface it was heard on went away.
    LinkDown,
    /// It no longer passes a bound or a proof.
    Refused,
}

impl Reason {
    /// The word used in events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Announced => "announced",
            Reason::Changed => "changed",
            Reason::Goodbye => "goodbye",
            Reason::Expired => "expired",
            Reason::Withdrawn => "withdrawn",
            Reason::Duplicate => "duplicate",
            Reason::LinkDown => "link-down",
            Reason::Refused => "refused",
        }
    }
}

/// One change of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What became of it.
    pub action: Action,
    /// Opaque and stable for the node: fold by it.
    pub key: std::sync::Arc<str>,
    /// Why.
    pub reason: Reason,
    /// The service with exactly this node; for a delete, as last known.
    pub service: Service,
}

/// What a watcher is told, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// One node changed.
    Service(Box<Change>),
    /// All that was present when the watch began has been told.
    Synced,
    /// The watcher fell behind; forget what was told: the present state follows, then `Synced`.
    Resync,
}

impl Event {
    /// `"service"`, `"synced"` or `"resync"`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Event::Service(_) => "service",
            Event::Synced => "synced",
            Event::Resync => "resync",
        }
    }

    /// The change, of a `"service"` event.
    pub fn change(&self) -> Option<&Change> {
        match self {
            Event::Service(change) => Some(change),
            _ => None,
        }
    }

    /// The event as one JSON object, the form C and the command line carry.
    pub fn to_json(&self) -> String {
        #[derive(Serialize)]
        struct Said<'a> {
            r#type: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            action: Option<Action>,
            #[serde(skip_serializing_if = "Option::is_none")]
            key: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            reason: Option<Reason>,
            #[serde(skip_serializing_if = "Option::is_none")]
            service: Option<&'a Service>,
        }
        let change = self.change();
        crate::model::to_json(&Said {
            r#type: self.kind(),
            action: change.map(|c| c.action),
            key: change.map(|c| &*c.key),
            reason: change.map(|c| c.reason),
            service: change.map(|c| &c.service),
        })
    }
}
