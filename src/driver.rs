//! One endpoint per link and port, shared by the registries of the process that use it, and the
//! task that moves what it hears into their engines: the only `select!`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, Notify};

use crate::clock;
use crate::core::Core;
use crate::error::Result;
use crate::interfaces;
use crate::link::{Link, Message, Opened, Patience};
use crate::options::LinkKind;
use crate::panics;
use crate::record::{Interface, Owner, Sighting, Time};
use crate::runtime::{Masked, User};

/// Sightings taken into the engines in one turn.
const BATCH: usize = 64;
/// The longest sleep while something is due: our clock goes on while the host sleeps, tokio's does not.
const NAP: Duration = Duration::from_secs(1);

type Place = (LinkKind, u16);

static ENDPOINTS: Mutex<BTreeMap<Place, Arc<Endpoint>>> = Mutex::new(BTreeMap::new());

/// A link in use, and the registries that use it.
pub(crate) struct Endpoint {
    place: Place,
    link: Box<dyn Link>,
    heard: Mutex<Heard>,
    wake: Notify,
    user: User,
}

struct Heard {
    members: BTreeMap<Owner, Weak<Core>>,
    interfaces: Vec<Interface>,
}

impl Endpoint {
    /// The endpoint of this link and port, opened if it is not in use, with `core` as a member.
    pub(crate) fn join(kind: LinkKind, port: u16, core: &Arc<Core>) -> Result<Arc<Endpoint>> {
        let mut endpoints = lock(&ENDPOINTS);
        let endpoint = match endpoints.get(&(kind, port)) {
            Some(endpoint) => endpoint.clone(),
            None => {
                let endpoint = Endpoint::open(kind, port)?;
                endpoints.insert((kind, port), endpoint.clone());
                endpoint
            }
        };
        lock(&endpoint.heard).members.insert(core.owner().clone(), Arc::downgrade(core));
        Ok(endpoint)
    }

    fn open(kind: LinkKind, port: u16) -> Result<Arc<Endpoint>> {
        let user = User::new()?;
        let _masked = Masked::new();
        let (link, sightings) = open_link(kind, port)?;
        let heard = Heard { members: BTreeMap::new(), interfaces: interfaces::list()? };
        let endpoint = Endpoint { place: (kind, port), link, heard: Mutex::new(heard), wake: Notify::new(), user };
        let endpoint = Arc::new(endpoint);
        endpoint.user.handle().spawn(drive(endpoint.clone(), sightings));
        Ok(endpoint)
    }

    /// The interfaces last heard of.
    pub(crate) fn interfaces(&self) -> Vec<Interface> {
        lock(&self.heard).interfaces.clone()
    }

    pub(crate) fn patience(&self) -> Patience {
        self.link.patience()
    }

    pub(crate) fn counters(&self) -> Vec<(String, u64)> {
        self.link.counters()
    }

    pub(crate) fn submit(&self, from: &Owner, message: Message) {
        self.link.submit(from, message);
    }

    /// A member's next deadline came nearer.
    pub(crate) fn reschedule(&self) {
        self.wake.notify_one();
    }

    /// Ends `owner`'s membership. With the last one the link is shut down, and the receiver is told
    /// when it has ended.
    pub(crate) fn leave(self: &Arc<Self>, owner: &Owner) -> Option<oneshot::Receiver<()>> {
        self.link.submit(owner, Message::Leave);
        let mut endpoints = lock(&ENDPOINTS);
        let mut heard = lock(&self.heard);
        heard.members.remove(owner);
        // Of those that a panic kept from leaving.
        heard.members.retain(|_, core| core.strong_count() > 0);
        if !heard.members.is_empty() {
            return None;
        }
        self.let_go(&mut endpoints);
        Some(self.link.shutdown())
    }

    /// Nobody joins any more.
    fn let_go(self: &Arc<Self>, endpoints: &mut BTreeMap<Place, Arc<Endpoint>>) {
        if endpoints.get(&self.place).is_some_and(|there| Arc::ptr_eq(there, self)) {
            endpoints.remove(&self.place);
        }
    }

    /// Runs `wait` on our runtime, for at most `limit`, and tells the receiver when it is over.
    pub(crate) fn wait_at_most(
        self: &Arc<Self>,
        limit: Duration,
        wait: impl std::future::Future<Output = ()> + Send + 'static,
    ) -> oneshot::Receiver<()> {
        let (over, receiver) = oneshot::channel();
        let endpoint = self.clone();
        self.user.handle().spawn(async move {
            let _ = tokio::time::timeout(limit, wait).await;
            drop(endpoint);
            let _ = over.send(());
        });
        receiver
    }

    fn members(&self) -> Vec<Arc<Core>> {
        lock(&self.heard).members.values().filter_map(Weak::upgrade).collect()
    }

    fn hear(&self, now: Time, sightings: &[Sighting]) {
        for sighting in sightings {
            if let Sighting::Interfaces(interfaces) = sighting {
                lock(&self.heard).interfaces.clone_from(interfaces);
            }
        }
        for member in self.members() {
            member.hear(now, sightings);
        }
    }
}

fn open_link(kind: LinkKind, port: u16) -> Result<Opened> {
    match kind {
        LinkKind::MdnsSd => crate::link::mdns_sd::open(port),
        LinkKind::Native => crate::link::native::open(port),
    }
}

/// Moves sightings and deadlines into the engines until the link has ended.
async fn drive(endpoint: Arc<Endpoint>, mut sightings: mpsc::Receiver<Sighting>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let due = endpoint.members().iter().filter_map(|member| member.next_due()).min();
        let sleep = async {
            match due {
                Some(due) => tokio::time::sleep((due - clock::now()).min(NAP)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            heard = sightings.recv_many(&mut batch, BATCH) => {
                if heard == 0 {
                    break;
                }
                endpoint.hear(clock::now(), &batch);
                batch.clear();
            }
            () = sleep => {
                let now = clock::now();
                endpoint.members().iter().for_each(|member| member.handle_timeout(now));
            }
            () = endpoint.wake.notified() => {}
        }
    }
    endpoint.let_go(&mut lock(&ENDPOINTS));
    // None is left, unless the link ended by itself.
    for member in endpoint.members() {
        panics::survived("closing a registry whose link has ended", || member.end("its link has ended"));
    }
}

pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
    #[cfg(test)]
    crate::drill::here(crate::drill::Place::Locked);
    guard
}
