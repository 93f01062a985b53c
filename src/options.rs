//! Options of a registry, of a registration and of a watch: names, defaults, limits.

use std::time::Duration;

use serde_json::json;

use crate::error::{shorten, Error, Result};
use crate::limits;
use crate::model::{check_name, parse, Reader};

/// The variable whose JSON sets the defaults of the default registry and of the command line.
pub const ENVIRONMENT: &str = "MDNS_REGISTRY_OPTIONS";

/// How long a lookup waits by default for an answer nobody has given yet, milliseconds.
/// Measured: the native link's own kind answers within a millisecond, other software within 20 to
/// 120 ms (RFC 6762 §6), mdns-sd within 110 ms; the rest is room for a busy machine and repetitions.
pub const TIMEOUT_DEFAULT_MS: u64 = 300;

const KNOWN: &[&str] =
    &["addrs", "timeout_ms", "secure", "tls", "allow_unsigned", "wire", "domain", "link", "port", "user", "password"];

/// How a registry speaks. `Options::default()` is what most want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Interface names or local addresses to speak on; empty = every multicast-capable interface
    /// that is up, loopback when there is no other.
    pub addrs: Vec<String>,
    /// How long a lookup waits for an answer nobody has given yet; 1 ms to 60 s.
    pub timeout: Duration,
    /// The wires to speak; `None` = each that can carry the node.
    pub wire: Option<Vec<Wire>>,
    /// go-micro's domain, `"micro"` or `"local"`; DNS-SD does not use it.
    pub domain: Domain,
    /// Which mDNS carries the records.
    pub link: LinkKind,
    /// UDP port; other than 5353 only for tests.
    pub port: u16,
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            const NAMES: &'static [&'static str] = &[$($text),*];
            /// Every one.
            pub const ALL: [$name; $name::NAMES.len()] = [$($name::$variant),*];

            /// The name used in options.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }

            fn read(key: &str, text: &str) -> Result<$name> {
                match text {
                    $($text => Ok($name::$variant),)*
                    _ => Err(option(key, format!("{} is not one of {}", shorten(&format!("{text:?}")), $name::NAMES.join(", ")))),
                }
            }
        }
    };
}

choice! {
    /// A way to say a node on the network.
    Wire {
        /// DNS-SD, RFC 6763.
        DnsSd = "dns-sd",
        /// go-micro's own, on the native link.
        GoMicro = "go-micro",
    }
}
choice! {
    /// The last label of go-micro's names.
    Domain {
        /// Since September 2019.
        Micro = "micro",
        /// Before.
        Local = "local",
    }
}
choice! {
    /// What carries the records.
    LinkKind {
        /// The crate mdns-sd.
        MdnsSd = "mdns-sd",
        /// Our own mDNS.
        Native = "native",
    }
}

/// The wires that a registry speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wires {
    /// DNS-SD.
    pub dns_sd: bool,
    /// go-micro's, with its domain.
    pub go_micro: Option<Domain>,
    /// They were named: each must carry every node.
    pub named: bool,
}

impl Wires {
    /// DNS-SD alone.
    pub const DNS_SD: Wires = Wires { dns_sd: true, go_micro: None, named: true };

    /// Whether the wire is among them.
    pub fn has(&self, wire: Wire) -> bool {
        match wire {
            Wire::DnsSd => self.dns_sd,
            Wire::GoMicro => self.go_micro.is_some(),
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            addrs: Vec::new(),
            timeout: Duration::from_millis(TIMEOUT_DEFAULT_MS),
            wire: None,
            domain: Domain::Micro,
            link: LinkKind::Native,
            port: 5353,
        }
    }
}

impl Options {
    /// Reads options as JSON over the defaults; an unknown key is an error that names the nearest.
    pub fn from_json(text: &str) -> Result<Options> {
        Options::default().changed(text)
    }

