//! Reproducible random choices.

/// `SplitMix64`: small, and the same everywhere.
pub struct Random(u64);

/// The seed of this run: `MINICLUSTER_SEED`, else the clock; printed, so that a failure can be repeated.
pub fn seed() -> u64 {
    let seed = match std::env::var("MINICLUSTER_SEED") {
        Ok(text) => text.parse().expect("MINICLUSTER_SEED is a number"),
        Err(_) => std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(1, |it| u64::from(it.subsec_nanos())),
    };
    println!("MINICLUSTER_SEED={seed}");
    seed
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, but not including, the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a small number");
        usize::try_from(self.next() % limit).expect("a small number")
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}
