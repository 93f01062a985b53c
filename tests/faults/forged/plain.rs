//! A node of other software: it says what it has twice a second, and at once when it is asked or contradicted.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{parse, Record};

use super::records::message;
use crate::lab::radio::in_the_group;
use crate::lab::role::MDNS_GROUP;
use crate::lab::Host;

const REPEATED_EVERY: Duration = Duration::from_millis(500);

/// Speaks until it is dropped.
pub struct Plain {
    over: Arc<AtomicBool>,
}

impl Plain {
    pub fn start(host: &Host, records: Vec<Record>) -> Plain {
        let socket = host.inside(|| in_the_group((Ipv4Addr::UNSPECIFIED, MDNS_GROUP.1).into()));
        let over = Arc::new(AtomicBool::new(false));
        let (until, own) = (over.clone(), host.ipv4);
        thread::spawn(move || speak(&socket, own, &records, &until));
        Plain { over }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

fn speak(socket: &UdpSocket, own: Ipv4Addr, records: &[Record], over: &AtomicBool) {
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    let announcement = message(records);
    let (mut bytes, mut due) = ([0; 9_000], Instant::now());
    while !over.load(Ordering::SeqCst) {
        let heard = socket.recv_from(&mut bytes).ok().filter(|(_, from)| from.ip() != own);
        let heard = heard.and_then(|(length, _)| parse(&bytes[..length]));
        let concerned = heard.is_some_and(|heard| {
            let said = heard.answers.iter().any(|said| records.iter().any(|own| own.name == said.name));
            said || heard.questions.iter().any(|asked| records.iter().any(|own| own.name == asked.name))
        });
        if concerned || Instant::now() >= due {
            due = Instant::now() + REPEATED_EVERY;
            let _ = socket.send_to(&announcement, MDNS_GROUP);
        }
    }
}
