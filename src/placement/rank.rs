//! The order in which a service prefers hosts: rendezvous hashing, the same everywhere and forever.
//!
//! The preference of a service for a host depends on their two names only, so another host or another
//! service changes nothing about it. The test vectors below are part of the format.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

/// Changing the key would move every instance of every cluster without a lock.
const KEY: &[u8; 16] = b"minicluster v1\0\0";

/// What a preference is about; different purposes must not prefer the same host.
#[derive(Clone, Copy)]
pub enum Purpose {
    /// Which hosts run an instance.
    Instance,
    /// Which instance is the master.
    Master,
}

/// A name, hashed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameHash(u64);

impl NameHash {
    /// Hashes a name of a host or a service.
    pub fn of(name: &str) -> Self {
        let mut hasher = SipHasher13::new_with_key(KEY);
        hasher.write(name.as_bytes());
        Self(hasher.finish())
    }

    /// A number below `limit` that the name alone decides.
    pub fn below(self, limit: u32) -> u32 {
        u32::try_from(self.0 % u64::from(limit)).unwrap_or_default()
    }
}

/// How much a service prefers a host; higher is better.
pub fn preference(purpose: Purpose, service: NameHash, host: NameHash) -> u64 {
    let mut bytes = [0; 17];
    bytes[..8].copy_from_slice(&service.0.to_le_bytes());
    bytes[8..16].copy_from_slice(&host.0.to_le_bytes());
    bytes[16] = match purpose {
        Purpose::Instance => 0,
        Purpose::Master => 1,
    };
    let mut hasher = SipHasher13::new_with_key(KEY);
    hasher.write(&bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From an implementation of SipHash-1-3 in Python. Changing one breaks every cluster: never adapt them
    /// to the code.
    #[test]
    fn test_vectors() {
        for (service, host, instance, master) in [
            ("web", "host1", 0xdd7b_c4a6_ac7f_9f62, 0xcb37_f8c1_f37f_d873),
            ("web", "host2", 0x3789_4e57_bdc7_0ac6, 0x10b7_cc83_6720_14a3),
            ("db", "host1", 0x484a_a1a3_930f_38c1, 0xf250_4e81_98b5_d9c9),
            ("", "", 0xc144_ef34_9fea_a429, 0x4bd1_a586_7e82_7165),
            ("foo-bar", "node.example.com", 0xddf2_63aa_3722_e13c, 0x4a4b_b07c_b383_6ac2),
        ] {
            let (service, host) = (NameHash::of(service), NameHash::of(host));
            assert_eq!(preference(Purpose::Instance, service, host), instance);
            assert_eq!(preference(Purpose::Master, service, host), master);
        }
    }
}
