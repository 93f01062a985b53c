//! Every reason for which something that came from the network was not taken: one table of the names that `stats`
//! counts under, who counts, and what each means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Who counts a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The link, once for all registries of the process that share it.
    Link,
    /// Each registry for itself.
    Registry,
}

macro_rules! table {
    ($($by:ident $reason:ident $name:literal $meaning:literal)*) => {
        /// Why something heard was not taken; counted under its name in `stats`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Refused {
            $(#[doc = $meaning] $reason,)*
        }

        impl Refused {
            /// Every reason, in the order of the table.
            pub const ALL: [Refused; [$($name),*].len()] = [$(Refused::$reason),*];

            /// As in `stats`.
            pub fn name(self) -> &'static str {
                match self { $(Refused::$reason => $name),* }
            }

            /// In a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Refused::$reason => $meaning),* }
            }

            /// Who counts it.
            pub fn by(self) -> By {
                match self { $(Refused::$reason => By::$by),* }
            }
        }
    };
}

table! {
    Link KernelDrops "kernel-drops" "Datagrams that the kernel dropped, as the receive buffer was full."
    Link MemoryDrops "memory-drops" "Datagrams dropped as there was no memory to read them."
    Link ReceiveErrors "receive-errors" "Datagrams that could not be read, or of which the kernel did not say where they came from."
    Link OtherInterface "other-interface" "Datagrams over an interface on which no registry speaks."
    Link OffLink "off-link" "Datagrams from an address outside the networks of their interface (RFC 6762 §11)."
    Link Oversized "oversized" "Datagrams of more than 9,000 bytes (RFC 6762 §17)."
    Link Malformed "malformed" "Datagrams whose header or questions cannot be read."
    Link MalformedRecords "malformed-records" "Questions and records that make no sense, or come after the 64th question or the 512th record of a message."
    Link OpcodeOrRcode "opcode-or-rcode" "Messages with an opcode or a response code (RFC 6762 §18.3, §18.11)."
    Link OtherClass "other-class" "Questions and records of another class than IN."
    Link ResponseFromOtherPort "response-from-other-port" "Responses from another port than that of multicast DNS (RFC 6762 §6)."
    Link ResponseUnasked "response-unasked" "Responses by unicast that answer no question of ours: to the port of multicast DNS, or with another id."
    Link OwnNodeFromElsewhere "own-node-from-elsewhere" "Records about nodes of this process that another host sent; what differs is put right once a second."
    Link QuestionMisplaced "question-misplaced" "Plain questions to our own port, which is for the lookup exchange."
    Link OneShotLimited "one-shot-limited" "One-shot questions over 20 a second, or 50 with what else goes to who has not proven its address, which got no answer (RFC 6762 §6.7)."
    Link EnumerationsLimited "enumerations-limited" "Questions for all nodes or names over 50 a second, which got no answer."
    Link KnownAnswersFull "known-answers-full" "Questions whose known answers go on in another message, while 512 askers or 16,384 records of such wait."
    Link QuestionsFull "questions-full" "Records that a stranger left out, or that may be gone, and that were not asked for: 8,192 questions waited or were asked lately, 16,384 with those of the second kind."
    Link ExchangeMalformed "exchange-malformed" "Options of the lookup exchange that are cut, too long or of another version."
    Link ExchangeMisplaced "exchange-misplaced" "Options of the lookup exchange where they mean nothing."
    Link AsksRefused "asks-refused" "Lookups over 50 messages a second to addresses that have not proven themselves, answers to one-shot questions included."
    Link FetchesRefused "fetches-refused" "Fetches whose ranges overlap, or over what their address may have: 50 messages a second in all, 16,384 with a token."
    Link FetchOfUnknownRegistry "fetch-of-unknown-registry" "Fetches from a registry that does not speak where they came in."
    Link WrongToken "wrong-token" "Fetches with a token that is not their address's: one message answers, which brings the right one."
    Link GoMicroAsksRefused "go-micro-asks-refused" "go-micro's questions over 256 at once, or 8 of one address."
    Link GoMicroTooManyQuestions "go-micro-too-many-questions" "go-micro's questions after the fourth of a message."
    Link GoMicroTooManyEntries "go-micro-too-many-entries" "go-micro's nodes after the sixteenth of a message."
    Link GoMicroServicesRefused "go-micro-services-refused" "Services that go-micro's nodes list beyond 1,024, which were not asked for."
    Registry AnswerUnasked "answer-unasked" "Answers of the lookup exchange to nothing that was asked."
    Registry AnswerFromElsewhere "answer-from-elsewhere" "Answers of the lookup exchange from another address than their registry's; it is asked."
    Registry RecordFromElsewhere "record-from-elsewhere" "Records of a node from another address than its registry's; it is asked."
    Registry AliveFromElsewhere "alive-from-elsewhere" "Alive records from another address than their registry's; it is asked."
    Registry Alive "alive" "Alive records that make no sense."
    Registry TooManyStrangers "too-many-strangers" "Registries that were not asked, as too many appeared: 256 a second in all, 256 at once of one address."
    Registry RegistriesFull "registries-full" "Registries beyond 16,384, of which no address is kept."
    Registry Pointer "pointer" "Pointers of our service type to what is no instance of it."
    Registry TooManyAddresses "too-many-addresses" "Addresses of a host beyond 16 on one interface."
    Registry CacheFull "cache-full" "Records of nodes beyond the 32,768, or 32 MiB, that the link keeps of one wire."
    Registry SenderFull "sender-full" "Records of nodes beyond the 16,384, or 16 MiB, that are kept of one address."
    Registry ReadingLimited "reading-limited" "TXT records that were not read, over 32 MiB as inflated at once and 16 MiB a second of one wire, or 16 MiB and 4 MiB a second of one address."
    Registry TooManyIncomplete "too-many-incomplete" "Records of nodes described in part, while 4,096 such wait for the rest."
    Registry OlderRevision "older-revision" "Records older than what is held of their node."
    Registry GoMicroFromElsewhere "go-micro-from-elsewhere" "Records of a go-micro node from another address than the one that said it first; it is asked."
    Registry LinkFull "link-full" "Nodes beyond the 32,768 that the mdns-sd link keeps."
    Registry ViewFull "view-full" "Nodes beyond the 32,768 that a registry lists."
    Registry LoopbackAddress "loopback-address" "Nodes at a loopback address that were heard on a network."
    Registry Unreachable "unreachable" "Nodes with no address that anybody can be reached at."
    Registry TxtSize "txt-size" "TXT records of more than 8,000 bytes."
    Registry TxtVersion "txtvers" "TXT records of another version than 1."
    Registry TxtHex "txt-hex" "TXT records of go-micro's that are not hexadecimal."
    Registry TxtDeflate "txt-deflate" "TXT records that do not inflate."
    Registry TxtInflatedSize "txt-inflated-size" "TXT records that inflate to more than 262,144 bytes."
    Registry Utf8 "utf-8" "TXT records that are not UTF-8 where text is due."
    Registry Json "json" "TXT records whose JSON cannot be read."
    Registry JsonBound "json-bound" "TXT records whose JSON is over a bound: depth 32, 1,000 endpoints, 8,192 values, names of 255 bytes."
    Registry JsonField "json-field" "TXT records whose JSON has a field of another type or lacks one."
    Registry Label "label" "Nodes whose instance label is empty, too long, ends in a dot or has control characters."
    Registry LabelMismatch "label-mismatch" "Nodes whose instance label is not that of their registry, service and id."
    Registry NoService "no-service" "Nodes that name no service."
    Registry Name "name" "Nodes with a service name, id or version that is empty, over 255 bytes or has control characters."
    Registry Address "address" "Nodes whose address is no address."
    Registry Port "port" "Nodes whose port is 0 or no number."
}

