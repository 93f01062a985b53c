//! The registry in the caller's hands: go-micro's verbs (registry/registry.go).

use std::sync::{Arc, Mutex, Weak};

use once_cell::sync::Lazy;

use crate::core::Core;
use crate::driver::lock;
use crate::error::{Error, Result};
use crate::fork;
use crate::model::{check_name, Selection, Service};
use crate::options::{Options, RegisterOptions, WatchOptions};
use crate::pending::Pending;
use crate::record::Question;
use crate::watcher::Watcher;

/// An open registry. Clones share it; it closes with the last of them, or with [`Registry::close`].
#[derive(Clone)]
pub struct Registry(Arc<Reference>);

/// One reference to a core: what `open` or `open_default` returned.
struct Reference {
    core: Arc<Core>,
    /// `None` once this reference is closed.
    share: Mutex<Option<Arc<Share>>>,
}

/// Closes the core when the last reference lets go of it.
struct Share(Arc<Core>);

impl Drop for Share {
    fn drop(&mut self) {
        if !fork::forked() {
            self.0.close();
        }
    }
}

static DEFAULT: Lazy<Mutex<Weak<Share>>> = Lazy::new(Mutex::default);

impl Registry {
    /// Opens a registry.
    ///
    /// # Errors
    /// `OPTION` for an interface that does not exist, `UNSUPPORTED` for what is not built,
    /// `NETWORK` if the port cannot be bound.
    pub fn open(options: Options) -> Result<Registry> {
        fork::check()?;
        let core = Core::open(options)?;
        // The log's reader may take a lock of its own: nothing is logged while one of ours is held.
        tracing::info!(owner = &**core.owner(), "a registry opened");
        Ok(Registry::of(Arc::new(Share(core))))
    }

    /// A new reference to the process's default registry, which is opened at first use with
    /// [`Options::from_environment`]. The last reference that closes withdraws what it registered.
    ///
    /// # Errors
    /// Those of [`Registry::open`].
    pub fn open_default() -> Result<Registry> {
        fork::check()?;
        // Before the lock: a child of a fork made while it is held must know that it is one.
        fork::watch()?;
        let mut default = lock(&DEFAULT);
        if let Some(share) = default.upgrade() {
            return Ok(Registry::of(share));
        }
        let share = Arc::new(Share(Core::open(Options::from_environment()?)?));
        *default = Arc::downgrade(&share);
        Ok(Registry::of(share))
    }

    fn of(share: Arc<Share>) -> Registry {
        Registry(Arc::new(Reference { core: share.0.clone(), share: Mutex::new(Some(share)) }))
    }

    fn core(&self) -> Result<&Arc<Core>> {
        fork::check()?;
        match lock(&self.0.share).is_some() {
            true => Ok(&self.0.core),
            false => Err(Error::Closed { what: "the registry" }),
        }
    }

    /// The core, for a call about a service of this name.
    fn core_for(&self, name: &str) -> Result<&Arc<Core>> {
        let core = self.core()?;
        check_name("name", name)?;
        Ok(core)
    }

    /// Changes options in place; a refused change changes nothing.
    ///
    /// # Errors
    /// `OPTION`, `UNSUPPORTED`; `BUSY` for `wire`, `domain`, `link` or `port` while anything is
    /// registered or watched.
    pub fn init(&self, options_json: &str) -> Result<()> {
        self.core()?.init(options_json)?;
        tracing::info!("options changed");
        Ok(())
    }

    /// Every option in force.
    pub fn options(&self) -> Options {
        self.0.core.options()
    }

    /// `"mdns"`.
    pub fn string(&self) -> &'static str {
        "mdns"
    }

    /// Publishes every node of the service, all or none. Ready when others can find them and their
    /// announcement has been handed to the network; of hundreds it goes on at a pace that receivers can
    /// take. [`Registry::get_service`] here sees them at once.
    ///
    /// # Errors
    /// `INVALID`, `TOO_LARGE`, `OPTION`: nothing took effect.
    pub fn register(&self, service: &Service, options: RegisterOptions) -> Pending<Result<()>> {
        let core = match self.core().and_then(|core| service.validate().map(|()| core)) {
            Ok(core) => core,
            Err(error) => return Pending::ready(Err(error)),
        };
        let pending = core.change(|engine, now| engine.register(now, service, options), "register");
        tracing::debug!(service = service.name, nodes = service.nodes.len(), "register");
        pending
    }

    /// Withdraws the selected nodes of this registry. Unknown ones are no error.
    ///
    /// # Errors
    /// `CLOSED`.
    pub fn deregister(&self, selection: &Selection) -> Pending<Result<()>> {
        let core = match self.core() {
            Ok(core) => core,
            Err(error) => return Pending::ready(Err(error)),
        };
        core.change(
            |engine, _| {
                engine.deregister(selection);
                Ok(())
            },
            "deregister",
        )
    }

    /// One Service per version of the name, nodes sorted by id.
    ///
    /// # Errors
    /// `NOT_FOUND`; `INVALID` or `TOO_LARGE` for what can be no name; `CANCELLED` if the registry
    /// closes meanwhile.
    pub fn get_service(&self, name: &str) -> Pending<Result<Vec<Service>>> {
        match self.core_for(name) {
            Ok(core) => core.services(name),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    /// The same as one JSON list, which is kept between changes: the cheapest read.
    ///
    /// # Errors
    /// Those of [`Registry::get_service`].
    pub fn get_service_json(&self, name: &str) -> Pending<Result<Arc<str>>> {
        match self.core_for(name) {
            Ok(core) => core.services_json(name),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    /// Services with a name only, sorted.
    ///
    /// # Errors
    /// `CANCELLED` if the registry closes meanwhile.
    pub fn list_services(&self) -> Pending<Result<Vec<Service>>> {
        match self.core() {
            Ok(core) => core.lookup(&Question::Names, "list_services", |engine| Ok(engine.names())),
            Err(error) => Pending::ready(Err(error)),
        }
    }

    /// Watches one service or all.
    ///
    /// # Errors
    /// `OPTION` for a queue outside its limits.
    pub fn watch(&self, options: WatchOptions) -> Result<Watcher> {
        let core = self.core()?;
        let (id, signal) = core.watch(&options)?;
        tracing::debug!(service = options.service.as_deref(), "watch");
        Ok(Watcher::new(core.clone(), id, signal))
    }

    /// What was heard, kept and refused, as one JSON object; `refused` by the names of
    /// [`Refused`](crate::refused::Refused).
    ///
    /// # Errors
    /// `CLOSED`.
    pub fn stats(&self) -> Result<String> {
        self.core()?.stats()
    }

    /// Withdraws what was registered and ends every watch and lookup. Ready when the first
    /// goodbyes have been handed to the network, at most 250 ms later. Closing again does nothing.
    pub fn close(&self) -> Pending<()> {
        match self.let_go() {
            Some(handed) => {
                tracing::info!(owner = &**self.0.core.owner(), "a registry closed");
                Pending::new(async move { drop(handed.await) })
            }
            None => Pending::ready(()),
        }
    }

    /// [`Registry::close`] without waiting.
    pub fn close_now(&self) {
        self.let_go();
    }

    fn let_go(&self) -> Option<tokio::sync::oneshot::Receiver<()>> {
        if fork::forked() {
            return None;
        }
        // Under the lock of the default, so that no new reference is made meanwhile.
        let _default = lock(&DEFAULT);
        let share = lock(&self.0.share).take()?;
        Arc::into_inner(share).and_then(|share| share.0.close())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("owner", self.0.core.owner()).finish_non_exhaustive()
    }
}
