//! Fetches under way: each asks one registry for what is lacking of it, over one interface.

use std::collections::HashSet;
use std::net::SocketAddr;

use super::asker::{message, Asker, Net, Speaker, GIVE_UP_MS};
use super::cache::{Heard, Source};
use super::defence::owner_of;
use super::exchange::{position, Exchange, Sum, Tag, Verdict, ALL};
use super::fetch::Fetch;
use super::interest::wants;
use super::message::{Data, Message, Question as Dns, Record};
use super::name::Name;
use super::outbox::{Outbox, Place};
use super::zone::ZONE;
use super::Via;
use crate::limits;
use crate::record::{Key, Question, Sighting, Time};
use crate::refused::Refused;

/// A registry that answers is asked for so long at most, milliseconds.
const LONGEST_MS: u64 = 30_000;
/// Registries under one address that are asked at once because they have answered a lookup; the others are when they
/// answer again.
const FETCHES_OF_SENDER: usize = 256;
/// Messages under way to us at once: as many as a socket buffer of the default size holds.
const WINDOW: usize = 64;

/// A fetch, who is asked about what.
pub(super) type Errand = (Tag, Place, Question);

/// A fetch under way.
#[derive(Debug)]
pub(super) struct Running {
    pub fetch: Fetch,
    /// What the alive record said that began it.
    trigger: Option<(u32, Sum)>,
    pub give_up: Time,
    /// However much it answers: a while after its first answer.
    ends: Option<Time>,
}

/// Those about a registry's own nodes and their hosts: of others it does not speak.
fn own_records<'a>(owner: &str, records: &'a [Record]) -> Vec<&'a Record> {
    let described = records.iter().filter(|record| match &record.data {
        Data::Txt(data) => owner_of(data) == Some(owner),
        _ => false,
    });
    let nodes: HashSet<&Name> = described.map(|record| &record.name).collect();
    let own = |record: &&Record| match &record.data {
        Data::Ptr(instance) => nodes.contains(instance),
        Data::A(addr) => ZONE.is_host_of(&record.name, owner, (*addr).into()),
        Data::Aaaa(addr) => ZONE.is_host_of(&record.name, owner, (*addr).into()),
        _ => nodes.contains(&record.name),
    };
    records.iter().filter(own).collect()
}

impl Asker {
    pub(super) fn fetch(
        &mut self,
        now: Time,
        errand: Errand,
        addr: SocketAddr,
        trigger: Option<(u32, Sum)>,
        patience: u64,
    ) {
        let give_up = Time(now.0 + patience);
        if let Some(running) = self.fetches.get_mut(&errand) {
            running.give_up = running.give_up.max(running.ends.map_or(give_up, |ends| give_up.min(ends)));
            // What is answered may have been so before that was said: the next alive record is compared anew.
            if trigger.is_some() {
                running.trigger = None;
            }
            return;
        }
        if self.fetches.len() >= limits::VIEW_NODES {
            return;
        }
        let tag = errand.0;
        let token = self.peers.get(tag).map_or(0, |peer| peer.token);
        let fetch = Fetch::new(now, tag, addr).with_token(token);
        self.fetches.insert(errand, Running { fetch, trigger, give_up, ends: None });
    }

    /// Takes an answer of the exchange.
    pub fn handle_answer(
        &mut self,
        now: Time,
        from: Speaker,
        message: &Message,
        answer: &Exchange,
        net: &Net,
        out: &mut Outbox,
    ) {
        let Exchange::Answer { token, registry, verdicts, last } = answer else { return };
        let Speaker { addr: from, place, .. } = from;
        let Some(question) = message.questions.first().and_then(|asked| self.question_named(asked)) else {
            return self.refuse(Refused::AnswerUnasked, out);
        };
        let errand = (*registry, place, question.clone());
        match self.admit(now, &errand, from, message.id) {
            Ok(true) => {}
            Ok(false) => return,
            Err(reason) => return self.refuse(reason, out),
        }
        let source = Source { now, from: from.ip(), interface: place.interface, authoritative: true, one_shot: false };
        let records = own_records(&registry.owner(), &message.answers);
        self.refuse_others(&records, message.answers.len(), out);
        let heard = self.cache.take(source, &records, wants(&self.interests));
        let named: Vec<Key> = records.iter().filter_map(|record| ZONE.key(&record.name).map(Key::from)).collect();
        let Some(running) = self.fetches.get_mut(&errand) else { return };
        let is_full = |heard: &Heard| match heard {
            Heard::Dropped(why) => [Refused::CacheFull, Refused::SenderFull, Refused::TooManyIncomplete].contains(why),
            _ => false,
        };
        if heard.iter().any(is_full) {
            // What is held is not what was fetched: the next alive record is compared anew.
            running.trigger = None;
        }
        // It knows nothing of a node that was first heard of after it was asked for.
        let looked_up = self.lookups.get(&question).filter(|lookup| lookup.ids.contains(&message.id));
        let asked = looked_up.map_or_else(|| running.fetch.asked(message.id), |lookup| lookup.since);
        let (cache, owner) = (&self.cache, registry.owner());
        let same = verdicts.iter().filter_map(|verdict| match verdict {
            Verdict::Same(range) => Some(cache.keys(&owner, &question, range)),
            _ => None,
        });
        let same: Vec<Key> = same.flatten().collect();
        let known = |key: Key| (key.clone(), cache.knew(&key, asked));
        let held = |range: &_| cache.keys(&owner, &question, range).into_iter().map(known).collect();
        let progress = match heard.contains(&Heard::Dropped(Refused::ReadingLimited)) {
            true => running.fetch.put_off(now, *token),
            false => running.fetch.handle(now, (message.id, *token), verdicts, *last, &named, held),
        };
        let ends = *running.ends.get_or_insert(Time(now.0 + LONGEST_MS));
        running.give_up = running.give_up.max(Time(now.0 + GIVE_UP_MS)).min(ends);
        let news = self.tell(now, heard, net, out);
        for key in &same {
            self.goodbyes.remove(key);
        }
        self.cache.live(now, &same);
        if !same.is_empty() {
            out.tell(Sighting::Alive { keys: same, at: now });
        }
        progress.gone.iter().for_each(|key| self.gone(key, out));
        if let Some(lookup) = self.lookups.get_mut(&question) {
            if lookup.heard.insert(*registry) || news {
                lookup.news(now);
            }
        }
        self.found(now, *registry);
        if progress.complete {
            self.complete(errand, from, out);
        }
    }

