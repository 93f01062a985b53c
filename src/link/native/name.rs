//! Domain names as keys: lower case, uncompressed, compared byte by byte.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use domain::base::name::{Label, ToLabelIter};

/// The longest name, bytes of its wire form with the root (RFC 1035 §3.1).
const LONGEST: usize = 255;
/// The longest label, bytes.
const LONGEST_LABEL: usize = 63;

/// What becomes of the case of ASCII letters in a name that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Lower case: names that differ in case are one (RFC 6762 §16).
    Folded,
    /// As it came: for go-micro they are two.
    Kept,
}

/// A domain name in uncompressed wire form, ASCII letters in lower case unless it was made or read otherwise. Its labels
/// hold any bytes, dots and UTF-8 included.
#[derive(Clone)]
pub struct Name(domain::base::Name<Arc<[u8]>>);

impl Name {
    /// From labels, the root's left out; `None` if one is empty or too long, or if all of it is.
    pub fn from_labels<'a>(labels: impl IntoIterator<Item = &'a [u8]>) -> Option<Name> {
        Name::of(labels, Case::Folded)
    }

    /// The same with the case of the letters as [`Case`] says.
    pub fn of<'a>(labels: impl IntoIterator<Item = &'a [u8]>, case: Case) -> Option<Name> {
        let (mut wire, mut length) = ([0; LONGEST], 0);
        for label in labels {
            let size =
                u8::try_from(label.len()).ok().filter(|size| (1..=LONGEST_LABEL).contains(&usize::from(*size)))?;
            // One byte stays for the root.
            let place = wire[..LONGEST - 1].get_mut(length..=length + label.len())?;
            place[0] = size;
            place[1..].copy_from_slice(label);
            if case == Case::Folded {
                place[1..].make_ascii_lowercase();
            }
            length += 1 + label.len();
        }
        domain::base::Name::from_octets(Arc::from(&wire[..=length])).ok().map(Name)
    }

    /// Cuts text at each dot, as in `_services._dns-sd._udp.local.`; the last dot may be left out.
    pub fn from_dotted(text: &str) -> Option<Name> {
        match text.strip_suffix('.').unwrap_or(text) {
            "" => Name::from_labels([]),
            text => Name::from_labels(text.split('.').map(str::as_bytes)),
        }
    }

    /// The name of `label` under this one.
    pub fn child(&self, label: &[u8]) -> Option<Name> {
        Name::from_labels(std::iter::once(label).chain(self.labels()))
    }

    /// The labels, first to last, without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter_labels().map(Label::as_slice).filter(|label| !label.is_empty())
    }

    /// The first label; empty for the root.
    pub fn first(&self) -> &[u8] {
        self.0.first().as_slice()
    }

    /// All but the first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let above = self.as_wire().get(1 + self.first().len()..).filter(|above| !above.is_empty())?;
        domain::base::Name::from_octets(Arc::from(above)).ok().map(Name)
    }

    /// Whether it is `suffix` or lies under it.
    pub fn ends_with(&self, suffix: &Name) -> bool {
        // The bytes reject most at once; whether they begin where a label does, the labels say.
        self.as_wire().ends_with(suffix.as_wire()) && self.0.ends_with(&suffix.0)
    }

    /// Its wire form, the root's zero byte included.
    pub fn as_wire(&self) -> &[u8] {
        self.0.as_slice()
    }

    pub(super) fn as_domain(&self) -> &domain::base::Name<Arc<[u8]>> {
        &self.0
    }

    pub(super) fn from_domain(name: &impl ToLabelIter, case: Case) -> Option<Name> {
        Name::of(name.iter_labels().map(Label::as_slice).filter(|label| !label.is_empty()), case)
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_wire() == other.as_wire()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_wire().hash(state);
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_wire().cmp(other.as_wire())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.fmt_with_dot())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_dotted(text).unwrap()
    }

    #[test]
    fn case_does_not_tell_names_apart() {
        let both = [name("Greeter._TCP.local."), name("greeter._tcp.LOCAL")];
        assert_eq!(both[0], both[1]);
        assert_eq!(both.into_iter().collect::<HashSet<_>>().len(), 1);
    }

    #[test]
    fn a_label_holds_dots_and_any_bytes() {
        let service = name("_http._tcp.local");
        let instance = service.child("Büro.2 \0\\".as_bytes()).unwrap();
        assert_eq!(instance.first(), "büro.2 \0\\".as_bytes());
        assert_eq!(instance.labels().count(), 4);
        assert_eq!(instance.parent().unwrap(), service);
        assert_eq!(format!("{instance:?}"), r"b\195\188ro\.2\ \000\\._http._tcp.local.");
    }

    #[test]
    fn labels_have_1_to_63_bytes_and_names_at_most_255() {
        assert_eq!(Name::from_labels([&[b'x'; 63][..]]).unwrap().as_wire().len(), 65);
        assert_eq!(Name::from_labels([&[b'x'; 64][..]]), None);
        assert_eq!(Name::from_labels([&b""[..]]), None);
        assert_eq!(Name::from_dotted("a..b"), None);
        let label = &[b'x'; 63][..];
        let longest = Name::from_labels([label, label, label, &label[..61]]).unwrap();
        assert_eq!(longest.as_wire().len(), 255);
        assert_eq!(Name::from_labels([label, label, label, &label[..62]]), None);
        assert_eq!(Name::from_labels(std::iter::repeat(label)), None);
    }

    #[test]
    fn the_root_has_no_label_and_no_parent() {
        for root in [name("."), name(""), Name::from_labels([]).unwrap()] {
            assert_eq!((root.as_wire(), root.first(), root.labels().count()), (&[0][..], &b""[..], 0));
            assert_eq!(root.parent(), None);
            assert_eq!(format!("{root:?}"), ".");
        }
    }

    #[test]
    fn a_suffix_begins_where_a_label_begins() {
        let (tcp, other) = (name("_tcp.local"), name("cp.local"));
        assert!(name("_http._tcp.local").ends_with(&tcp) && tcp.ends_with(&tcp) && tcp.ends_with(&name(".")));
        assert!(!tcp.ends_with(&other) && !name("local").ends_with(&tcp));
        let looks_alike = name("local").child(b"x\x04_tcp").unwrap();
        assert!(!looks_alike.ends_with(&tcp), "the bytes end alike, the labels do not");
    }

    proptest! {
        #[test]
        fn labels_make_the_name_they_came_from(
            labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
        ) {
            let made = Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap();
            let lower: Vec<_> = labels.iter().map(|label| label.to_ascii_lowercase()).collect();
            prop_assert_eq!(made.labels().map(<[u8]>::to_vec).collect::<Vec<_>>(), lower);
            prop_assert_eq!(Name::from_labels(made.labels()), Some(made.clone()));
            let (mut above, mut count) = (Some(made.clone()), 0);
            while let Some(suffix) = above {
                prop_assert!(made.ends_with(&suffix));
                above = suffix.parent();
                count += 1;
            }
            prop_assert_eq!(count, labels.len() + 1);
        }
    }
}
