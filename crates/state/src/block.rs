//! Records of tasks in blocks of 1,024. A block whose tasks have all ended is folded (see [`crate::fold`]) and opened again only to be read.

use crate::fold;
use crate::record::TaskRecord;
use minicbor::{Decode, Encode};
use std::borrow::Cow;

/// Tasks per block.
pub(crate) const BLOCK: u32 = 1_024;

/// Records of 1,024 consecutive tasks (fewer at the end of a job).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(crate) enum Block {
    /// Some have not ended: the second field says how many.
    #[n(0)]
    Open(#[n(0)] Vec<TaskRecord>, #[n(1)] u32),
    /// All have ended.
    #[n(1)]
    Folded(
        #[n(0)]
        #[cbor(with = "minicbor::bytes")]
        Vec<u8>,
    ),
}

impl Block {
    /// `len` tasks that were never assigned.
    pub(crate) fn fresh(len: u32) -> Block {
        Block::Open(vec![TaskRecord::fresh(); len as usize], len)
    }

    /// All records.
    pub(crate) fn records(&self) -> Cow<'_, [TaskRecord]> {
        match self {
            Block::Open(records, _) => records.into(),
            Block::Folded(bytes) => fold::unfold(bytes).into(),
        }
    }

    /// One record.
    pub(crate) fn record(&self, at: usize) -> TaskRecord {
        match self {
            Block::Open(records, _) => records[at],
            Block::Folded(bytes) => fold::unfold(bytes)[at],
        }
    }

    /// A record that may be changed. A final state stays, so no caller asks this of a folded block.
    pub(crate) fn record_mut(&mut self, at: usize) -> Option<&mut TaskRecord> {
        match self {
            Block::Open(records, _) => records.get_mut(at),
            Block::Folded(_) => None,
        }
    }

    /// `count` tasks have ended; folds when they were the last.
    pub(crate) fn ended(&mut self, count: u32) {
        let Block::Open(records, open) = self else { return };
        *open -= count;
        if *open == 0 {
            *self = Block::Folded(fold::fold(records));
        }
    }
}