    /// Whether an answer belongs to a fetch, which the first answer to a lookup begins; why not, unless it
    /// only says the same once more over the other address family.
    fn admit(&mut self, now: Time, errand: &Errand, from: SocketAddr, id: u16) -> Result<bool, Refused> {
        let (tag, place, question) = errand;
        let of_lookup = self.lookups.get(question).is_some_and(|lookup| lookup.ids.contains(&id));
        let running = self.fetches.get(errand).map(|running| (running.fetch.addr == from, running.fetch.is_answer(id)));
        if !running.is_some_and(|(addr, _)| addr) && self.doubts(*tag, *place, from).is_some() {
            return Err(Refused::AnswerFromElsewhere);
        }
        match running {
            Some((true, asked)) if asked || of_lookup => Ok(true),
            None if of_lookup => {
                // Who has heard the question can answer it for as many registries as it likes to invent.
                let of_sender = self.fetches.values().filter(|running| running.fetch.addr.ip() == from.ip());
                if of_sender.count() >= FETCHES_OF_SENDER || self.fetches.len() >= limits::VIEW_NODES {
                    return Err(Refused::TooManyStrangers);
                }
                let lookup = self.lookups.get_mut(question);
                let first = lookup.is_some_and(|lookup| lookup.answered.insert((*tag, place.interface)));
                if first {
                    self.fetch(now, errand.clone(), from, None, GIVE_UP_MS);
                }
                Ok(first)
            }
            _ => Err(Refused::AnswerUnasked),
        }
    }

    fn complete(&mut self, errand: Errand, from: SocketAddr, out: &mut Outbox) {
        let Some(Running { fetch, trigger, .. }) = self.fetches.remove(&errand) else { return };
        let (tag, place, question) = errand;
        let Some(peer) = self.peers.entry(tag) else { return self.refuse(Refused::RegistriesFull, out) };
        peer.addrs.insert(place, from);
        peer.rivals.remove(&place);
        peer.token = fetch.token();
        if let Some((lease, said)) = trigger {
            let held = self.cache.sum(&tag.owner(), &question, &ALL, Some(lease));
            peer.verify((question, lease), (said, held));
        }
    }

    /// The interest that a DNS question of ours stands for.
    fn question_named(&self, asked: &Dns) -> Option<Question> {
        let question = match asked.name == ZONE.service_type {
            true => Question::Everything,
            false => {
                let hash = std::str::from_utf8(asked.name.first()).ok().and_then(position)?;
                self.by_hash.get(&hash)?.clone()
            }
        };
        self.interests.contains_key(&question).then_some(question)
    }

    /// Asks registries for the rest; with `late`, also again where an answer has not come for long.
    pub fn poll_fetches(&mut self, now: Time, late: bool, out: &mut Outbox) {
        let given_up: Vec<Errand> = self
            .fetches
            .iter()
            .filter(|(_, running)| late && running.give_up <= now)
            .map(|(errand, _)| errand.clone())
            .collect();
        for errand in given_up {
            self.fetches.remove(&errand);
            // Nobody is where the registry was: believe who says that it is elsewhere.
            let (tag, place, question) = errand;
            let Some(peer) = self.peers.entry(tag) else { continue };
            if let Some((at, rival)) = peer.rivals.remove(&place) {
                peer.addrs.remove(&place);
                peer.addrs.insert(at, rival);
                self.fetch(now, (tag, at, question), rival, None, GIVE_UP_MS);
            }
        }
        let budget = u8::try_from((WINDOW / self.fetches.len().max(1)).max(2)).unwrap_or(2);
        let Asker { fetches, cache, rng, .. } = self;
        for ((tag, place, question), running) in fetches {
            if now < running.fetch.next_due() || !(late || running.fetch.is_ready()) {
                continue;
            }
            let owner = tag.owner();
            let (id, sum) = (rng.u16(..), |range: &_| cache.sum(&owner, question, range, None));
            let Some(ask) = running.fetch.poll(now, id, budget, sum) else { continue };
            let bytes = message(id, question, &ask);
            out.unicast(Via::Direct, place.interface, running.fetch.addr, bytes);
        }
    }
}
