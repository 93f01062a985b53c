//! What the registries of this process want to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::outbox::Outbox;
use crate::options::{Domain, Wires};
use crate::record::{Owner, Question, Sighting};

/// Who wants an answer, and whether there is one.
#[derive(Debug, Default)]
pub struct Interest {
    /// Each with the question in its own words, see [`about`], and the wires it speaks.
    pub members: BTreeMap<(Owner, Question), Wires>,
    /// Whether it was answered.
    pub settled: bool,
}

impl Interest {
    /// There is an answer: tells who asked.
    pub fn settle(&mut self, out: &mut Outbox) {
        self.settled = true;
        let asked: BTreeSet<&Question> = self.members.keys().map(|(_, asked)| asked).collect();
        asked.into_iter().for_each(|asked| out.tell(Sighting::Settled(asked.clone())));
    }

    /// Whether there is an answer by each of these wires.
    pub fn answers(&self, wires: Wires) -> bool {
        let by_dns_sd = !wires.dns_sd || self.is_of_dns_sd();
        self.settled && by_dns_sd && wires.go_micro.is_none_or(|domain| self.domains().contains(&domain))
    }

    /// Whether anybody wants an answer by DNS-SD.
    pub fn is_of_dns_sd(&self) -> bool {
        self.members.values().any(|wires| wires.dns_sd)
    }

    /// The domains of go-micro in which anybody wants one.
    pub fn domains(&self) -> BTreeSet<Domain> {
        self.members.values().filter_map(|wires| wires.go_micro).collect()
    }
}

/// What is asked on the link. Names are read off the nodes, so who asks for names is told of all nodes.
pub fn about(asked: &Question) -> Question {
    match asked {
        Question::Names => Question::Everything,
        other => other.clone(),
    }
}

/// Whether nodes of a service are wanted by DNS-SD; an empty name stands for one that is not known yet.
pub fn wants(interests: &BTreeMap<Question, Interest>) -> impl Fn(&str) -> bool + '_ {
    let wants = |question| interests.get(&question).is_some_and(Interest::is_of_dns_sd);
    let (everything, any) = (wants(Question::Everything), interests.values().any(Interest::is_of_dns_sd));
    move |name| everything || (any && name.is_empty()) || wants(Question::Service(Arc::from(name)))
}
