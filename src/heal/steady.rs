//! Time that never runs backwards. The caller's clock may be stepped; deadlines, windows and pauses must neither
//! run out twice nor stand still for an hour because of it, so everything in this room is timed by [`Steady`], which
//! moves on with the caller's clock and ignores its steps back.

use crate::fleet::Timestamp;

/// A clock that follows the caller's, forwards only.
#[derive(Debug, Default)]
pub(super) struct Steady {
    wall: Option<Timestamp>,
    now: Timestamp,
}

impl Steady {
    /// Takes the caller's time in.
    pub(super) fn advance(&mut self, wall: Timestamp) {
        self.now = match self.wall {
            Some(before) => self.now + wall.since(before),
            None => wall,
        };
        self.wall = Some(wall);
    }

    /// Steady time, for everything that is compared or added to.
    pub(super) const fn now(&self) -> Timestamp {
        self.now
    }

    /// The caller's time, for what a person reads.
    pub(super) fn wall(&self) -> Timestamp {
        self.wall.unwrap_or_default()
    }

    /// When the caller's clock will show a steady time, if nobody steps it.
    pub(super) fn to_wall(&self, steady: Timestamp) -> Timestamp {
        self.wall() + steady.since(self.now)
    }

    /// The steady time of something that the caller's clock timed before; never later than now.
    pub(super) fn steady_of(&self, wall: Timestamp) -> Timestamp {
        self.now - self.wall().since(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_back_neither_repeats_nor_stops_time() {
        let at = Timestamp::from_seconds;
        let mut time = Steady::default();
        time.advance(at(1000));
        time.advance(at(1010));
        time.advance(at(500));
        assert_eq!(time.now(), at(1010));
        time.advance(at(505));
        assert_eq!(time.now(), at(1015));
        assert_eq!(time.to_wall(at(1020)), at(510));
        assert_eq!(time.steady_of(at(500)), at(1010));
        assert_eq!(time.steady_of(at(900)), at(1015));
    }
}