    /// The defaults of the default registry and the command line: [`ENVIRONMENT`] where it is set.
    pub fn from_environment() -> Result<Options> {
        match std::env::var(ENVIRONMENT) {
            Ok(text) => Options::from_json(&text),
            Err(std::env::VarError::NotPresent) => Ok(Options::default()),
            Err(error) => Err(option(ENVIRONMENT, error.to_string())),
        }
    }

    /// These options with the keys of a JSON object laid over them.
    pub fn changed(&self, text: &str) -> Result<Options> {
        self.laid_over(text).map_err(as_option)
    }

    fn laid_over(&self, text: &str) -> Result<Options> {
        let reader = parse("options", text)?;
        let fields = known_fields(&reader, KNOWN)?;
        let mut options = self.clone();
        if let Some(addrs) = fields.optional("addrs") {
            let address = |a: &Reader<'_>| a.text(limits::NAME_BYTES);
            options.addrs = addrs.list(limits::CALL_NODES)?.iter().map(address).collect::<Result<_>>()?;
        }
        if let Some(timeout) = fields.optional("timeout_ms") {
            options.timeout = Duration::from_millis(number(&timeout, "timeout_ms", limits::TIMEOUT_MS)?);
        }
        if let Some(wire) = fields.optional("wire") {
            let one = |w: &Reader<'_>| Wire::read("wire", &w.text(limits::NAME_BYTES)?);
            options.wire = Some(wire.list(limits::CALL_NODES)?.iter().map(one).collect::<Result<_>>()?);
        }
        if let Some(domain) = fields.optional("domain") {
            options.domain = Domain::read("domain", &domain.text(limits::NAME_BYTES)?)?;
        }
        if let Some(link) = fields.optional("link") {
            options.link = LinkKind::read("link", &link.text(limits::NAME_BYTES)?)?;
        }
        if let Some(port) = fields.optional("port") {
            options.port = u16::try_from(number(&port, "port", 1..=65_535)?).unwrap_or(5353);
        }
        let off = |key: &str| fields.optional(key).is_none_or(|value| value.is_off());
        for key in ["secure", "tls", "allow_unsigned"] {
            if !off(key) {
                return Err(unsupported(key, "signed records are not built yet; see docs/limits.md"));
            }
        }
        for key in ["user", "password"] {
            if !off(key) {
                return Err(unsupported(key, "no registry behind a server is built yet"));
            }
        }
        options.validate()?;
        Ok(options)
    }

    /// Checks what a struct literal can get wrong.
    pub fn validate(&self) -> Result<()> {
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        in_range("timeout_ms", timeout, &limits::TIMEOUT_MS)?;
        in_range("port", u64::from(self.port), &(1..=65_535))?;
        if let Some(server) = self.addrs.iter().find(|a| a.contains("://")) {
            return Err(unsupported(
                &shorten(&format!("addrs {server:?}")),
                "no registry behind a server is built yet",
            ));
        }
        match &self.wire {
            Some(wires) if wires.is_empty() => Err(option("wire", "must name at least one wire".into())),
            Some(wires) if wires.contains(&Wire::GoMicro) && self.link == LinkKind::MdnsSd => {
                Err(unsupported("wire \"go-micro\"", "the link \"mdns-sd\" cannot carry it; \"native\" can"))
            }
            _ => Ok(()),
        }
    }

    /// The wires in force: those named, or each that the link can carry.
    pub fn wires(&self) -> Wires {
        let has = |wire: Wire| match &self.wire {
            Some(named) => named.contains(&wire),
            None => wire == Wire::DnsSd || self.link == LinkKind::Native,
        };
        Wires {
            dns_sd: has(Wire::DnsSd),
            go_micro: has(Wire::GoMicro).then_some(self.domain),
            named: self.wire.is_some(),
        }
    }

    /// Every value in force as JSON, secrets as `"***"`.
    pub fn to_json(&self) -> String {
        let wire = self.wire.as_ref().map(|wires| wires.iter().map(|w| w.as_str()).collect::<Vec<_>>());
        json!({
            "addrs": self.addrs,
            "timeout_ms": u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            "secure": false,
            "tls": null,
            "allow_unsigned": [],
            "wire": wire,
            "domain": self.domain.as_str(),
            "link": self.link.as_str(),
            "port": self.port,
            "user": null,
            "password": null,
        })
        .to_string()
    }
}

