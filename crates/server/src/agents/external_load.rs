//! What machines are busy with besides Taskyard, from what their agents report: input of the planner that is in no log.
//! A plan made with it is checked by `apply` like any other.

use super::Agents;
use taskyard_model::{Idle, NodeView, OtherLoad, View};
use taskyard_wire::Load;

/// A report counts for this number of heartbeats: losing one changes nothing, and the last report of a silent agent
/// expires.
const HEARTBEATS_FRESH: u64 = 3;
/// Plans follow each other within microseconds, and reports come each few seconds.
const LOOK_EVERY_MS: u64 = 1_000;

/// Whether a report of this age still counts.
pub(crate) fn is_fresh(age_ms: u64, heartbeat_ms: u64) -> bool {
    age_ms <= heartbeat_ms * HEARTBEATS_FRESH
}

/// What a report says is idle. A node may be set to offer more processors than there are: then these count.
pub(crate) fn idle(load: &Load, node: &NodeView) -> Idle {
    let processors = (load.processors > 0).then_some(u64::from(load.processors) * 1_000);
    let all = processors.map(|all| all.max(node.capacity.amounts.cpu_milli));
    let memory = (load.memory_available > 0).then_some(load.memory_available);
    Idle { cpu_milli: all.map(|all| all.saturating_sub(load.load1_milli)), memory }
}

/// The reports as the planner takes them.
pub(crate) struct LoadReports {
    heartbeat_ms: u64,
    look_at_ms: u64,
    /// By position in the view: when the report was heard that `other_load` follows.
    heard_ms: Vec<u64>,
    /// By position in the view.
    other_load: Vec<OtherLoad>,
    /// No machine is busy with anything else: the planner has nothing to look up.
    nothing: bool,
}

impl LoadReports {
    pub(crate) fn new(heartbeat_ms: u64) -> LoadReports {
        LoadReports {
            heartbeat_ms,
            look_at_ms: 0,
            heard_ms: Vec::new(),
            other_load: Vec::new(),
            nothing: true,
        }
    }

    /// What is used besides Taskyard, by position of the node in the view.
    pub(crate) fn look(&mut self, agents: &Agents, view: &View, boot_ms: u64) -> &[OtherLoad] {
        if boot_ms >= self.look_at_ms {
            self.look_at_ms = boot_ms + LOOK_EVERY_MS;
            self.gather(agents, view, boot_ms);
        }
        if self.nothing { &[] } else { &self.other_load }
    }

