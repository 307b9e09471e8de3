//! One authenticated conversation: keys from the cluster's secret and both sides' fresh nonces, a MAC on each message.
//!
//! What it defends against: whoever does not hold the secret can neither say anything, nor say again what was
//! said in another conversation, nor change, drop, reorder or turn back what is said in this one; they can
//! only end it. It hides nothing: what members say is no secret.

use anyhow::{Result, anyhow, bail};
use ring::{hkdf, hmac};

use super::NodeId;
use crate::{system::Secret, text::hex};

/// Bytes of a nonce.
pub(super) const NONCE: usize = 16;
const TAG: usize = 32;
const COUNT: usize = 8;
const MAGIC: &[u8; 8] = b"mc-elec1";
/// Bytes of a [`Hello`].
pub(super) const HELLO: usize = MAGIC.len() + NONCE + 1 + 64;

/// What is derived from the cluster's secret, for one cluster.
pub struct SecretKey {
    key: hkdf::Prk,
    cluster: String,
}

impl SecretKey {
    /// Takes the secret for the cluster of this name.
    pub fn new(secret: &Secret, cluster: &str) -> Self {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, b"minicluster election").extract(secret.expose());
        Self { key, cluster: cluster.into() }
    }

    /// A key for one purpose. Each part has its length before it: no two lists of parts are the same text.
    fn derive(&self, parts: &[&[u8]]) -> Result<hmac::Key> {
        let mut info = Vec::new();
        for part in [&[self.cluster.as_bytes()], parts].concat() {
            info.extend(u32::try_from(part.len())?.to_be_bytes());
            info.extend(part);
        }
        let info = [info.as_slice()];
        let okm = self.key.expand(&info, hmac::HMAC_SHA256).map_err(|_| anyhow!("no key can be derived"))?;
        Ok(okm.into())
    }

    /// The MAC of an announcement, as it stands in the TXT record.
    pub fn announcement(&self, parts: &[&[u8]]) -> Result<String> {
        let tag = hmac::sign(&self.derive(&[b"announcement"])?, &length_prefixed(parts));
        Ok(hex::encode(&tag.as_ref()[..16]))
    }

    /// Whether `mac` is the MAC of an announcement. How long that takes says nothing of how much of it is right: what is
    /// compared are MACs of both under a key that nobody knows.
    pub fn announced(&self, parts: &[&[u8]], mac: &str) -> bool {
        let (Ok(expected), Ok(key)) = (self.announcement(parts), self.derive(&[b"comparison"])) else {
            return false;
        };
        hmac::verify(&key, expected.as_bytes(), hmac::sign(&key, mac.as_bytes()).as_ref()).is_ok()
    }
}

fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|it| [&u32::try_from(it.len()).unwrap_or(u32::MAX).to_be_bytes(), *it].concat())
        .collect()
}

/// What each side sends first, in clear: who it says it is, and its nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who speaks.
    pub id: NodeId,
    /// Fresh for each conversation.
    pub nonce: [u8; NONCE],
}

impl Hello {
    /// As bytes, always as many.
    pub fn encode(&self) -> Vec<u8> {
        let id = self.id.as_str().as_bytes();
        let mut bytes =
            [MAGIC.as_slice(), &self.nonce, &[u8::try_from(id.len()).unwrap_or_default()], id].concat();
        bytes.resize(HELLO, 0);
        bytes
    }

    /// From [`HELLO`] bytes of a stranger.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let rest = bytes.strip_prefix(MAGIC).filter(|_| bytes.len() == HELLO);
        let Some((nonce, rest)) = rest.and_then(|it| it.split_first_chunk::<NONCE>()) else {
            bail!("this is no election")
        };
        let (length, id) = rest.split_first().ok_or_else(|| anyhow!("this is no election"))?;
        let id = id.get(..usize::from(*length)).ok_or_else(|| anyhow!("the id is too long"))?;
        Ok(Self { id: NodeId::parse(std::str::from_utf8(id)?)?, nonce: *nonce })
    }
}

/// One side of a conversation.
pub struct Session {
    sending: hmac::Key,
    receiving: hmac::Key,
    sent: u64,
    received: u64,
}

impl Session {
    /// The conversation between `own` and `other`; `opened`: by this side.
    pub fn new(secret: &SecretKey, own: &Hello, other: &Hello, opened: bool) -> Result<Self> {
        let (dialler, listener) = if opened { (own, other) } else { (other, own) };
        let key = |from: &[u8]| {
            let ids = [dialler.id.as_str().as_bytes(), listener.id.as_str().as_bytes()];
            secret.derive(&[b"session", from, &dialler.nonce, &listener.nonce, ids[0], ids[1]])
        };
        let (from_dialler, from_listener) = (key(b"dialler")?, key(b"listener")?);
        let (sending, receiving) =
            if opened { (from_dialler, from_listener) } else { (from_listener, from_dialler) };
        Ok(Self { sending, receiving, sent: 0, received: 0 })
    }

    /// A message with its place in the conversation and its MAC.
    pub fn seal(&mut self, body: &[u8]) -> Vec<u8> {
        let count = self.sent.to_be_bytes();
        self.sent += 1;
        let tag = hmac::sign(&self.sending, &[&count, body].concat());
        [tag.as_ref(), &count, body].concat()
    }

