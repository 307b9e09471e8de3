//! Random numbers that can be had again: the seed is `MINICLUSTER_SEED`, or the same in every run. A test that fails
//! fails because of a change; `make soak` looks for what other seeds find.

/// `SplitMix64`: small, and the same everywhere.
pub struct Random(u64);

/// The seed of this run. It is printed.
pub fn seed() -> u64 {
    let seed = std::env::var("MINICLUSTER_SEED").map_or(1, |it| it.parse().expect("a seed is a number"));
    println!("seed: run again with MINICLUSTER_SEED={seed}");
    seed
}

impl Random {
    /// Starts from the seed of this run.
    pub fn new() -> Self {
        Self::from_seed(seed())
    }

    /// Starts from this seed.
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit).unwrap()).unwrap()
    }

    /// Whether something that happens once in `times` happens.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn one<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}
