//! Whether this node can start tasks: which errors are the node's fault, and when to probe again after one. Knows no
//! clock.

use rustix::io::Errno;

/// Time from a fault to the first probe. It doubles with each probe that fails, and with each fault soon after a
/// recovery.
const PROBE_AFTER_MS: u64 = 1_000;
/// The latest.
const PROBE_AFTER_MS_MAX: u64 = 60_000;
/// A recovery counts when it has lasted this many times as long as the wait before it.
const WELL_FOR: u64 = 5;

/// Why no task can be started here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeFault {
    pub(crate) errno: Errno,
    /// For people. Its figures may change while the fault is the same.
    pub(crate) text: String,
}

impl NodeFault {
    /// Of an error whose number says everything.
    pub(crate) fn of(errno: Errno) -> NodeFault {
        NodeFault { errno, text: describe(errno) }
    }
}

/// The node, as the errors of starts show it.
#[derive(Debug, Default)]
pub(crate) struct StartHealth {
    fault: Option<NodeFault>,
    probe_at_ms: u64,
    wait_ms: u64,
    well_since_ms: u64,
}

impl StartHealth {
    pub(crate) fn is_faulty(&self) -> bool {
        self.fault.is_some()
    }

    /// When to try again.
    pub(crate) fn next_probe(&self) -> Option<u64> {
        self.fault.as_ref().map(|_| self.probe_at_ms)
    }

    /// A start failed for a reason of the node.
    pub(crate) fn fault(&mut self, fault: NodeFault, boot_ms: u64) -> String {
        let lasted = boot_ms.saturating_sub(self.well_since_ms) >= WELL_FOR * self.wait_ms;
        self.wait_ms = if lasted { PROBE_AFTER_MS } else { (2 * self.wait_ms).min(PROBE_AFTER_MS_MAX) };
        self.probe_at_ms = boot_ms + self.wait_ms;
        self.fault.insert(fault).text.clone()
    }

    /// Takes the result of a try. Answers with what there is to tell, if anything has changed.
    pub(crate) fn probed(&mut self, result: Result<(), NodeFault>, boot_ms: u64) -> Option<Option<String>> {
        let before = self.fault.take()?;
        self.fault = result.err();
        match &self.fault {
            None => self.well_since_ms = boot_ms,
            Some(_) => {
                self.wait_ms = (2 * self.wait_ms).min(PROBE_AFTER_MS_MAX);
                self.probe_at_ms = boot_ms + self.wait_ms;
            }
        }
        let is_news = self.fault.as_ref().is_none_or(|fault| fault.errno != before.errno);
        is_news.then(|| self.fault.as_ref().map(|fault| fault.text.clone()))
    }
}

/// Whether the machine, rather than the call, is to blame: it has no descriptors, processes or memory left.
pub(crate) fn machine_lacks(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::NOBUFS)
}

/// The same of an error about the keeper's own files, where the disk is the machine's as well.
pub(crate) fn machine_fails(errno: Errno) -> bool {
    machine_lacks(errno) || matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::ROFS | Errno::IO)
}

/// Whether closing files that are kept open may help.
pub(crate) fn lacks_descriptors(errno: Errno) -> bool {
    matches!(errno, Errno::MFILE | Errno::NFILE)
}

fn describe(errno: Errno) -> String {
    match errno {
        Errno::MFILE => "too many open files (EMFILE): raise the agent's limit of open files".to_owned(),
        Errno::NFILE => "the machine has too many open files (ENFILE): raise fs.file-max".to_owned(),
        Errno::AGAIN => {
            "no process can be created (EAGAIN): see the limits of processes of the agent's user and cgroup"
                .to_owned()
        }
        Errno::NOMEM | Errno::NOBUFS => "not enough memory to start a process (ENOMEM)".to_owned(),
        Errno::NOSPC => "the disk of the agent's data directory is full (ENOSPC)".to_owned(),
        Errno::DQUOT => "the disk quota of the agent's user is used up (EDQUOT)".to_owned(),
        Errno::ROFS => "the file system of the agent's data directory is read-only (EROFS)".to_owned(),
        Errno::IO => "the disk of the agent's data directory has I/O errors (EIO)".to_owned(),
        other => format!("the agent's data directory cannot be used: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_machine_are_not_the_tasks() {
        use Errno as E;
        let own = [E::MFILE, E::NFILE, E::AGAIN, E::NOMEM, E::NOSPC, E::DQUOT, E::ROFS, E::IO];
        assert!(own.iter().all(|errno| machine_fails(*errno)));
        for errno in
            [E::NOENT, E::ACCESS, E::NOTDIR, E::NOEXEC, E::LOOP, E::ISDIR, E::TOOBIG, E::INVAL, E::TXTBSY]
        {
            assert!(!machine_fails(errno), "{errno}");
        }
        assert!(!machine_lacks(E::NOSPC), "the disk of a path that the user named");
        for errno in own {
            let length = describe(errno).len();
            assert!(length < taskyard_model::limits::NODE_REASON_BYTES_MAX, "{errno}: {length}");
        }
    }

    #[test]
    fn tries_come_later_each_time_and_soon_again_after_a_lasting_recovery() {
        let mut health = StartHealth::default();
        let full = || NodeFault::of(Errno::NOSPC);
        assert!(health.next_probe().is_none());
        assert!(health.fault(full(), 10_000).contains("ENOSPC"));
        assert_eq!(health.next_probe(), Some(11_000));
        assert_eq!(health.probed(Err(full()), 11_000), None, "nothing has changed");
        assert_eq!(health.next_probe(), Some(13_000));
        let read_only = health.probed(Err(NodeFault::of(Errno::ROFS)), 13_000);
        assert!(read_only.is_some_and(|fault| fault.is_some_and(|fault| fault.contains("EROFS"))));
        assert_eq!(health.probed(Ok(()), 17_000), Some(None));
        assert_eq!((health.is_faulty(), health.next_probe()), (false, None));
        health.fault(full(), 18_000);
        assert_eq!(health.next_probe(), Some(26_000), "it was well for a moment only");
        health.probed(Ok(()), 26_000);
        health.fault(full(), 26_000 + 40_000);
        assert_eq!(health.next_probe(), Some(67_000));
        for _ in 0..10 {
            health.probed(Err(full()), 70_000);
        }
        assert_eq!(health.next_probe(), Some(130_000));
    }
}
