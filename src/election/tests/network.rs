//! The network: it loses, repeats, reorders and delays, it splits and heals.

use super::{
    super::{Message, Millis, Peer},
    world::{What, World},
};

impl World {
    /// Discovery: whoever can reach each other meets, sooner or later.
    pub(super) fn scan(&mut self) {
        for one in 0..self.slots.len() {
            for other in 0..self.slots.len() {
                let (Some(to), Some(from)) = (self.peer(one), self.peer(other)) else { continue };
                let apart = self.parts[one] != self.parts[other] || one == other;
                let known = self.process(&to).is_none_or(|it| it.met.contains(&from));
                if apart || known || self.chance.permille(self.weather.lost) {
                    continue;
                }
                let record = self.slots[other].process.as_ref().expect("it runs").record.clone();
                let delay = self.delay();
                self.at(delay, What::Meet { to, record });
            }
        }
    }

    pub(super) fn delay(&mut self) -> Millis {
        self.delay_of(self.weather.slow)
    }

    pub(super) fn delay_of(&mut self, slow: u64) -> Millis {
        let slow = self.chance.permille(slow);
        let most = if slow { self.weather.delay } else { self.weather.delay.min(20) };
        1 + self.chance.below(most.max(1))
    }

    pub(super) fn send(&mut self, slot: usize, to: &Peer, message: &Message) -> Result<(), String> {
        self.judge.says(self.slots[slot].disk.as_ref().expect("it has started"), message)?;
        let Some(other) = self.slot(to) else { return Ok(()) };
        let Some(process) = &self.slots[slot].process else { return Ok(()) };
        if self.parts[slot] != self.parts[other] {
            return Ok(());
        }
        let from = process.record.clone();
        let copies = 1 + u64::from(self.chance.permille(self.weather.repeated));
        for _ in 0..copies {
            if !self.chance.permille(self.weather.lost) {
                let vote = !matches!(message, Message::Ping { .. } | Message::Pong { .. });
                let delay = self.delay_of(if vote {
                    self.weather.slow_votes.max(self.weather.slow)
                } else {
                    self.weather.slow
                });
                self.at(
                    delay,
                    What::Deliver { to: to.clone(), from: from.clone(), message: message.clone() },
                );
            }
        }
        Ok(())
    }

    /// The network splits into these parts, or heals.
    pub(super) fn split(&mut self, parts: Vec<usize>) {
        let before = std::mem::replace(&mut self.parts, parts);
        for one in 0..self.slots.len() {
            for other in 0..self.slots.len() {
                let cut = before[one] == before[other] && self.parts[one] != self.parts[other];
                if cut && let (Some(to), Some(peer)) = (self.peer(one), self.peer(other)) {
                    self.lose(to, peer);
                }
            }
        }
    }

    /// The conversation has ended; it may take a while, or a silence, to notice.
    pub(super) fn lose(&mut self, to: Peer, peer: Peer) {
        if !self.chance.permille(self.weather.silent) {
            let delay = self.delay();
            self.at(delay, What::Lost { to, peer });
        }
    }
}
