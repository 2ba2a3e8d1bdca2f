//! Where a task goes: the nodes' room as the pass uses it up, and sets of nodes to search, least loaded first.

use crate::ends::Left;
use crate::plans::Plans;
use crate::pools::{Summary, Tree};
use std::collections::BTreeMap;
use taskyard_model::resources::place_gpus;
use taskyard_model::{
    Amounts, ClassView, Constraint, JobId, NodeView, PoolId, Request, Room, Rule, View, limits,
};

/// A node that had room for something when the pass began. Kept apart from the view so that looking for a node runs through little memory.
struct Row {
    /// Index into `View::nodes`. Rows are in its order.
    node: u32,
    cpu: u64,
    memory: u64,
    cpu_all: u64,
    memory_all: u64,
    /// Index into `Rooms::own` once something was placed here.
    own: Option<u32>,
    /// Kept for this job: nothing more goes here.
    kept: Option<JobId>,
    /// Not even the smallest task that waits has room here.
    full: bool,
    /// The first of its places in pools.
    link: Option<usize>,
}

/// What is left on a node after something was placed.
pub(crate) struct Own<'v> {
    pub(crate) left: Left,
    /// What was placed and is expected to end: when, and what it gives back.
    pub(crate) ends: Vec<(u64, &'v Request, Vec<(u16, u32)>)>,
}

/// The nodes that a constraint allows, in order of the free share of some resources.
struct Pool<'v> {
    needs: Needs<'v>,
    /// Rows by position.
    rows: Vec<u32>,
    tree: Tree,
}

/// What decides which nodes come into question and which of them is least loaded. The amounts do not matter for either.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Needs<'v> {
    pool: PoolId,
    constraint: &'v Constraint,
    cpu: bool,
    memory: bool,
    gpu: bool,
    named: Vec<&'v str>,
}

impl<'v> Needs<'v> {
    fn of(pool: PoolId, class: &'v ClassView) -> Self {
        let ClassView { request: Request { amounts, gpu_milli }, constraint, .. } = class;
        let named: Vec<&str> =
            amounts.named.iter().filter(|(_, n)| **n > 0).map(|(name, _)| name.as_str()).collect();
        let (memory, gpu) = (amounts.memory > 0, *gpu_milli > 0);
        // Tasks that ask for nothing are spread by cpu.
        let cpu = amounts.cpu_milli > 0 || !(memory || gpu || !named.is_empty());
        Needs { pool, constraint, cpu, memory, gpu, named }
    }
}

/// Where a row stands in a pool.
#[derive(Clone, Copy)]
struct Link {
    pool: usize,
    position: usize,
    /// The row's next link.
    next: Option<usize>,
}

/// All nodes with room, and what the pass has looked at so far.
pub(crate) struct Rooms<'v> {
    pub(crate) view: &'v View,
    least: Least,
    rows: Vec<Row>,
    own: Vec<Own<'v>>,
    /// Starts that were planned for later.
    pub(crate) plans: Plans<'v>,
    pools: Vec<Pool<'v>>,
    pool_of: BTreeMap<Needs<'v>, usize>,
    links: Vec<Link>,
    /// Rows neither full nor kept.
    open: usize,
    /// Nodes looked at.
    pub(crate) looked_at: u64,
}

/// The least that any task could ask for, in each dimension by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Least {
    cpu: u64,
    memory: u64,
}

impl Least {
    pub(crate) const NOTHING_ASKED: Least = Least { cpu: u64::MAX, memory: u64::MAX };

    pub(crate) fn and(self, asked: &Amounts) -> Least {
        Least { cpu: self.cpu.min(asked.cpu_milli), memory: self.memory.min(asked.memory) }
    }

    fn has_room(self, cpu: u64, memory: u64, running: u32) -> bool {
        cpu >= self.cpu && memory >= self.memory && running < limits::RUNNING_PER_NODE_MAX
    }
}

