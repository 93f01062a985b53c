//! A node in one block of memory, for those that are kept by the ten thousand.

use std::fmt;

use super::Node;

/// A node as one block: its port, then id, address and the metadata in order, each text after its
/// length. The maps and strings of a [`Node`] take eight times as much.
#[derive(Clone, PartialEq, Eq)]
pub struct Compact(Box<[u8]>);

const PORT_BYTES: usize = 2;
const LENGTH_BYTES: usize = 4;

impl Compact {
    /// As given: empty or the address of a host.
    pub fn address(&self) -> &str {
        self.bytes().nth(1).map_or("", text)
    }

    /// How much memory it takes, bytes.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.len()
    }

    /// Unique within the service.
    pub fn id(&self) -> &str {
        self.bytes().next().map_or("", text)
    }

    /// Keys and values, in the order of the keys.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut bytes = self.bytes().skip(2);
        std::iter::from_fn(move || Some((text(bytes.next()?), text(bytes.next()?))))
    }

    /// 1 to 65535.
    pub fn port(&self) -> u16 {
        self.0.first_chunk().map_or(0, |port| u16::from_le_bytes(*port))
    }

    /// The node with another address.
    pub fn at(&self, address: &str) -> Node {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let metadata = self.metadata().map(owned).collect();
        Node { id: self.id().to_owned(), address: address.to_owned(), port: self.port(), metadata }
    }

    /// Whether both are the same but for their addresses.
    pub fn same_elsewhere(&self, other: &Compact) -> bool {
        (self.id(), self.port()) == (other.id(), other.port()) && self.metadata().eq(other.metadata())
    }

    /// Of each text. Those that are passed over are not read.
    fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.get(PORT_BYTES..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let (bytes, tail) = tail.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            rest = tail;
            Some(bytes)
        })
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

impl From<&Node> for Compact {
    fn from(node: &Node) -> Compact {
        let pairs = node.metadata.iter().flat_map(|(key, value)| [key, value]);
        let texts = [&node.id, &node.address].into_iter().chain(pairs);
        let size = texts.clone().map(|text| LENGTH_BYTES + text.len()).sum::<usize>();
        let mut block = Vec::with_capacity(PORT_BYTES + size);
        block.extend(node.port.to_le_bytes());
        for text in texts {
            // A call and a record are bounded far below.
            block.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            block.extend(text.as_bytes());
        }
        Compact(block.into_boxed_slice())
    }
}

impl fmt::Debug for Compact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at(self.address()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(id: &str, address: &str, port: u16, metadata: &[(&str, &str)]) -> Node {
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Node { id: id.into(), address: address.into(), port, metadata }
    }

    #[test]
    fn two_nodes_are_the_same_elsewhere_if_only_their_addresses_differ() {
        let one = Compact::from(&node("one", "", 80, &[("zone", "north")]));
        let same = |id, address, port, metadata: &[_]| one.same_elsewhere(&(&node(id, address, port, metadata)).into());
        assert!(same("one", "10.0.0.1", 80, &[("zone", "north")]));
        assert!(!same("two", "", 80, &[("zone", "north")]));
        assert!(!same("one", "", 81, &[("zone", "north")]));
        assert!(!same("one", "", 80, &[("zone", "south")]));
        assert!(!same("one", "", 80, &[("zone", "north"), ("", "")]));
    }

    proptest! {
        #[test]
        fn a_node_is_read_back_as_it_was(
            id in ".*", address in ".*", port: u16,
            metadata in proptest::collection::btree_map(".*", ".*", 0..5),
        ) {
            let node = Node { id, address, port, metadata };
            let compact = Compact::from(&node);
            prop_assert_eq!((compact.id(), compact.address(), compact.port()), (&*node.id, &*node.address, port));
            prop_assert_eq!(compact.at(compact.address()), node);
        }
    }
}
