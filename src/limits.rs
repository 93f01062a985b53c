//! Every bound in one table. What a caller sends over one is refused by name; what the network
//! sends over one is dropped and counted.

/// JSON of one call, bytes.
pub const CALL_JSON_BYTES: usize = 1 << 20;
/// Nodes of one call.
pub const CALL_NODES: usize = 1_024;
/// Nesting of JSON and of `Value`, of calls and of TXT records.
pub const JSON_DEPTH: usize = 32;
/// Endpoints of one service.
pub const ENDPOINTS: usize = 1_000;
/// A service name, node id, version or host name, bytes of UTF-8.
pub const NAME_BYTES: usize = 255;
/// A lease, milliseconds: shortest, longest and default.
pub const TTL_MS: std::ops::RangeInclusive<u64> = 3_000..=86_400_000;
/// The lease where none is asked for, milliseconds.
pub const TTL_DEFAULT_MS: u64 = 120_000;
/// How long a lookup may wait, milliseconds.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 1..=60_000;
/// Changes a watch queues, least and most.
pub const WATCH_QUEUE: std::ops::RangeInclusive<usize> = 1..=1_000_000;
/// Changes a watch queues where nothing is asked for.
pub const WATCH_QUEUE_DEFAULT: usize = 1_024;
/// Names a registry keeps an interest in; the oldest goes first.
pub const INTERESTS: usize = unless_fuzzed(1_024, 4);
/// How long a lookup keeps an interest alive, milliseconds.
pub const INTEREST_MS: u64 = 60_000;
/// Nodes one view holds; what comes beyond is refused and counted.
pub const VIEW_NODES: usize = unless_fuzzed(32_768, 16);
/// Of these, first said from one address: a stranger with one fills no view alone.
pub const SENDER_NODES: usize = unless_fuzzed(16_384, 12);
/// The data of the nodes that the link keeps of one wire, inflated, bytes, and of these, of nodes first said from one address.
pub const VIEW_BYTES: usize = 32 << 20;
/// See [`VIEW_BYTES`].
pub const SENDER_BYTES: usize = 16 << 20;
/// What waits in a watch, bytes for each change that its queue holds; at least twice [`VIEW_BYTES`] in all.
pub const CHANGE_BYTES: usize = 8 << 10;
/// The data of one TXT record, bytes. With the node's other records, the addresses of its host and the
/// question they answer it stays within 8,952 bytes, what IPv6 and UDP leave of 9,000 (RFC 6762 §17), so
/// that a node always fits one message.
pub const TXT_BYTES: usize = 8_000;
/// What a TXT record may inflate to, bytes.
pub const INFLATED_BYTES: usize = 256 << 10;
/// Values in the requests and responses of one TXT record, nested ones counted.
pub const TXT_VALUES: usize = 8_192;
/// One DNS label, bytes (RFC 1035 §2.3.4).
pub const LABEL_BYTES: usize = 63;
/// So often are go-micro's nodes asked whether they are there, milliseconds: they say nothing by themselves.
pub const GO_MICRO_ASK_MS: u64 = 30_000;
/// How long one lives on that does not answer, milliseconds: three such questions.
pub const GO_MICRO_LEASE_MS: u64 = 90_000;
/// How long `close` waits for the goodbyes to reach the network, milliseconds.
pub const CLOSE_MS: u64 = 250;

/// The bound that holds, or under a fuzzer one that its few steps reach.
const fn unless_fuzzed(bound: usize, fuzzed: usize) -> usize {
    if cfg!(fuzzing) {
        fuzzed
    } else {
        bound
    }
}