    /// A report is held against the reservations once, when it is new: what is reserved later was not running then.
    fn gather(&mut self, agents: &Agents, view: &View, boot_ms: u64) {
        self.heard_ms.resize(view.nodes.len(), 0);
        self.other_load.resize(view.nodes.len(), OtherLoad::default());
        let known = agents.0.nodes.lock();
        for ((node, heard_ms), other_load) in
            view.nodes.iter().zip(&mut self.heard_ms).zip(&mut self.other_load)
        {
            let fresh = known.get(&node.id).filter(|known| {
                known.session.is_some()
                    && is_fresh(boot_ms.saturating_sub(known.heard_boot_ms), self.heartbeat_ms)
            });
            match fresh {
                None => (*heard_ms, *other_load) = (0, OtherLoad::default()),
                Some(known) if known.heard_boot_ms == *heard_ms => {}
                Some(known) => {
                    (*heard_ms, *other_load) =
                        (known.heard_boot_ms, OtherLoad::of(node, idle(&known.load, node)));
                }
            }
        }
        self.nothing = self.other_load.iter().all(|other_load| *other_load == OtherLoad::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::node;
    use taskyard_model::{Incarnation, NodeId};

    const HEARTBEAT_MS: u64 = 3_000;

    fn load(processors: u32, load1_milli: u64) -> Load {
        Load { load1_milli, processors, memory_available: 0 }
    }

    /// Two nodes of four cores, and an agent of the first that reports.
    struct Two {
        agents: Agents,
        session: u64,
        view: View,
        reports: LoadReports,
        /// Of the last heartbeat.
        heard_ms: u64,
    }

    impl Two {
        fn new() -> Two {
            let agents = Agents::default();
            let (handle, _inbox) = agents.begin(NodeId(1), Incarnation(1), 1);
            let view = View { nodes: vec![node(1, 4, true), node(2, 4, true)].into(), ..View::default() };
            let reports = LoadReports::new(HEARTBEAT_MS);
            Two { agents, session: handle.number, view, reports, heard_ms: 0 }
        }

        fn report(&mut self, load: Load) {
            assert!(self.agents.heard(NodeId(1), self.session, load));
            // Two reports within a millisecond are one.
            self.heard_ms += 1;
            self.agents.0.nodes.lock().get_mut(&NodeId(1)).unwrap().heard_boot_ms = self.heard_ms;
        }

        /// What the planner gets of the first node, this long after its last heartbeat.
        fn cpu_after(&mut self, ms: u64) -> Option<u64> {
            self.reports.look_at_ms = 0;
            let other_load = self.reports.look(&self.agents, &self.view, self.heard_ms + ms);
            other_load.first().map(|other_load| other_load.cpu_milli)
        }
    }

    #[test]
    fn a_report_counts_while_it_is_fresh() {
        let mut two = Two::new();
        assert_eq!(two.cpu_after(0), None, "nothing is known");
        two.report(load(4, 2_500));
        assert_eq!(two.cpu_after(0), Some(2_500));
        assert_eq!(two.cpu_after(3 * HEARTBEAT_MS), Some(2_500));
        assert_eq!(two.cpu_after(3 * HEARTBEAT_MS + 1), None);
        two.report(load(4, 0));
        assert_eq!(two.cpu_after(0), None, "nothing to look up for the planner");
        two.report(load(4, 4_000));
        two.agents.end(NodeId(1), two.session);
        assert_eq!(two.cpu_after(0), None, "its agent is not connected");
    }

    #[test]
    fn what_is_reserved_is_not_counted_twice() {
        let mut two = Two::new();
        two.view.nodes[0].free.cpu_milli = 1_000;
        two.report(load(4, 2_500));
        assert_eq!(two.cpu_after(0), None, "our own tasks may be what the load comes from");
        // They end: the next report will tell, this one told of them.
        two.view.nodes[0].free.cpu_milli = 4_000;
        assert_eq!(two.cpu_after(1), None);
        two.report(load(4, 2_500));
        assert_eq!(two.cpu_after(0), Some(2_500));
        // What starts comes on top of it.
        two.view.nodes[0].free.cpu_milli = 2_000;
        assert_eq!(two.cpu_after(1), Some(2_500));
    }

    #[test]
    fn reports_are_looked_at_once_in_a_while() {
        let mut two = Two::new();
        two.report(load(4, 2_500));
        assert_eq!(two.cpu_after(0), Some(2_500));
        two.report(load(4, 3_000));
        let mut look = |at| two.reports.look(&two.agents, &two.view, at)[0].cpu_milli;
        assert_eq!((look(LOOK_EVERY_MS - 1), look(LOOK_EVERY_MS + 1)), (2_500, 3_000));
    }

    #[test]
    fn what_a_report_does_not_say_is_not_held_against_a_node() {
        let four = node(1, 4, true);
        assert_eq!(idle(&Load::default(), &four), Idle::default());
        assert_eq!(
            idle(&load(0, 9_000), &four).cpu_milli,
            None,
            "an agent too old to say how many processors there are"
        );
        assert_eq!(idle(&load(64, 9_000), &four).cpu_milli, Some(55_000), "more than the node offers");
        assert_eq!(
            idle(&load(2, 1_000), &four).cpu_milli,
            Some(3_000),
            "it is set to offer more than there is"
        );
        let told = Load { memory_available: 5, ..Load::default() };
        assert_eq!(idle(&told, &four).memory, Some(5));
    }
}
