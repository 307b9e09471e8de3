//! Who a cluster and its members are: the numbers etcd derives from a founding's token and addresses.

use std::{collections::BTreeMap, fmt, str::FromStr};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A cluster's or a member's number, written as etcd writes it: hexadecimal, no leading zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{:x}", self.0)
    }
}

impl FromStr for Id {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| format!("'{text}' is not the number of an etcd member or cluster"))
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The number of a founding member: etcd hashes its peer URL and the token.
pub fn member_id(token: &str, peer_url: &str) -> Id {
    first_eight_bytes(format!("{peer_url}{token}").as_bytes())
}

/// The number of the cluster that `members` (host → peer URL) found with `token`: etcd hashes their numbers.
pub fn cluster_id(token: &str, members: &BTreeMap<String, String>) -> Id {
    let mut ids: Vec<u64> = members.values().map(|peer_url| member_id(token, peer_url).0).collect();
    ids.sort_unstable();
    first_eight_bytes(&ids.into_iter().flat_map(u64::to_be_bytes).collect::<Vec<_>>())
}

fn first_eight_bytes(bytes: &[u8]) -> Id {
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    Id(u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_etcd_gave_itself() {
        // As etcd 3.4.23 logged them: --initial-cluster a=http://127.0.0.1:32380 --initial-cluster-token tok
        let members = BTreeMap::from([("a".to_owned(), "http://127.0.0.1:32380".to_owned())]);
        assert_eq!(member_id("tok", "http://127.0.0.1:32380").to_string(), "ca7a34e16cff9c1b");
        assert_eq!(cluster_id("tok", &members), Id(14_765_410_957_201_216_590));
    }
}
