//! The four commands, on the public face of the library.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use mdns_registry::{limits, Event, Next, Options, Registry, Service, WatchOptions};
use time::{OffsetDateTime, UtcOffset};

use crate::args::{Arguments, Command, Register};
use crate::program::{Program, Signals};
use crate::{output, show, watch, Failure};

/// Runs what was asked; the exit status.
pub fn run(arguments: Arguments) -> Result<u8, Failure> {
    let options = arguments.shared.options()?;
    let json = arguments.shared.json;
    match arguments.command {
        Command::List => list(options, json),
        Command::Get { name } => get(options, json, &name),
        Command::Register(register) => self::register(options, json, &register),
        Command::Watch { name } => self::watch(options, json, name),
    }
}

fn list(options: Options, json: bool) -> Result<u8, Failure> {
    for service in Registry::open(options)?.list_services().wait()? {
        match json {
            true => output::line(&service.to_json())?,
            false => output::line(&output::visible(&service.name))?,
        }
    }
    Ok(0)
}

fn get(options: Options, json: bool, name: &str) -> Result<u8, Failure> {
    for service in Registry::open(options)?.get_service(name).wait()? {
        match json {
            true => output::line(&service.to_json())?,
            false => output::line(&show::service(&service))?,
        }
    }
    Ok(0)
}

fn watch(options: Options, json: bool, service: Option<String>) -> Result<u8, Failure> {
    // Asked for while this is the only thread: the system's answer is not safe among several.
    let offset = UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC);
    let mut lines = watch::Lines::new(offset, output::colourful());
    let registry = Registry::open(options)?;
    let watcher = registry.watch(WatchOptions { service, ..WatchOptions::default() })?;
    let mut tell = |event: &Event| match json {
        true => output::line(&event.to_json()),
        false => lines.line(event, OffsetDateTime::now_utc()).map_or(Ok(()), |line| output::line(&line)),
    };
    while let Next::Event(event) = watcher.next_timeout(None) {
        tell(&event)?;
    }
    Ok(0)
}

fn register(options: Options, json: bool, asked: &Register) -> Result<u8, Failure> {
    let service = match &asked.file {
        Some(path) => Service::from_json(&read(path)?)?,
        None => asked.service()?,
    };
    let lease = asked.options()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::system("runtime"))?.block_on(async {
        let mut signals = Signals::catch().map_err(Failure::system("signals"))?;
        let registry = Registry::open(options)?;
        registry.register(&service, lease).await?;
        let outcome = match asked.program.is_empty() {
            true => stay(json, &service, &mut signals).await,
            false => accompany(&registry, asked, &mut signals).await,
        };
        registry.close().await;
        outcome
    })
}

/// Says what is registered, then waits for a signal.
async fn stay(json: bool, service: &Service, signals: &mut Signals) -> Result<u8, Failure> {
    match json {
        true => output::line(&service.to_json())?,
        false => output::line(&format!("registered until Ctrl-C:\n{}", show::service(service)))?,
    }
    signals.next().await;
    Ok(0)
}

/// Runs the program; withdraws before it is asked to end, so that nobody is sent to it meanwhile.
async fn accompany(registry: &Registry, asked: &Register, signals: &mut Signals) -> Result<u8, Failure> {
    let failed = || Failure::system(asked.program[0].to_string_lossy());
    let mut program = Program::start(&asked.program).map_err(failed())?;
    loop {
        let signal = tokio::select! {
            code = program.ended() => return code.map_err(failed()),
            signal = signals.next() => signal,
        };
        registry.close().await;
        program.pass_on(signal);
    }
}

/// The text of a descriptor, no more of it than a call may carry and one byte.
fn read(path: &Path) -> Result<String, Failure> {
    let standard_input = path.as_os_str() == "-";
    let name = if standard_input { "standard input".into() } else { path.to_string_lossy() };
    let mut bytes = Vec::new();
    let limit = limits::CALL_JSON_BYTES as u64 + 1;
    let count = match standard_input {
        true => std::io::stdin().take(limit).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
    };
    count.map_err(Failure::system(&*name))?;
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        mdns_registry::Error::Utf8 { argument: "service", offset, byte: error.as_bytes()[offset] }.into()
    })
}
