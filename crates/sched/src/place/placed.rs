//! What a pass has placed on a node.

use super::remaining::Remaining;
use taskyard_model::{ClassId, Request, Span};

/// Something placed that is expected to end, and what it gives back then.
pub(crate) struct PlacedTask<'v> {
    pub(crate) span: Span,
    pub(crate) request: &'v Request,
    /// Devices, and thousandths of each.
    pub(crate) gpus: Vec<(u16, u32)>,
}

/// What is left on a node after something was placed.
pub(crate) struct Placed<'v> {
    pub(crate) remaining: Remaining,
    /// What was placed and is expected to end.
    pub(crate) tasks: Vec<PlacedTask<'v>>,
    /// Classes whose tasks run apart and of which one was placed.
    pub(super) apart: Vec<ClassId>,
}

impl Placed<'_> {
    /// Whether a task of a class whose tasks run apart was placed.
    pub(crate) fn has_apart(&self, class: ClassId) -> bool {
        self.apart.contains(&class)
    }
}
