//! story [SERVICE [WATCHED [follow]]] registers SERVICE, changes it and withdraws it, while it watches WATCHED.

use std::process::ExitCode;
use std::time::Duration;

use mdns_registry::{
    Action, Next, Node, Options, RegisterOptions, Registry, Selection, Service, WatchOptions, Watcher,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let service = arguments.first().map_or("greeter", String::as_str);
    let watched = arguments.get(1).map_or(service, String::as_str);
    let told = Registry::open(Options::default()).map_err(Into::into).and_then(|registry| {
        let told = tell(&registry, service, watched, arguments.len() > 2);
        registry.close().wait();
        told
    });
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("story: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn tell(registry: &Registry, service: &str, watched: &str, follow: bool) -> Result<(), Box<dyn std::error::Error>> {
    let watcher = registry.watch(WatchOptions::service(watched))?;
    for action in [Action::Create, Action::Update, Action::Delete] {
        if !follow {
            step(registry, service, action)?;
        }
        say(action.as_str(), &wait_for(&watcher, action).ok_or(format!("no {} in time", action.as_str()))?);
        let found = if action == Action::Create { registry.get_service(watched).wait()? } else { Vec::new() };
        if follow {
            step(registry, service, action)?;
        }
        for each in found {
            let names: Vec<String> = registry.list_services().wait()?.into_iter().map(|listed| listed.name).collect();
            println!("list {}", names.join(" "));
            say("get", &each);
        }
    }
    Ok(())
}

fn step(registry: &Registry, service: &str, action: Action) -> mdns_registry::Result<()> {
    let port = match action {
        Action::Create => 9090,
        Action::Update => 9091,
        Action::Delete => return registry.deregister(&Selection::service(service)).wait(),
    };
    let metadata = [("language".into(), "rust".into())].into();
    let node = Node { id: format!("{service}-1"), port, metadata, ..Node::default() };
    let described = Service { name: service.into(), version: "1.0.0".into(), nodes: vec![node], ..Service::default() };
    let options = RegisterOptions { ttl: Duration::from_secs(30), ..RegisterOptions::default() };
    registry.register(&described, options).wait()
}

fn wait_for(watcher: &Watcher, action: Action) -> Option<Service> {
    while let Next::Event(event) = watcher.next_timeout(Some(Duration::from_secs(10))) {
        if let Some(change) = event.change().filter(|change| change.action == action) {
            return Some(change.service.clone());
        }
    }
    None
}

fn say(what: &str, service: &Service) {
    let node = &service.nodes[0];
    println!("{what} {} {} {}", service.name, node.id, node.port);
}
