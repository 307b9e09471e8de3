//! DNS: names of the cluster are answered here, and all others by the resolvers that the host had.

mod answer;
mod forward;
mod tcp;
mod udp;

use std::sync::{Arc, PoisonError, RwLock};

pub(crate) use answer::{Reply, Transport, answer};
pub(crate) use forward::Upstream;
pub(crate) use tcp::serve as serve_tcp;
pub(crate) use udp::{forward as forward_udp, serve as serve_udp};

use crate::zone::Zone;

/// The zone of the moment, for many readers.
#[derive(Clone)]
pub(crate) struct Names(Arc<RwLock<Arc<Zone>>>);

impl Names {
    /// Begins with this one.
    pub(crate) fn new(zone: Zone) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(zone))))
    }

    /// The zone as it is now.
    pub(crate) fn now(&self) -> Arc<Zone> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another one in its place.
    pub(crate) fn set(&self, zone: Zone) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(zone);
    }
}
