//! The seam to the network: commands in, sightings out.

pub mod mdns_sd;
pub mod native;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::options::Wires;
use crate::record::{Interface, Key, Owner, Question, Record, Sighting};

/// What an engine asks of its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Advertise the record, in place of an earlier one with its key.
    Publish(Arc<Record>),
    /// Say goodbye for it and stop.
    Withdraw(Key),
    /// Ask the network; answered by sightings, of all that is held as well, and then `Settled`.
    Ask(Question),
    /// Nobody wants to know any more what was asked.
    Forget(Question),
    /// Ask whether the node still lives; answered by `Seen` or `Alive`, or not at all.
    Check(Key),
    /// The node was deleted for its silence. It is seen again only when it is heard again; a link may
    /// ask for it a last time.
    Expired(Key),
}

/// The interfaces a registry speaks on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every multicast-capable interface that is up; loopback when there is no other.
    Default,
    /// Those of these names, whenever they are up.
    Named(Vec<Arc<str>>),
}

impl Scope {
    /// Those of `interfaces` that the scope takes in.
    pub fn select<'a>(&self, interfaces: &'a [Interface]) -> Vec<&'a Interface> {
        match self {
            Scope::Named(names) => interfaces.iter().filter(|i| names.contains(&i.name)).collect(),
            Scope::Default => {
                let others: Vec<_> = interfaces.iter().filter(|i| i.usable && !i.loopback).collect();
                match others.is_empty() {
                    true => interfaces.iter().filter(|i| i.loopback).collect(),
                    false => others,
                }
            }
        }
    }
}

/// Where a registry speaks, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Station {
    /// The interfaces.
    pub scope: Scope,
    /// The wires.
    pub wires: Wires,
}

impl From<Scope> for Station {
    /// DNS-SD alone.
    fn from(scope: Scope) -> Station {
        Station { scope, wires: Wires::DNS_SD }
    }
}

/// What a registry tells its link: membership, or commands in order.
#[derive(Debug)]
pub enum Message {
    /// The registry speaks there from now on; also changes where it spoke.
    Join(Station),
    /// The registry is closed. Its records were withdrawn before.
    Leave,
    /// Commands of its engine; `done` is told when they have been handed to the network.
    Commands {
        /// In order.
        commands: Vec<Command>,
        /// Dropped, which counts as told, if the link ends first.
        done: Option<oneshot::Sender<()>>,
    },
}

/// How long a link needs, so that the engine can wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A node is checked after 80 % of its lease, but at the latest after this long.
    pub check_after: Duration,
    /// A silent node is deleted this long after its lease.
    pub grace: Duration,
    /// What a check takes at most until its answer is told.
    pub answer: Duration,
}

/// One way to the network, shared by the registries of a process that use it.
pub trait Link: Send + Sync {
    /// Passes a registry's message on. Never blocks.
    fn submit(&self, from: &Owner, message: Message);
    /// What the engine must allow for.
    fn patience(&self) -> Patience;
    /// Counters of the link itself, for `stats`.
    fn counters(&self) -> Vec<(String, u64)>;
    /// Hands over what is queued, then ends every thread and socket. Waits for neither: the
    /// receiver is told when they have ended.
    fn shutdown(&self) -> oneshot::Receiver<()>;
}

/// A link and the channel it reports on.
pub type Opened = (Box<dyn Link>, mpsc::Receiver<Sighting>);

/// Opens a link on a UDP port.
pub type Open = fn(port: u16) -> Result<Opened>;