    /// The body of the next message of the other side.
    pub fn open<'a>(&mut self, sealed: &'a [u8]) -> Result<&'a [u8]> {
        let Some((tag, signed)) = sealed.split_at_checked(TAG).filter(|it| it.1.len() >= COUNT) else {
            bail!("the message is cut")
        };
        if hmac::verify(&self.receiving, signed, tag).is_err() {
            bail!("the message is not from a holder of the cluster's secret")
        }
        let (count, body) = signed.split_at(COUNT);
        if count != self.received.to_be_bytes() {
            bail!("the message is out of its order")
        }
        self.received += 1;
        Ok(body)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(secret: &str, cluster: &str) -> SecretKey {
        SecretKey::new(&Secret::new(secret), cluster)
    }

    fn hello(id: &str, nonce: u8) -> Hello {
        Hello { id: NodeId::parse(id).unwrap(), nonce: [nonce; NONCE] }
    }

    /// Both sides of a conversation.
    fn pair(dialler: &SecretKey, listener: &SecretKey, nonce: u8) -> (Session, Session) {
        let (a, b) = (hello("a", nonce), hello("b", nonce + 1));
        (Session::new(dialler, &a, &b, true).unwrap(), Session::new(listener, &b, &a, false).unwrap())
    }

    #[test]
    fn both_sides_understand_each_other() {
        let secret = key("secret", "x");
        let (mut a, mut b) = pair(&secret, &secret, 1);
        for text in ["one", "", "three"] {
            let sealed = a.seal(text.as_bytes());
            assert_eq!(b.open(&sealed).unwrap(), text.as_bytes());
            let sealed = b.seal(text.as_bytes());
            assert_eq!(a.open(&sealed).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn an_announcement_is_known_by_its_mac() {
        let secret = key("secret", "x");
        let mac = secret.announcement(&[b"a", b"b"]).unwrap();
        assert!(secret.announced(&[b"a", b"b"], &mac));
        assert!(!secret.announced(&[b"ab", b""], &mac) && !key("other", "x").announced(&[b"a", b"b"], &mac));
        for wrong in ["", "00", &mac[..31], &format!("{mac}0"), &mac.replace(&mac[..1], "x")] {
            assert!(!secret.announced(&[b"a", b"b"], wrong), "{wrong}");
        }
    }

    #[test]
    fn another_secret_or_another_cluster_is_not_understood() {
        for other in [key("other", "x"), key("secret", "y")] {
            let (mut a, mut b) = pair(&key("secret", "x"), &other, 1);
            assert!(b.open(&a.seal(b"go")).is_err());
        }
    }

    #[test]
    fn nothing_can_be_changed_repeated_reordered_dropped_or_turned_back() {
        let secret = key("secret", "x");
        let (mut a, mut b) = pair(&secret, &secret, 1);
        let (one, two) = (a.seal(b"one"), a.seal(b"two"));
        assert!(b.open(&two).is_err(), "the first one was dropped");
        for at in 0..one.len() {
            let mut changed = one.clone();
            changed[at] ^= 1;
            assert!(b.open(&changed).is_err(), "changed at {at}");
            assert!(b.open(&one[..at]).is_err(), "cut at {at}");
        }
        assert!(b.open(&one).is_ok());
        assert!(b.open(&one).is_err(), "repeated");
        assert!(a.open(&two).is_err(), "turned back");
    }

    #[test]
    fn nothing_of_one_conversation_is_understood_in_another() {
        let secret = key("secret", "x");
        let (mut a, _) = pair(&secret, &secret, 1);
        let (_, mut b) = pair(&secret, &secret, 3);
        assert!(b.open(&a.seal(b"one")).is_err());
    }

    #[test]
    fn a_mirror_is_not_understood() {
        // A stranger who sends back this side's own hello, then its own messages.
        let secret = key("secret", "x");
        let own = hello("a", 1);
        let mut session = Session::new(&secret, &own, &own, true).unwrap();
        let sealed = session.seal(b"me");
        assert!(session.open(&sealed).is_err());
    }

    #[test]
    fn a_hello_is_read_as_it_was_written_and_nothing_else_is() {
        let known = hello("node-1", 9);
        let bytes = known.encode();
        assert_eq!((bytes.len(), Hello::decode(&bytes).unwrap()), (HELLO, known));
        for bad in [&bytes[..HELLO - 1], &[0; HELLO], &[bytes.as_slice(), b"x"].concat()] {
            assert!(Hello::decode(bad).is_err());
        }
        let mut long = bytes.clone();
        long[MAGIC.len() + NONCE] = 65;
        assert!(Hello::decode(&long).is_err());
    }

    #[test]
    fn an_announcement_is_bound_to_each_of_its_parts() {
        let secret = key("secret", "x");
        let mac = secret.announcement(&[b"ab", b"c"]).unwrap();
        assert_eq!(mac.len(), 32);
        assert_ne!(mac, secret.announcement(&[b"a", b"bc"]).unwrap());
        assert_ne!(mac, key("other", "x").announcement(&[b"ab", b"c"]).unwrap());
    }
}
