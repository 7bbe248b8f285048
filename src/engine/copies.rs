//! Where several connections bring the same book messages: how much later than the first copy another one came.

use crate::{intake::ConnectionId, market::Nanos};

/// The newest book messages of one instrument that were first copies.
#[derive(Debug, Default)]
pub(super) struct Copies {
    /// By last update id, a ring that is full once it is as long as it may be.
    firsts: Vec<First>,
    /// Where the next one goes.
    next: usize,
}

#[derive(Clone, Copy, Debug)]
struct First {
    last_id: i64,
    received: Nanos,
    connection: ConnectionId,
}

impl Copies {
    /// The first copy of the message that ends at this id has come.
    pub(super) fn first(&mut self, last_id: i64, received: Nanos, connection: ConnectionId) {
        let first = First { last_id, received, connection };
        match self.firsts.get_mut(self.next) {
            Some(oldest) => *oldest = first,
            None => self.firsts.push(first),
        }
        self.next = (self.next + 1) % FIRSTS_MAX;
    }

    /// A message that brought nothing new has come: when the first copy of it did, over another connection. Of one that is
    /// not remembered any more, when the oldest that is came: it is at least so late.
    pub(super) fn first_of(&self, last_id: i64, connection: ConnectionId) -> Option<Nanos> {
        let first = self.firsts.iter().find(|first| first.last_id == last_id);
        let oldest = || self.firsts.iter().min_by_key(|first| first.last_id).filter(|oldest| last_id < oldest.last_id);
        let first = first.or_else(oldest)?;
        (first.connection != connection).then_some(first.received)
    }
}

/// At ten messages a second these are three seconds; a connection that is further behind is told to be so far behind.
const FIRSTS_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ConnectionId = ConnectionId(1);
    const TWO: ConnectionId = ConnectionId(2);

    #[test]
    fn a_copy_finds_its_first_and_what_is_older_finds_the_oldest() {
        let mut copies = Copies::default();
        assert_eq!(copies.first_of(5, TWO), None, "nothing is known");
        for id in 1..=100 {
            copies.first(id * 10, Nanos(id), ONE);
        }
        assert_eq!(copies.firsts.len(), FIRSTS_MAX);
        assert_eq!(copies.first_of(1000, TWO), Some(Nanos(100)));
        assert_eq!(copies.first_of(700, TWO), Some(Nanos(70)));
        assert_eq!(copies.first_of(50, TWO), Some(Nanos(69)), "at least so late");
        assert_eq!(copies.first_of(705, TWO), None, "no copy of anything");
        assert_eq!(copies.first_of(1000, ONE), None, "the venue repeats itself");
    }
}