impl<'v> Rooms<'v> {
    pub(crate) fn new(view: &'v View, least: Least) -> Self {
        let has_room = |n: &NodeView| {
            least.has_room(n.free.cpu_milli, n.free.memory, n.running) && n.takes_work().is_ok()
        };
        let rows: Vec<Row> = (0u32..)
            .zip(&view.nodes)
            .filter(|(_, n)| has_room(n))
            .map(|(node, n)| Row {
                node,
                cpu: n.free.cpu_milli,
                memory: n.free.memory,
                cpu_all: n.capacity.amounts.cpu_milli,
                memory_all: n.capacity.amounts.memory,
                own: None,
                kept: None,
                full: false,
                link: None,
            })
            .collect();
        let open = rows.len();
        let looked_at = view.nodes.len() as u64 / 16;
        Rooms {
            view,
            least,
            rows,
            own: Vec::new(),
            plans: Plans::default(),
            pools: Vec::new(),
            pool_of: BTreeMap::new(),
            links: Vec::new(),
            open,
            looked_at,
        }
    }

    /// Whether any node could take even the smallest task.
    pub(crate) fn any_open(&self) -> bool {
        self.open > 0
    }

    /// The nodes of a pool to search for a class.
    pub(crate) fn pool(&mut self, pool: PoolId, class: &'v ClassView) -> usize {
        let needs = Needs::of(pool, class);
        if let Some(&pool) = self.pool_of.get(&needs) {
            return pool;
        }
        self.looked_at += self.rows.len() as u64;
        let index = self.pools.len();
        let allowed = |row: &&u32| {
            let node = self.node(&self.rows[**row as usize]);
            node.pool == needs.pool && class.constraint.broken(&node.labels).is_none()
        };
        let all: Vec<u32> = (0..u32::try_from(self.rows.len()).expect("within NODES_MAX")).collect();
        let rows: Vec<u32> = all.iter().filter(allowed).copied().collect();
        let summary =
            |(position, row): (usize, &u32)| self.summary(&self.rows[*row as usize], position, &needs);
        let summaries: Vec<Summary> = rows.iter().enumerate().map(summary).collect();
        for (position, row) in rows.iter().enumerate() {
            let row = &mut self.rows[*row as usize];
            self.links.push(Link { pool: index, position, next: row.link });
            row.link = Some(self.links.len() - 1);
        }
        self.pools.push(Pool { needs: needs.clone(), rows, tree: Tree::new(&summaries) });
        self.pool_of.insert(needs, index);
        index
    }

    /// The least loaded node of a pool that fits, as a row.
    pub(crate) fn find(&mut self, pool: usize, class: &ClassView) -> Option<u32> {
        let Pool { rows, tree, .. } = &self.pools[pool];
        let mut looked_at = 1;
        let mut fits = |position: usize| {
            looked_at += 1;
            self.fits(&self.rows[rows[position] as usize], class).is_ok()
        };
        let amounts = &class.request.amounts;
        let found = tree.find(amounts.cpu_milli, amounts.memory, &mut fits);
        let row = found.map(|position| rows[position]);
        self.looked_at += looked_at;
        row
    }

    /// Places one task of a class in a row that [`Rooms::find`] gave.
    pub(crate) fn place(&mut self, class: &'v ClassView, index: u32) {
        let request = &class.request;
        let row = &mut self.rows[index as usize];
        let node = &self.view.nodes[row.node as usize];
        let own = *row.own.get_or_insert_with(|| {
            self.own.push(Own { left: Left::of(node.room()), ends: Vec::new() });
            u32::try_from(self.own.len() - 1).expect("no more than there are nodes")
        });
        let own = &mut self.own[own as usize];
        let gpus = place_gpus(&own.left.gpu_free, request.gpu_milli).expect("it fits");
        own.left.take(request, &gpus);
        row.cpu = own.left.free.cpu_milli;
        row.memory = own.left.free.memory;
        let full = !self.least.has_room(row.cpu, row.memory, own.left.running);
        self.plans.placed(self.view.now_ms, row.node, class, &gpus);
        if let Some(expected) = class.span.expected_ms() {
            own.ends.push((self.view.now_ms.saturating_add(expected), request, gpus));
        }
        if full {
            row.full = true;
            self.open -= 1;
        }
        self.update_pools(index);
    }