/// How a registration lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterOptions {
    /// The lease, 3 s to 24 h, up to whole seconds: so long after the death of its process a node
    /// is gone from every view.
    pub ttl: Duration,
    /// True: the library renews while the process lives. False: the application registers again
    /// within `ttl`, or the library withdraws the node.
    pub auto_renew: bool,
}

impl Default for RegisterOptions {
    fn default() -> RegisterOptions {
        RegisterOptions { ttl: Duration::from_millis(limits::TTL_DEFAULT_MS), auto_renew: true }
    }
}

impl RegisterOptions {
    /// Reads `{"ttl_ms", "auto_renew"}` over the defaults.
    pub fn from_json(text: &str) -> Result<RegisterOptions> {
        RegisterOptions::read(text).map_err(as_option)
    }

    fn read(text: &str) -> Result<RegisterOptions> {
        let reader = parse("register options", text)?;
        let fields = known_fields(&reader, &["ttl_ms", "auto_renew"])?;
        let mut options = RegisterOptions::default();
        if let Some(ttl) = fields.optional("ttl_ms") {
            options.ttl = Duration::from_millis(number(&ttl, "ttl_ms", limits::TTL_MS)?);
        }
        if let Some(auto_renew) = fields.optional("auto_renew") {
            options.auto_renew = auto_renew.boolean("auto_renew")?;
        }
        Ok(options)
    }

    /// The lease in whole seconds, if it is within its limits.
    pub fn lease(&self) -> Result<u32> {
        let ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        in_range("ttl_ms", ms, &limits::TTL_MS)?;
        Ok(u32::try_from(ms.div_ceil(1_000)).unwrap_or(u32::MAX))
    }
}

/// What a watch tells, and how much it queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchOptions {
    /// Only this service; `None` = all.
    pub service: Option<String>,
    /// Changes kept for a reader that is behind, before `resync`; 1 to 1,000,000.
    pub queue: usize,
}

impl Default for WatchOptions {
    fn default() -> WatchOptions {
        WatchOptions { service: None, queue: limits::WATCH_QUEUE_DEFAULT }
    }
}

impl WatchOptions {
    /// Only the service of this name.
    pub fn service(name: impl Into<String>) -> WatchOptions {
        WatchOptions { service: Some(name.into()), ..WatchOptions::default() }
    }

    /// Reads `{"service", "queue"}` over the defaults.
    pub fn from_json(text: &str) -> Result<WatchOptions> {
        let reader = parse("watch options", text)?;
        let fields = known_fields(&reader, &["service", "queue"])?;
        let mut options = WatchOptions::default();
        if let Some(service) = fields.optional("service") {
            options.service = Some(service.name()?);
        }
        if let Some(queue) = fields.optional("queue") {
            let (least, most) = (*limits::WATCH_QUEUE.start() as u64, *limits::WATCH_QUEUE.end() as u64);
            options.queue = usize::try_from(number(&queue, "queue", least..=most)?).unwrap_or(usize::MAX);
        }
        Ok(options)
    }

    /// Checks what a struct literal can get wrong.
    pub fn validate(&self) -> Result<()> {
        if let Some(service) = &self.service {
            check_name("service", service)?;
        }
        let (least, most) = (*limits::WATCH_QUEUE.start() as u64, *limits::WATCH_QUEUE.end() as u64);
        in_range("queue", self.queue as u64, &(least..=most))
    }
}

fn option(key: &str, problem: String) -> Error {
    Error::Option { key: key.to_owned(), problem }
}

/// A value of the wrong type in options is a bad option, not a bad descriptor.
fn as_option(error: Error) -> Error {
    match error {
        Error::Invalid { field, problem, value } => option(&field, format!("{problem}, got {value}")),
        other => other,
    }
}

