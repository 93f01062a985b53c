//! Random plans: hosts on either wire or both that register, change, withdraw, close, die, come back, stop, go on, cannot hear
//! each other and lose packets, and what is promised of their watches. A failing seed is printed with its plan, and with
//! the shortest plan that fails alike: `MDNSREG_SEED=<seed> cargo test --test segment plans`.

use std::fmt::Write;

use mdns_registry::options::Wires;

use super::gomicro::{BOTH, MICRO};
use super::net::Weather;
use super::seeds::over_seeds;
use super::world::World;

const SEEDS: u64 = 100;
/// The hosts and the wires they speak.
pub const HOSTS: [Wires; 8] = [BOTH, BOTH, BOTH, Wires::DNS_SD, Wires::DNS_SD, MICRO, MICRO, BOTH];
pub const SERVICES: [&str; 3] = ["greeter", "go.micro.store", "mail"];
/// Short, so that many of them end in a plan.
const LEASES_S: [u64; 4] = [3, 5, 12, 30];
const STEPS: usize = 32;
/// So many of them between two times of peace.
const UNTIL_PEACE: usize = 16;

/// One of `HOSTS`.
pub type Host = usize;
/// One of `SERVICES`.
pub type Name = usize;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// A node is registered, or has other metadata from now on.
    Register {
        host: Host,
        name: Name,
        id: u8,
        version: u8,
        lease_s: u64,
    },
    Deregister {
        host: Host,
        name: Name,
        id: u8,
    },
    Close(Host),
    Kill(Host),
    Open(Host),
    /// Nothing gets to a host, from it, or both: from one other, or from all.
    Cut {
        host: Host,
        other: Option<Host>,
        hears: bool,
        is_heard: bool,
    },
    Heal(Host),
    Stop(Host),
    GoOn(Host),
    Weather(Weather),
    Watch {
        host: Host,
        name: Option<Name>,
        queue: usize,
    },
    Unwatch(Host),
    GetService {
        host: Host,
        name: Name,
    },
    /// All is healed, nobody is stopped, nothing is lost: what is promised must come to be.
    Peace,
}

/// What happens, and how many milliseconds pass after it.
pub type Plan = Vec<(Step, u64)>;

fn plan(seed: u64) -> Plan {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut plan = Plan::new();
    for i in 1..=STEPS {
        let step = step(&mut rng);
        let pause = match rng.u8(0..10) {
            0..=5 => rng.u64(0..400),
            6..=8 => rng.u64(400..4_000),
            _ => rng.u64(4_000..40_000),
        };
        plan.push((step, pause));
        if i % UNTIL_PEACE == 0 {
            plan.push((Step::Peace, 0));
        }
    }
    plan
}

fn step(rng: &mut fastrand::Rng) -> Step {
    let (host, name, id) = (rng.usize(0..HOSTS.len()), rng.usize(0..SERVICES.len()), rng.u8(0..3));
    match rng.u8(0..100) {
        0..=29 => {
            let (version, lease_s) = (rng.u8(0..5) / 4, rng.choice(LEASES_S).unwrap());
            Step::Register { host, name, id, version, lease_s }
        }
        30..=39 => Step::Deregister { host, name, id },
        40..=42 => Step::Close(host),
        43..=46 => Step::Kill(host),
        47..=54 => Step::Open(host),
        55..=62 => {
            let other = rng.bool().then(|| (host + rng.usize(1..HOSTS.len())) % HOSTS.len());
            let (hears, is_heard) = rng.choice([(false, false), (false, true), (true, false)]).unwrap();
            Step::Cut { host, other, hears, is_heard }
        }
        63..=68 => Step::Heal(host),
        69..=72 => Step::Stop(host),
        73..=78 => Step::GoOn(host),
        79..=86 => Step::Weather(Weather {
            loss: rng.choice([0.0, 0.05, 0.15, 0.3]).unwrap(),
            duplicates: rng.choice([0.0, 0.2]).unwrap(),
            delay: rng.choice([0, 5, 50, 200]).unwrap(),
        }),
        87..=91 => {
            let (name, queue) = (rng.bool().then_some(name), rng.choice([1, 4, 1_024]).unwrap());
            Step::Watch { host, name, queue }
        }
        92..=94 => Step::Unwatch(host),
        _ => Step::GetService { host, name },
    }
}

fn play(seed: u64, plan: &Plan) -> Result<(), String> {
    let mut world = World::new(seed);
    plan.iter().try_for_each(|(step, pause)| {
        world.take(*step)?;
        world.pass(*pause)
    })?;
    world.end()
}

/// What of a plan still breaks the same promise: pieces are left out, half of it at first and single steps in the end.
fn shortened(seed: u64, mut plan: Plan, broken: &str) -> (Plan, String) {
    let (promise, mut broken) = (&broken[..2], broken.to_owned());
    let mut size = plan.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < plan.len() {
            let mut less = plan.clone();
            less.drain(at..(at + size).min(plan.len()));
            match play(seed, &less) {
                Err(still) if still.starts_with(promise) => (plan, broken) = (less, still),
                _ => at += size,
            }
        }
        size /= 2;
    }
    (plan, broken)
}

fn printed(plan: &Plan) -> String {
    plan.iter().fold(String::new(), |mut text, (step, pause)| {
        writeln!(text, "    {step:?}, then {pause} ms").unwrap();
        text
    })
}

#[test]
fn whatever_hosts_and_the_link_do_watches_tell_the_truth_in_time() {
    over_seeds(SEEDS, |seed| {
        let whole = plan(seed);
        play(seed, &whole).map_err(|broken| {
            let (short, still) = shortened(seed, whole.clone(), &broken);
            format!("seed {seed}: {broken}\n{}shortest: {still}\n{}", printed(&whole), printed(&short))
        })
    });
}