    /// Tells the pools of a row that it has changed.
    fn update_pools(&mut self, index: u32) {
        let mut link = self.rows[index as usize].link;
        while let Some(at) = link {
            let Link { pool, position, next } = self.links[at];
            let summary = self.summary(&self.rows[index as usize], position, &self.pools[pool].needs);
            self.pools[pool].tree.set(position, summary);
            link = next;
        }
    }

    /// Keeps every node that could ever take a class for one job: nothing more is placed there in this pass.
    pub(crate) fn keep_for(&mut self, job: JobId, class: &ClassView) {
        self.looked_at += self.rows.len() as u64;
        for index in 0..self.rows.len() {
            let row = &mut self.rows[index];
            let node = &self.view.nodes[row.node as usize];
            let could = self.view.pool_of(class) == node.pool
                && node.could_hold(&class.request, &class.constraint).is_ok();
            if row.kept.is_none() && could {
                row.kept = Some(job);
                self.open -= usize::from(!row.full);
                self.update_pools(u32::try_from(index).expect("within NODES_MAX"));
            }
        }
    }

    /// The node of a row, as an index into `View::nodes`.
    pub(crate) fn node_of(&self, row: u32) -> u32 {
        self.rows[row as usize].node
    }

    /// Why a node does not take one more such task now, at the end of the pass; `Ok` if it does.
    pub(crate) fn rule(&self, node: &NodeView, class: &ClassView) -> Result<(), Rule> {
        let pool = self.view.pool_of(class);
        if node.pool != pool {
            let name = |id| self.view.pool(id).map_or("", |pool| pool.name.as_str()).to_owned();
            return Err(Rule::OtherPool { pool: name(node.pool), asked: name(pool) });
        }
        let index = node.id.0.checked_sub(1).expect("nodes count from 1");
        let Ok(row) = self.rows.binary_search_by_key(&index, |row| row.node) else {
            return node.fits(&class.request, &class.constraint);
        };
        let row = &self.rows[row];
        node.could_hold(&class.request, &class.constraint)?;
        row.kept.map_or(Ok(()), |job| Err(Rule::ReservedFor(job)))?;
        self.fits(row, class)
    }

    fn node(&self, row: &Row) -> &'v NodeView {
        &self.view.nodes[row.node as usize]
    }

    fn fits(&self, row: &Row, class: &ClassView) -> Result<(), Rule> {
        let node = self.node(row);
        node.fits_room(self.room(row), &class.request, &class.constraint)?;
        self.plans.allow(self.view.now_ms, row.node, class)
    }

    fn room(&self, row: &Row) -> Room<'_> {
        let own = row.own.map(|own| self.own[own as usize].left.room());
        own.unwrap_or_else(|| self.node(row).room())
    }

    /// What was placed on a node (an index), if anything.
    pub(crate) fn own(&self, node: u32) -> Option<&Own<'v>> {
        let row = self.rows.binary_search_by_key(&node, |row| row.node).ok()?;
        self.rows[row].own.map(|own| &self.own[own as usize])
    }

    /// A row as a pool's search sees it. The score is the least free share among what the pool's classes ask for.
    fn summary(&self, row: &Row, position: usize, needs: &Needs<'_>) -> Summary {
        if row.full || row.kept.is_some() {
            return Summary::default();
        }
        let mut least = 1_000;
        if needs.cpu {
            least = least.min(share(row.cpu, row.cpu_all));
        }
        if needs.memory {
            least = least.min(share(row.memory, row.memory_all));
        }
        if needs.gpu {
            let free: u64 = self.room(row).gpu_free.iter().copied().map(u64::from).sum();
            least = least.min(share(free, u64::from(self.node(row).capacity.gpus) * 1_000));
        }
        for name in &needs.named {
            let of = |amounts: &Amounts| amounts.named.get(*name).copied().unwrap_or(0);
            least = least.min(share(of(self.room(row).free), of(&self.node(row).capacity.amounts)));
        }
        let position = u32::try_from(position).expect("within NODES_MAX");
        Summary::of(least, position, row.cpu, row.memory)
    }
}

/// Per mille of `all` that is free; 1,000 of nothing.
fn share(free: u64, all: u64) -> u32 {
    let of_thousand = free.saturating_mul(1_000).checked_div(all).unwrap_or(1_000);
    u32::try_from(of_thousand.min(1_000)).unwrap_or(1_000)
}