fn unsupported(what: &str, why: &'static str) -> Error {
    Error::Unsupported { what: format!("option {what}"), why }
}

fn known_fields<'a>(reader: &'a Reader<'_>, known: &[&str]) -> Result<crate::model::Fields<'a>> {
    let unknown = reader.keys()?.find(|key| !known.contains(key));
    if let Some(key) = unknown {
        let distance = |name: &&&str| strsim::damerau_levenshtein(key, name);
        let nearest = known.iter().min_by_key(distance).copied().unwrap_or_default();
        return Err(option(key, format!("unknown; the nearest known is {nearest:?}, known are {}", known.join(", "))));
    }
    reader.fields(known)
}

fn number(reader: &Reader<'_>, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64> {
    let number = reader.whole_number().map_err(|error| option(key, error.to_string()))?;
    in_range(key, number, &range)?;
    Ok(number)
}

fn in_range(key: &str, number: u64, range: &std::ops::RangeInclusive<u64>) -> Result<()> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(option(key, format!("must be {} to {}, got {number}", range.start(), range.end())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_option_names_the_nearest_known_one() {
        let error = Options::from_json(r#"{"timeout":5}"#).unwrap_err();
        assert_eq!(error.status(), crate::Status::OPTION);
        assert!(error.to_string().contains("timeout_ms"), "{error}");
    }

    #[test]
    fn a_value_of_the_wrong_type_is_a_bad_option() {
        for text in ["[]", r#"{"addrs":5}"#, r#"{"domain":1}"#, r#"{"timeout_ms":"1"}"#, r#"{"wire":"dns-sd"}"#] {
            let error = Options::from_json(text).unwrap_err();
            assert_eq!(error.status(), crate::Status::OPTION, "{text}: {error}");
        }
    }

    #[test]
    fn what_is_not_built_is_refused_by_name_and_never_ignored() {
        for text in [
            r#"{"secure":true}"#,
            r#"{"tls":{"ca":"x"}}"#,
            r#"{"allow_unsigned":["a"]}"#,
            r#"{"wire":["go-micro"],"link":"mdns-sd"}"#,
            r#"{"addrs":["etcd://h:2379"]}"#,
            r#"{"password":"p"}"#,
        ] {
            let error = Options::from_json(text).unwrap_err();
            assert_eq!(error.status(), crate::Status::UNSUPPORTED, "{text}: {error}");
        }
        assert!(Options::from_json(r#"{"secure":false,"tls":null,"allow_unsigned":[]}"#).is_ok());
    }

    #[test]
    fn without_a_choice_each_wire_is_spoken_that_the_link_can_carry() {
        let wires = |text: &str| Options::from_json(text).unwrap().wires();
        let both = Wires { dns_sd: true, go_micro: Some(Domain::Micro), named: false };
        assert_eq!(wires("{}"), both);
        assert_eq!(wires(r#"{"link":"mdns-sd"}"#), Wires { named: false, ..Wires::DNS_SD });
        let alone = Wires { dns_sd: false, go_micro: Some(Domain::Local), named: true };
        assert_eq!(wires(r#"{"wire":["go-micro"],"domain":"local"}"#), alone);
    }

    #[test]
    fn options_in_force_read_back_as_they_were_given() {
        let text =
            r#"{"addrs":["lo"],"timeout_ms":250,"wire":["dns-sd"],"domain":"local","link":"mdns-sd","port":5454}"#;
        let options = Options::from_json(text).unwrap();
        assert_eq!(Options::from_json(&options.to_json()).unwrap(), options);
    }

    #[test]
    fn a_lease_outside_its_limits_is_refused_with_the_limits() {
        let error = RegisterOptions::from_json(r#"{"ttl_ms":2999}"#).unwrap_err();
        assert_eq!(error.to_string(), "option ttl_ms: must be 3000 to 86400000, got 2999");
        let options = RegisterOptions::from_json(r#"{"ttl_ms":3001}"#).unwrap();
        assert_eq!(options.lease().unwrap(), 4);
    }
}
