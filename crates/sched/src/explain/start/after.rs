//! The view as it will be when what a pass starts now has started.

use taskyard_model::policy::size;
use taskyard_model::resources::place_gpus;
use taskyard_model::{Assignment, ClassView, View};

/// Takes as started what runs; what is held ahead of need is left out.
pub(super) fn after(view: &View, runs: &[Assignment]) -> View {
    let mut view = view.clone();
    for run in runs.iter().filter(|run| !run.prefetch) {
        start(&mut view, run);
    }
    view
}

fn start(view: &mut View, run: &Assignment) {
    let Some(job) = view.jobs.get_mut(&run.job) else { return };
    job.eligible = job.eligible.saturating_sub(run.count);
    job.assigned = job.assigned.saturating_add(run.count);
    let (stand, waits) = (job.stand(), job.placeable() > 0);
    if !waits {
        view.set_waiting(stand, false);
    }
    let Some(class) = view.classes.get_mut(stand.class) else { return };
    if let Some(targets) = &mut class.targets
        && let Some(task) = targets.task_for(run.node)
    {
        targets.waiting.remove(&task);
    }
    let class = class.clone();
    if let Some(queue) = view.queues.get_mut(class.queue) {
        queue.running_cpu_milli += class.request.amounts.cpu_milli * u64::from(run.count);
    }
    if let Some(class) = view.classes.get_mut(stand.class) {
        class.running += run.count;
    }
    for _ in 0..run.count {
        take(view, run, &class);
        count(view, &class);
    }
}

/// One task counts against the share of its user and account.
fn count(view: &mut View, class: &ClassView) {
    let (now_ms, half_life_ms) = (view.now_ms, view.half_life_ms);
    let Some(party) = view.parties.get_mut(class.party) else { return };
    party.usage.settle(now_ms, half_life_ms);
    party.takes(&class.request);
    let Some(account) = view.accounts.get_mut(party.account) else { return };
    account.usage.settle(now_ms, half_life_ms);
    account.usage.size = account.usage.size.saturating_add(size(&class.request));
}

/// One task takes its place on the node.
fn take(view: &mut View, run: &Assignment, class: &ClassView) {
    let Some(node) = view.nodes.get_mut(run.node) else { return };
    let Some(gpus) = place_gpus(&node.gpu_free, class.request.gpu_milli) else { return };
    node.free.take(&class.request.amounts);
    node.running += 1;
    node.alone |= class.request.exclusive;
    node.by_class.entry(class.id).or_default().running += 1;
    for (device, part) in &gpus {
        node.gpu_free[usize::from(*device)] -= part;
    }
    if let Some(expected) = class.span.expected_ms() {
        let ending = node.ends.entry((view.now_ms.saturating_add(expected), class.id)).or_default();
        ending.count += 1;
        for (device, part) in gpus {
            *ending.gpus.entry(device).or_default() += part;
        }
    }
}
