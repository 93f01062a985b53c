//! What a watcher is told.

use serde::{Serialize, Serializer};

use crate::model::Service;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every one, in the order of the declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word used in events.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    };
}

words! {
    /// What became of a node, in go-micro's words (registry/watcher.go).
    Action {
        /// A node that was not known.
        Create = "create",
        /// A known node whose data differ.
        Update = "update",
        /// A node that is gone.
        Delete = "delete",
    }
}

words! {
    /// Why it became so. A closed set.
    Reason {
        /// Heard of, or registered here, for the first time.
        Announced = "announced",
        /// Its data differ from what was known.
        Changed = "changed",
        /// Its owner said goodbye.
        Goodbye = "goodbye",
        /// Its lease ended in silence.
        Expired = "expired",
        /// Deregistered in this registry, or its lease here was not renewed.
        Withdrawn = "withdrawn",
        /// Another owner has the same service and id; both are listed.
        Duplicate = "duplicate",
        /// The interface it was heard on went away.
        LinkDown = "link-down",
        /// It no longer passes a bound or a proof.
        Refused = "refused",
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