impl Refused {
    /// The reason of a name.
    pub fn named(name: &str) -> Option<Refused> {
        Refused::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Refused {}

/// How often each reason has occurred.
#[derive(Debug)]
pub struct Refusals([AtomicU64; Refused::ALL.len()]);

impl Default for Refusals {
    fn default() -> Refusals {
        Refusals(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Refusals {
    /// Once more.
    pub fn count(&self, reason: Refused) {
        self.add(reason, 1);
    }

    /// So often more.
    pub fn add(&self, reason: Refused, n: u64) {
        self.0[reason as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// How often.
    pub fn of(&self, reason: Refused) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    /// Those that have occurred, by name.
    pub fn list(&self) -> BTreeMap<&'static str, u64> {
        let counted = Refused::ALL.into_iter().map(|reason| (reason.name(), self.of(reason)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_reason_is_found_by_its_name_which_no_other_has() {
        let names: BTreeSet<&str> = Refused::ALL.into_iter().map(Refused::name).collect();
        assert_eq!(names.len(), Refused::ALL.len());
        for reason in Refused::ALL {
            assert_eq!(Refused::named(reason.name()), Some(reason));
            assert!(reason.meaning().ends_with('.') && !reason.meaning().contains('|'), "{reason}");
        }
        assert_eq!(Refused::named("weather"), None);
    }

    #[test]
    fn what_has_not_occurred_is_not_listed() {
        let refusals = Refusals::default();
        refusals.count(Refused::Alive);
        refusals.add(Refused::Alive, 2);
        refusals.add(Refused::Port, 0);
        assert_eq!(refusals.list(), BTreeMap::from([("alive", 3)]));
    }
}
