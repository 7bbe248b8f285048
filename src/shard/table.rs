//! Who gets what: topic to wire forms to sessions.

use crate::{
    session::Form,
    topic::{Channel, TopicId},
};

/// One session's place among the receivers of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The session.
    pub(super) session: u32,
    /// The index of the subscription in the session's list, so that the list can be told when this place moves.
    pub(super) subscription: u32,
}

/// The sessions that get the same bytes of a topic. Never empty.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) form: Form,
    pub(super) members: Vec<Member>,
}

/// The subscription table of a shard: dense by topic, so that an update finds its receivers without hashing, and a
/// subscription leaves in constant time by the place that [`Table::add`] gave it.
#[derive(Debug)]
pub(super) struct Table {
    topics: Box<[Vec<Group>]>,
    subscriptions: usize,
}

impl Table {
    /// An empty table for `topics` topics.
    pub(super) fn new(topics: usize) -> Self {
        Self { topics: (0..topics).map(|_| Vec::new()).collect(), subscriptions: 0 }
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.subscriptions
    }

    /// The receivers of `topic`.
    pub(super) fn groups(&self, topic: TopicId) -> &[Group] {
        &self.topics[topic.index()]
    }

    /// Whether anyone receives `topic`.
    pub(super) fn any(&self, topic: TopicId) -> bool {
        !self.groups(topic).is_empty()
    }

    /// The topics of `channel`'s kind that have receivers.
    pub(super) fn topics(&self, wanted: impl Fn(Channel) -> bool) -> impl Iterator<Item = TopicId> {
        let ids = (0..self.topics.len() as u32).map(TopicId);
        ids.filter(move |&topic| self.any(topic) && topic.channel().is_some_and(&wanted))
    }

    /// Adds a receiver and returns its place.
    pub(super) fn add(&mut self, topic: TopicId, form: Form, member: Member) -> u32 {
        let groups = &mut self.topics[topic.index()];
        let at = groups.iter().position(|group| group.form == form).unwrap_or_else(|| {
            groups.push(Group { form, members: Vec::new() });
            groups.len() - 1
        });
        let members = &mut groups[at].members;
        members.push(member);
        self.subscriptions += 1;
        members.len() as u32 - 1
    }

    /// Removes the receiver at `place`. If another one has moved there, it is returned: its list has to learn the place.
    pub(super) fn remove(&mut self, topic: TopicId, form: Form, place: u32) -> Option<Member> {
        let groups = &mut self.topics[topic.index()];
        let at = groups.iter().position(|group| group.form == form).expect("what leaves has joined in this form");
        let members = &mut groups[at].members;
        members.swap_remove(place as usize);
        self.subscriptions -= 1;
        let moved = members.get(place as usize).copied();
        if members.is_empty() {
            groups.swap_remove(at);
            if groups.is_empty() {
                *groups = Vec::new();
            }
        }
        moved
    }

    /// Says that the subscription at `place` has another index in its session's list now.
    pub(super) fn renumber(&mut self, topic: TopicId, form: Form, place: u32, subscription: u32) {
        let group = self.topics[topic.index()].iter_mut().find(|group| group.form == form);
        group.expect("what is renumbered has joined in this form").members[place as usize].subscription = subscription;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        market::InstrumentId,
        session::Spelling,
        topic::{Cadence, TimeUnit},
    };

    #[test]
    fn places_stay_true_while_members_come_and_go() {
        let forms = [
            Form::new(false, TimeUnit::Milliseconds, Spelling::default()),
            Form::new(true, TimeUnit::Microseconds, Spelling::default()),
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let mut table = Table::new(4);
        // The oracle: where each (session, subscription) is, as a session's list would know it.
        let mut places: BTreeMap<(u32, u32), (TopicId, Form, u32)> = BTreeMap::new();
        for step in 0..20_000 {
            let key = (random.u32(0..40), random.u32(0..3));
            match places.remove(&key) {
                None => {
                    let (topic, form) = (TopicId(random.u32(0..4)), forms[random.usize(0..2)]);
                    let place = table.add(topic, form, Member { session: key.0, subscription: key.1 });
                    places.insert(key, (topic, form, place));
                }
                Some((topic, form, place)) => {
                    if let Some(moved) = table.remove(topic, form, place) {
                        places.get_mut(&(moved.session, moved.subscription)).unwrap().2 = place;
                    }
                }
            }
            assert_eq!(table.len(), places.len());
            if step % 100 == 0 {
                for (&(session, subscription), &(topic, form, place)) in &places {
                    let group = table.groups(topic).iter().find(|group| group.form == form).unwrap();
                    assert_eq!(group.members[place as usize], Member { session, subscription });
                }
            }
        }
    }

    #[test]
    fn empty_groups_are_gone() {
        let form = Form::new(false, TimeUnit::Milliseconds, Spelling::default());
        let depth = TopicId::new(InstrumentId(0), Channel::Depth(Cadence::Fast));
        let mut table = Table::new(TopicId::count(1));
        let place = table.add(depth, form, Member { session: 0, subscription: 0 });
        table.renumber(depth, form, place, 9);
        assert_eq!(table.groups(depth)[0].members[0].subscription, 9);
        assert_eq!(table.topics(|channel| matches!(channel, Channel::Depth(_))).collect::<Vec<_>>(), [depth]);
        assert_eq!(table.remove(depth, form, place), None);
        assert!(!table.any(depth));
    }
}
