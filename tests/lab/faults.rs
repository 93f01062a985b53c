//! What can go wrong on a host's cable, done in the switch: neither side's kernel tells its programs.

use super::{tool, Host, Switch};

/// What the switch does to one port.
#[derive(Clone, Copy, Default)]
pub(super) struct Fault {
    /// Per cent of the packets the host sends that are lost.
    loss_from: u8,
    /// Per cent of the packets sent to the host that are lost.
    loss_to: u8,
}

impl Host {
    /// Loses so many per cent of what is sent to the host: on all hosts, each receiver misses others. 0 heals.
    pub fn loss_to(&self, percent: u8) {
        self.fault(Fault { loss_from: 0, loss_to: percent });
    }

    /// Cuts the host off, both ways.
    pub fn partition(&self) {
        self.fault(Fault { loss_from: 100, loss_to: 100 });
    }

    /// Lets nothing out that the host sends; it still hears the others.
    pub fn mute(&self) {
        self.fault(Fault { loss_from: 100, loss_to: 0 });
    }

    /// Lets nothing in; the others still hear the host.
    pub fn deafen(&self) {
        self.loss_to(100);
    }

    /// Ends loss and partition.
    pub fn heal(&self) {
        self.fault(Fault::default());
    }

    fn fault(&self, fault: Fault) {
        self.switch.faults.lock().expect("no panic while held").insert(self.name.clone(), fault);
        self.switch.apply();
    }
}

impl Switch {
    /// Replaces all rules in one transaction. Prerouting loses a packet for all receivers, postrouting for one.
    fn apply(&self) {
        let (mut from, mut to) = (String::new(), String::new());
        for (port, fault) in &*self.faults.lock().expect("no panic while held") {
            for (rules, name, loss) in [(&mut from, "iifname", fault.loss_from), (&mut to, "oifname", fault.loss_to)] {
                if loss > 0 {
                    *rules += &format!("{name} {port:?} numgen random mod 100 <= {} drop\n", loss - 1);
                }
            }
        }
        let rules = format!(
            "table bridge faults {{ }}\ndelete table bridge faults\ntable bridge faults {{\n\
             chain from {{ type filter hook prerouting priority 0; policy accept;\n{from}}}\n\
             chain to {{ type filter hook postrouting priority 0; policy accept;\n{to}}}\n}}\n"
        );
        tool("nsenter", &[&format!("--net={}", self.namespace.path()), "--", "nft", "-f", "-"], &rules);
    }
}
