//! `watch` for people: one line a change, in columns, with the time and what differs.

use std::collections::HashMap;
use std::sync::Arc;

use mdns_registry::{Action, Change, Event, Node, Service};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::output::{coloured, visible, Colour};
use crate::show::place;

/// Turns events into lines; remembers what it told, to say what an update changed.
pub struct Lines {
    offset: UtcOffset,
    colourful: bool,
    told: HashMap<Arc<str>, Service>,
    widths: [usize; 4],
}

impl Lines {
    /// Lines with times at this offset from UTC.
    pub fn new(offset: UtcOffset, colourful: bool) -> Lines {
        Lines { offset, colourful, told: HashMap::new(), widths: [0; 4] }
    }

    /// The line of an event; none for `synced`.
    pub fn line(&mut self, event: &Event, now: OffsetDateTime) -> Option<String> {
        match event {
            Event::Service(change) => Some(self.change(change, now)),
            Event::Resync => {
                self.told.clear();
                Some(format!("{}  !  changes were missed; what is present now follows", self.clock(now)))
            }
            _ => None,
        }
    }

    fn change(&mut self, change: &Change, now: OffsetDateTime) -> String {
        let service = &change.service;
        let before = match change.action {
            Action::Delete => self.told.remove(&change.key),
            _ => self.told.insert(change.key.clone(), service.clone()),
        };
        let (sign, colour) = match change.action {
            Action::Create => ("+", Colour::Green),
            Action::Update => ("~", Colour::Yellow),
            Action::Delete => ("-", Colour::Red),
        };
        let sign = if self.colourful { coloured(sign, colour) } else { sign.to_owned() };
        let node = service.nodes.first();
        let id = node.map(|node| visible(&node.id).into_owned()).unwrap_or_default();
        let cells = [visible(&service.name).into_owned(), visible(&service.version).into_owned(), id];
        let cells = cells.into_iter().chain(node.map(place));
        let mut line = format!("{}  {sign}", self.clock(now));
        for (cell, width) in cells.zip(&mut self.widths) {
            *width = cell.chars().count().max(*width);
            line.push_str(&format!("  {cell:width$}", width = *width));
        }
        let reason = change.reason.as_str();
        match before.filter(|_| change.action == Action::Update) {
            Some(before) => format!("{line}  {reason}: {}", differences(&before, service)),
            None => format!("{line}  {reason}"),
        }
    }

    fn clock(&self, now: OffsetDateTime) -> String {
        let format = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
        now.to_offset(self.offset).format(format).unwrap_or_default()
    }
}

/// What differs between two states of a node, in the order of its descriptor.
fn differences(before: &Service, after: &Service) -> String {
    let none = Node::default();
    let [old, new] = [before, after].map(|service| service.nodes.first().unwrap_or(&none));
    let mut said = Vec::new();
    if place(old) != place(new) {
        said.push(format!("{} → {}", place(old), place(new)));
    }
    for (name, old, new) in
        [("metadata", &old.metadata, &new.metadata), ("service metadata", &before.metadata, &after.metadata)]
    {
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let changed: Vec<_> =
            keys.into_iter().filter(|key| old.get(*key) != new.get(*key)).map(|k| visible(k)).collect();
        if !changed.is_empty() {
            said.push(format!("{name} {}", changed.join(" ")));
        }
    }
    if before.endpoints != after.endpoints {
        said.push("endpoints".to_owned());
    }
    said.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mdns_registry::Reason;
    use time::macros::datetime;

    const NOON: OffsetDateTime = datetime!(2026-11-22 12:04:31.207 UTC);

    fn event(action: Action, reason: Reason, id: &str, address: &str) -> Event {
        let node = Node { id: id.into(), address: address.into(), port: 9090, ..Node::default() };
        let service =
            Service { name: "greeter".into(), version: "1.2.0".into(), nodes: vec![node], ..Service::default() };
        Event::Service(Box::new(Change { action, key: id.into(), reason, service }))
    }

    #[test]
    fn each_change_is_a_line_with_time_sign_node_and_reason() {
        let mut lines = Lines::new(UtcOffset::UTC, false);
        let mut line =
            |action, reason, address| lines.line(&event(action, reason, "greeter-1", address), NOON).unwrap();
        assert_eq!(
            line(Action::Create, Reason::Announced, "10.0.0.7"),
            "12:04:31.207  +  greeter  1.2.0  greeter-1  10.0.0.7:9090  announced"
        );
        assert_eq!(
            line(Action::Update, Reason::Changed, "10.0.0.9"),
            "12:04:31.207  ~  greeter  1.2.0  greeter-1  10.0.0.9:9090  changed: 10.0.0.7:9090 → 10.0.0.9:9090"
        );
        assert_eq!(
            line(Action::Delete, Reason::Expired, "10.0.0.9"),
            "12:04:31.207  -  greeter  1.2.0  greeter-1  10.0.0.9:9090  expired"
        );
    }

    #[test]
    fn columns_keep_the_widest_cell_so_far() {
        let mut lines = Lines::new(UtcOffset::UTC, false);
        lines.line(&event(Action::Create, Reason::Announced, "greeter-1", "10.0.0.17"), NOON);
        let line = lines.line(&event(Action::Create, Reason::Announced, "g", "10.0.0.7"), NOON).unwrap();
        assert_eq!(line, "12:04:31.207  +  greeter  1.2.0  g          10.0.0.7:9090   announced");
    }

    #[test]
    fn times_are_local_and_signs_are_coloured_for_a_person() {
        let mut lines = Lines::new(UtcOffset::from_hms(2, 0, 0).unwrap(), true);
        let line = lines.line(&event(Action::Delete, Reason::Goodbye, "g", "h"), NOON).unwrap();
        assert_eq!(line, "14:04:31.207  \x1b[31m-\x1b[0m  greeter  1.2.0  g  h:9090  goodbye");
    }

    #[test]
    fn synced_is_silent_and_a_resync_says_that_changes_were_missed() {
        let mut lines = Lines::new(UtcOffset::UTC, false);
        assert_eq!(lines.line(&Event::Synced, NOON), None);
        assert!(lines.line(&Event::Resync, NOON).unwrap().starts_with("12:04:31.207  !  "));
    }

    #[test]
    fn an_update_names_the_metadata_that_changed() {
        let Event::Service(change) = event(Action::Create, Reason::Announced, "g", "h") else { unreachable!() };
        let mut after = change.service.clone();
        after.nodes[0].metadata.insert("zone".into(), "b".into());
        after.metadata.insert("team".into(), "core".into());
        after.endpoints.push(mdns_registry::Endpoint { name: "e".into(), ..Default::default() });
        assert_eq!(differences(&change.service, &after), "metadata zone, service metadata team, endpoints");
    }
}
