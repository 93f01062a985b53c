//! What a registry must survive: packets lost, doubled and late, hosts cut off, killed and stopped, interfaces and clocks
//! that change, floods, forgeries, and callers that do what they should not. `make faults` runs all, on both links, and
//! writes docs/faults.md.

#![allow(unsafe_code)] // the C ABI is called as C does, and fork
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg(all(feature = "capi", feature = "cli", target_os = "linux"))]

mod callers;
mod clock;
mod crowd;
mod cut;
mod death;
mod disorder;
mod flood;
mod forged;
#[allow(dead_code)] // its seeds
#[path = "../../fuzz/targets/mod.rs"]
mod fuzz;
#[path = "../heap/mod.rs"]
mod heap;
mod interfaces;
#[path = "../lab/mod.rs"]
mod lab;
mod loss;
mod measure;
mod panics;
mod peer;
mod radio;
mod relay;
mod report;
mod soak;
mod starved;
mod strangers;

use mdns_registry::LinkKind;
use report::play;

lab::agent::agents!();

/// On which links a scenario is played.
#[derive(PartialEq)]
enum Links {
    Both,
    /// What it does is above the link.
    Native,
}

struct Scenario {
    class: &'static str,
    number: &'static str,
    name: &'static str,
    what: &'static str,
    must: &'static str,
    links: Links,
}

/// `short` ones take half a minute at most and are part of `make test`; `alone` ones are not played beside others but the soak.
macro_rules! scenarios {
    ($($class:ident { $($module:ident::$name:ident, $number:literal, $links:ident, $what:literal, $must:literal;)* })*) => {
        const SCENARIOS: &[Scenario] = &[$($(Scenario {
            class: stringify!($class),
            number: $number,
            name: stringify!($name),
            what: $what,
            must: $must,
            links: Links::$links,
        }),*),*];
        $(mod $class {
            mod native {
                $(#[test]
                fn $name() {
                    crate::play(stringify!($name), crate::LinkKind::Native, crate::$module::$name);
                })*
            }
            mod mdns_sd {
                $(on_mdns_sd!($links, $module, $name);)*
            }
        })*
    };
}

macro_rules! on_mdns_sd {
    (Both, $module:ident, $name:ident) => {
        #[test]
        fn $name() {
            crate::play(stringify!($name), crate::LinkKind::MdnsSd, crate::$module::$name);
        }
    };
    (Native, $module:ident, $name:ident) => {};
}

