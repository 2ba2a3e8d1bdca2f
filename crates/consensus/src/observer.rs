//! Who hears of applied entries.

/// Hears of every applied entry, on the path of applying: it must be quick, and never wait.
pub trait Observer: Send {
    /// Entry `index` is applied; the state's time is `now_ms` now, and the entry's wall clock `wall_ms`.
    fn applied(&mut self, index: u64, now_ms: u64, wall_ms: u64, events: Vec<taskyard_state::Event>);
}

/// Hears nothing.
impl Observer for () {
    fn applied(&mut self, _index: u64, _now_ms: u64, _wall_ms: u64, _events: Vec<taskyard_state::Event>) {}
}
