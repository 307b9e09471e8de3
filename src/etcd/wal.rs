//! What an etcd data directory says of itself: the head of its write-ahead log, which etcd writes before
//! anything else and keeps in every log file.
//!
//! Frames of etcd's `wal` package: a little-endian length (the high byte holds the padding), then a
//! protobuf `Record { type = 1, crc = 2, data = 3 }`, padded to eight bytes.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::Id;
use crate::system::files;

const METADATA: u64 = 1;
const ENTRY: u64 = 2;

/// The identity in a data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The cluster it belongs to.
    pub cluster_id: Id,
    /// The member it makes its host.
    pub member_id: Id,
    /// An index that the log has reached. A founding writes one entry a member; any further entry means
    /// that a leader was elected once, so that the cluster exists.
    pub last_index: u64,
}

impl Data {
    /// Reads `data_dir`; `None` where etcd would start without data.
    pub fn read(data_dir: &Path) -> Result<Option<Self>> {
        let log = data_dir.join("member/wal");
        let entries = match fs::read_dir(&log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.with_context(|| format!("cannot read {}", log.display()))?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.with_context(|| format!("cannot read {}", log.display()))?.file_name();
            names.extend(name.into_string().ok().and_then(|it| it.strip_suffix(".wal").map(str::to_owned)));
        }
        let Some(newest) = names.into_iter().max() else { return Ok(None) };
        let path = log.join(format!("{newest}.wal"));
        let bytes = files::content(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut data = parse(&bytes).with_context(|| {
            format!(
                "{} is not a log of etcd 3; if it is damaged, move {} away",
                path.display(),
                data_dir.display()
            )
        })?;
        // <sequence>-<index of the first entry>
        let first = newest.split('-').nth(1).and_then(|it| u64::from_str_radix(it, 16).ok());
        data.last_index = data.last_index.max(first.unwrap_or_default());
        Ok(Some(data))
    }
}

/// Reads records until the log ends: in zeros (it is allocated ahead), or torn by a crash.
fn parse(mut bytes: &[u8]) -> Option<Data> {
    let mut identity = None;
    let mut last_index = 0;
    while let Some((record, rest)) = frame(bytes) {
        bytes = rest;
        match (number(record, 1), field(record, 3)) {
            (Some(METADATA), Some(metadata)) => {
                identity = Some((Id(number(metadata, 1)?), Id(number(metadata, 2)?)));
            }
            (Some(ENTRY), Some(entry)) => last_index = number(entry, 3).unwrap_or(last_index),
            _ => {}
        }
    }
    identity.map(|(member_id, cluster_id)| Data { cluster_id, member_id, last_index })
}

fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    let head = u64::from_le_bytes(*head);
    let length = usize::try_from(head & 0x00ff_ffff_ffff_ffff).ok().filter(|it| *it > 0)?;
    let padding = if head >> 63 == 1 { usize::from((head >> 56) as u8 & 7) } else { 0 };
    Some((rest.get(..length)?, rest.get(length + padding..)?))
}

/// A protobuf message's field: its number, and its integer or its bytes.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let value = varint(&mut message)?;
        let bytes = match tag & 7 {
            0 => &[],
            2 => message.split_off(..usize::try_from(value).ok()?)?,
            _ => return None,
        };
        Some((tag >> 3, value, bytes))
    })
}

fn number(message: &[u8], wanted: u64) -> Option<u64> {
    fields(message).find(|(number, ..)| *number == wanted).map(|(_, value, _)| value)
}

fn field(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).find(|(number, ..)| *number == wanted).map(|(.., bytes)| bytes)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