scenarios! {
    short {
        disorder::packets_doubled_late_and_out_of_order, "2", Both, "each packet between two hosts takes up to 200 ms, half of them come twice; 100 changes of nodes in 10 s", "both come to see what there is; I3, I4";
        cut::a_partition_of_10_s, "3", Both, "one of 4 hosts is cut off for 10 s, 100 nodes; on both sides some change, go and come meanwhile", "all see what there is within 3 s of the heal; none that lives is told as deleted";
        death::a_process_killed_with_a_lease_of_3_s, "4", Both, "kill -9 of a process with 10 nodes and a lease of 3 s, 3 times", "gone everywhere within 4 s";
        death::a_process_killed_with_a_lease_of_10_s, "4", Both, "the same with a lease of 10 s, once", "within 11 s";
        death::a_publisher_stopped_for_5_s, "5", Both, "SIGSTOP of a publisher, SIGCONT after 5 s; here and there nodes change, go and come meanwhile", "all see what there is within 3 s, none that lives is told as deleted";
        death::a_watcher_stopped_for_5_s, "5", Both, "the same of a process that only watches", "the same";
        interfaces::an_interface_that_goes_down_and_comes_up, "6", Both, "an interface is down for 3 s; on both sides of it nodes change meanwhile", "3 watchers see what there is at the right addresses within 2 s of the kernel's change, nothing stale after 5 s; nobody registers again";
        interfaces::an_address_that_changes, "6", Both, "the address of an interface changes", "the same";
        interfaces::an_address_that_is_added, "6", Both, "an interface gets a second address, and then loses its first", "told on the wire within 2 s; the same";
        interfaces::hosts_with_ipv6_only, "6", Both, "all hosts lose their IPv4 addresses while the processes run", "the same; a change of metadata and a process that begins so as well";
        interfaces::interfaces_of_1280_bytes, "6", Both, "MTU 1,280 from now on; metadata change, of one node 5,000 bytes", "the same; the large node is found whole";
        disorder::avahi_first_on_the_same_host, "7", Both, "avahi-daemon on the same host and port, started first; another avahi and another peer on other hosts", "each sees the services of the others";
        disorder::avahi_later_on_the_same_host, "7", Both, "the same, avahi started last", "the same";
        clock::a_wall_clock_that_steps_by_an_hour, "8", Both, "the wall clocks of 3 of 4 processes step an hour ahead, behind, and back; leases of 10 s; a fifth process is killed", "no event at all in 16 s but its 10 nodes, gone within 11 s";
        clock::a_suspend_of_an_hour, "8", Both, "an hour passes at once for a watcher, while one process has died and another lives", "the dead gone and the living seen within 3 s, and so it stays";
        starved::no_descriptor_left, "9", Both, "a process at its limit of descriptors opens another registry; nodes change here and there", "the documented status; the first registry publishes and hears on; all is well when the limit is lifted";
        starved::no_memory_left, "9", Both, "the same at its limit of memory", "the same";
        forged::a_forged_goodbye, "13", Both, "goodbye for a live node, said in the name of its host and by a stranger", "ignored or repaired within 1 s, never told as deleted";
        forged::a_forged_goodbye_again_and_again, "13", Both, "the same 20 times, every 100 ms", "the same";
        forged::a_forged_goodbye_over_ipv6, "13", Both, "once, over IPv6", "the same";
        forged::a_forged_goodbye_of_the_address, "13", Both, "goodbye for the IPv4 address of its host, said by both", "the same";
        forged::a_forged_goodbye_of_the_address_again_and_again, "13", Both, "the same 20 times, every 100 ms", "the same";
        forged::a_forged_conflict, "13", Both, "an SRV record with another port and another target, and an address of that, said by both", "the same";
        forged::a_forged_address, "13", Both, "another address of its host, with the cache-flush bit, said by both", "the same";
        forged::a_forged_conflict_again_and_again, "13", Both, "the conflict 30 times, every 100 ms", "the same each time";
        forged::a_forged_address_again_and_again, "13", Both, "the forged address 30 times, every 100 ms", "the same each time";
        forged::a_forged_conflict_of_a_plain_node, "13", Both, "the conflict about a node of other software, of whose port and host only SRV tells and who repeats it every 500 ms", "the same";
        forged::a_forged_takeover, "13", Both, "all records of the node with another port and a higher revision, said by both", "ignored or repaired within 1 s";
        forged::a_response_from_off_the_link, "13", Both, "the same from a source off the link", "ignored, counted for that and for nothing else, no event";
        forged::a_response_from_another_port, "13", Both, "the same from another port than 5353", "the same";
        forged::a_response_with_an_rcode, "13", Both, "the same with rcode 3", "the same";
        forged::a_response_with_an_opcode, "13", Both, "the same with opcode 5", "the same";
        forged::a_response_of_another_class, "13", Both, "the same of class CH", "the same";
        callers::processes_that_fork, "14", Native, "fork, fork and exec, fork inside a callback, by a process with a node", "FORKED in the child, which sends nothing, no goodbye but of the parent when it closes, the parent unharmed";
        callers::callbacks_that_take_10_s_or_never_return, "16", Native, "a callback takes 10 s, another never returns; 3 times 50 changes", "other watchers are told within 5 ms at the median of 50 changes in each of 3 rounds, and within 100 ms of each in the best; stop returns BUSY";
    }
    long {
        cut::a_partition_of_130_s, "3", Both, "the same for 130 s, the lease being 120 s", "within 3 s of the heal; each watcher is told once as deleted what it did not hear of";
        cut::a_host_that_hears_nothing_for_130_s, "3", Both, "one way: nothing reaches the host", "the same";
        cut::a_host_that_nobody_hears_for_130_s, "3", Both, "one way: nothing of the host reaches others", "the same";
        death::a_process_killed_with_a_lease_of_60_s, "4", Both, "kill -9, lease of 60 s", "within 61 s";
        death::a_publisher_stopped_for_60_s, "5", Both, "a publisher stopped for 60 s", "the same";
        death::a_publisher_stopped_for_200_s, "5", Both, "for 200 s, the lease being 120 s", "within 3 s; the other watchers are told once as deleted what they did not hear of, and once more at most of the 3 nodes that the publisher deregisters when it goes on, which itself is told once at most";
        death::a_watcher_stopped_for_60_s, "5", Both, "a process that only watches stopped for 60 s", "within 3 s, none that lives is told as deleted";
        death::a_watcher_stopped_for_200_s, "5", Both, "the same for 200 s, the lease being 120 s", "within 3 s; each node told as deleted once at most";
        loss::a_link_that_loses_10_per_cent, "1", Both, "10 % of the packets to each of 10 hosts are lost; 100 nodes are registered at once, 20 times, 5 of them by new processes", "visible to all within 3 s, 19 of 20 times";
        loss::a_link_that_loses_30_per_cent, "1", Both, "the same with 30 %", "within 5 s, 19 of 20 times";
        loss::a_link_that_loses_50_per_cent, "1", Both, "the same with 50 %", "within 15 s, 19 of 20 times";
        loss::ten_minutes_of_30_per_cent, "1", Both, "30 % lost for 10 minutes, 100 nodes on 10 hosts, leases of 120 s and of 10 s", "no node is deleted";
        soak::churn_and_loss, "17", Native, "200 nodes on 4 hosts, 5 changes a second (4.5 at least), 5 % lost, a process killed every 5 minutes, a watcher stopped every 3 s; 60 minutes", "I1 to I9: all are told of what there is within 3 s when the changes pause; no callback after stop; no record multicast by an address twice in a second, but what makes a change or a message whole; live heap of a peer at most 2 MB more, at the end 64 kB, and so of the process that watches and stops; resident memory of each peer at most 1 MB an hour more, no descriptor, no thread";
    }
    alone {
        crowd::a_thousand_nodes_on_one_host, "10", Both, "a process comes that watches; 1,000 nodes on one host", "all seen within 1 s of its start";
        crowd::a_thousand_nodes_on_50_hosts, "10", Both, "the same on 50 hosts", "within 1 s";
        crowd::ten_thousand_nodes_on_one_host, "10", Both, "10,000 nodes on one host", "within 3 s";
        crowd::ten_thousand_nodes_on_20_hosts, "10", Both, "10,000 nodes on 20 hosts", "within 3 s";
        flood::ten_thousand_questions_a_second, "11", Both, "10,000 questions a second for 60 s, half of them one-shot", "`get_service` of 100 nodes p99 1 ms; 200 packets a second sent; at most 5 MB more resident; 9,000 a second are taken in, and no node is lost or told as deleted";
        flood::a_million_malformed_messages, "12", Both, "1,000,000 malformed messages are taken in, from 5 addresses: what the fuzzer begins with and found, spoiled", "no node lost or told as deleted, a change told within 1 s; at no time more than 5 MB of heap and 10 MB resident more, but for the events that the peer keeps";
        flood::a_million_messages_about_strangers, "12", Both, "1,000,000 well-formed messages about as many strangers are taken in, from 100 addresses", "the same, but 64 MB of heap, 32,768 nodes (docs/limits.md) of 2 kB, and 96 MB resident";
        flood::a_million_nodes_of_the_service_that_is_watched, "12", Both, "the same, all of the service that is watched", "the same";
        flood::a_million_nodes_said_by_one_address, "12", Both, "the same from one address", "the same";
        flood::a_million_go_micro_nodes_of_the_service_that_is_watched, "12", Native, "the same from 100 addresses, on go-micro's wire", "the same";
        flood::a_million_nodes_that_inflate, "12", Native, "the same on both wires, each with TXT of a few hundred bytes that inflates to 256 kB", "the same, but 100 MB of heap, of 32 MiB of data on either wire (docs/limits.md), and 160 MB resident";
        flood::a_million_nodes_that_live_for_10_s, "12", Native, "the same from 100 addresses, of nodes of the service that is watched that live for 10 s", "the same as of those that live for 2 minutes; 11 s after the last only ours are seen, with at most 1 MB of heap more than before";
        callers::ten_thousand_cycles_on_8_threads, "15", Native, "10,000 times open, register, watch, stop, close, on 8 threads; every third is stopped while its callback runs, every fifth closes its watch in it, every tenth the registry as well (DEFERRED), every eighth is dropped without stop and close", "a quarter of them are called back, a tenth stopped meanwhile; no callback after stop; no descriptor, no thread and no more than 64 kB of heap left";
    }
}

/// The peer, which every scenario starts; as a test of its own it looks whether it can be played.
#[test]
fn a_peer_sees_what_it_registers() {
    peer::play_or_check();
}

/// The caller of the C ABI, in the same way.
#[test]
fn a_caller_of_the_c_abi_opens_and_closes() {
    callers::play_or_check();
}
