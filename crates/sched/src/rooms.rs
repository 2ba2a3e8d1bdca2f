//! Where a task goes: the nodes' room as the pass uses it up, and sets of nodes to search, least loaded first.

use crate::ends::Left;
use crate::plans::Plans;
use crate::sets::{Needs, Seen, Set};
use std::collections::{BTreeMap, BTreeSet};
use taskyard_model::resources::place_gpus;
use taskyard_model::{
    Amounts, ClassId, ClassView, Head, JobId, NodeView, Outside, PoolId, Request, Room, Rule, Span, View,
    limits,
};

/// A node that had room for something when the pass began. Kept apart from the view so that looking for a node runs through little memory.
struct Row {
    /// Index into `View::nodes`. Rows are in its order.
    node: u32,
    cpu: u64,
    memory: u64,
    /// Index into `Rooms::own` once something was placed here.
    own: Option<u32>,
    /// Kept for this job: nothing more goes here.
    kept: Option<JobId>,
    /// Not even the smallest task that waits has room here.
    full: bool,
    /// When it last got something.
    given: u64,
    /// The first of its places in sets.
    link: Option<usize>,
}

/// Something placed that is expected to end, and what it gives back then.
pub(crate) struct OwnEnd<'v> {
    pub(crate) span: Span,
    pub(crate) request: &'v Request,
    /// Devices, and thousandths of each.
    pub(crate) gpus: Vec<(u16, u32)>,
}

/// What is left on a node after something was placed.
pub(crate) struct Own<'v> {
    pub(crate) left: Left,
    /// What was placed and is expected to end.
    pub(crate) ends: Vec<OwnEnd<'v>>,
    /// Classes whose tasks run apart and of which one was placed.
    apart: Vec<ClassId>,
}

impl Own<'_> {
    /// Whether a task of a class whose tasks run apart was placed.
    pub(crate) fn has_apart(&self, class: ClassId) -> bool {
        self.apart.contains(&class)
    }
}

/// Later than any entry of the log: what a pass gives, it gives last.
const GIVEN_NOW: u64 = 1 << 47;

/// So many sets are looked through before others are looked up.
const SETS_LOOKED_THROUGH: usize = 4;
/// With more rows than these, [`Rooms::most`] stays what it was when the pass began: one placement changes little.
const MOST_OF_ROWS: usize = 16;

/// The most cpu and the most memory of rows.
fn most(rows: &[Row]) -> (u64, u64) {
    rows.iter().fold((0, 0), |(cpu, memory), row| (cpu.max(row.cpu), memory.max(row.memory)))
}

/// Where a row stands in a set.
#[derive(Clone, Copy)]
struct Link {
    set: usize,
    position: usize,
    /// The row's next link.
    next: Option<usize>,
}

/// All nodes with room, and what the pass has looked at so far.
pub(crate) struct Rooms<'v> {
    pub(crate) view: &'v View,
    /// By position of the node in the view; nothing is known of nodes beyond its end.
    pub(crate) outside: &'v [Outside],
    least: Least,
    /// At least the most cpu and the most memory that any one row has.
    most: (u64, u64),
    rows: Vec<Row>,
    own: Vec<Own<'v>>,
    /// Starts that were planned for later.
    pub(crate) plans: Plans<'v>,
    /// Nodes (indexes) that are kept for jobs whose start is unknown, also those that have no room at all.
    pub(crate) kept: Vec<(u32, JobId)>,
    /// Where tasks of classes are that run apart by a label: its values. Only of classes for which a place was looked for.
    domains: BTreeMap<ClassId, BTreeSet<&'v str>>,
    sets: Vec<Set<'v>>,
    /// Without the first ones.
    set_of: BTreeMap<Needs<'v>, usize>,
    /// Tasks placed, and looks for a place.
    draws: u64,
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
    const NOTHING_ASKED: Least = Least { cpu: u64::MAX, memory: u64::MAX };

    fn and(self, asked: &Amounts) -> Least {
        Least { cpu: self.cpu.min(asked.cpu_milli), memory: self.memory.min(asked.memory) }
    }

    /// Of all that waits. Where work is held, of all there is: what is held may find room elsewhere though nothing else waits, and holding or taking
    /// back must not change what it was decided by.
    fn of(view: &View, holds: bool) -> Least {
        if holds {
            let in_use = view.classes.iter().filter(|class| class.jobs > 0);
            return in_use.fold(Least::NOTHING_ASKED, |least, class| least.and(&class.request.amounts));
        }
        let heads = view.queues.iter().flat_map(|queue| queue.heads.values());
        heads.fold(Least::NOTHING_ASKED, |least, head| Least {
            cpu: least.cpu.min(head.cpu_milli),
            memory: least.memory.min(head.memory),
        })
    }

    fn has_room(self, cpu: u64, memory: u64, running: u32) -> bool {
        cpu >= self.cpu && memory >= self.memory && running < limits::RUNNING_PER_NODE_MAX
    }
}

impl<'v> Rooms<'v> {
    pub(crate) fn new(view: &'v View, holds: bool) -> Self {
        let least = Least::of(view, holds);
        let has_room = |n: &NodeView| {
            least.has_room(n.free.cpu_milli, n.free.memory, n.running) && n.takes_work().is_ok() && !n.alone
        };
        let rows: Vec<Row> = (0u32..)
            .zip(&view.nodes)
            .filter(|(_, n)| has_room(n))
            .map(|(node, n)| Row {
                node,
                cpu: n.free.cpu_milli,
                memory: n.free.memory,
                own: None,
                kept: None,
                full: false,
                given: n.given,
                link: None,
            })
            .collect();
        let open = rows.len();
        let looked_at = view.nodes.len() as u64 / 16;
        Rooms {
            view,
            outside: &[],
            least,
            most: most(&rows),
            rows,
            own: Vec::new(),
            plans: Plans::default(),
            kept: Vec::new(),
            domains: BTreeMap::new(),
            sets: Vec::new(),
            set_of: BTreeMap::new(),
            draws: 0,
            links: Vec::new(),
            open,
            looked_at,
        }
    }

    /// Whether any node could take even the smallest task.
    pub(crate) fn any_open(&self) -> bool {
        self.open > 0
    }

    /// Whether a node might have room for the first task of a class: no promise that it has.
    pub(crate) fn may_have_room(&self, head: &Head) -> bool {
        head.cpu_milli <= self.most.0 && head.memory <= self.most.1
    }

    /// The nodes of a pool to search for a class.
    pub(crate) fn set(&mut self, pool: PoolId, class: &'v ClassView) -> usize {
        if class.siting.apart_by.is_some() && !self.domains.contains_key(&class.id) {
            self.looked_at += self.view.nodes.len() as u64 / 16;
            self.domains.insert(class.id, self.view.domains(class).collect());
        }
        let needs = Needs::of(self.view, pool, class);
        // Most clusters have few; with many, looking through all of them for each class would be quadratic.
        let first = self.sets.iter().take(SETS_LOOKED_THROUGH).position(|set| set.needs == needs);
        if let Some(set) = first.or_else(|| self.set_of.get(&needs).copied()) {
            return set;
        }
        self.looked_at += self.rows.len() as u64;
        let index = self.sets.len();
        let all = 0..u32::try_from(self.rows.len()).expect("within NODES_MAX");
        let rows: Vec<u32> = all.filter(|row| needs.allow(self.node(&self.rows[*row as usize]))).collect();
        let set = Set::new(self.view, needs.clone(), rows, |row| self.seen(row));
        for (position, row) in set.rows.iter().enumerate() {
            let row = &mut self.rows[*row as usize];
            self.links.push(Link { set: index, position, next: row.link });
            row.link = Some(self.links.len() - 1);
        }
        self.sets.push(set);
        if index >= SETS_LOOKED_THROUGH {
            self.set_of.insert(needs, index);
        }
        index
    }

    /// The node of a set that the pool's placement wants for one task, as a row.
    pub(crate) fn find(&mut self, set: usize, class: &ClassView) -> Option<u32> {
        if self.plans.not_before_ms().is_some() {
            return None;
        }
        self.draws += 1;
        let draw = self.draws ^ self.view.now_ms << 20;
        let set = &self.sets[set];
        let mut looked_at = 1;
        let fits = |position: usize| {
            looked_at += 1;
            let row = &self.rows[set.rows[position] as usize];
            row.kept.is_none() && self.fits(row, class).is_ok()
        };
        let row = set.find(class, draw, fits).map(|position| set.rows[position]);
        self.looked_at += looked_at;
        row
    }

    /// Places one task of a class in a row that [`Rooms::find`] gave.
    pub(crate) fn place(&mut self, class: &'v ClassView, index: u32) {
        let request = &class.request;
        let row = &mut self.rows[index as usize];
        let node = &self.view.nodes[row.node as usize];
        let own = *row.own.get_or_insert_with(|| {
            self.own.push(Own { left: Left::of(node.room()), ends: Vec::new(), apart: Vec::new() });
            u32::try_from(self.own.len() - 1).expect("no more than there are nodes")
        });
        let own = &mut self.own[own as usize];
        let gpus = place_gpus(&own.left.gpu_free, request.gpu_milli).expect("it fits");
        own.left.take(request, &gpus);
        row.cpu = own.left.free.cpu_milli;
        row.memory = own.left.free.memory;
        row.given = GIVEN_NOW + self.draws;
        let full = own.left.alone || !self.least.has_room(row.cpu, row.memory, own.left.running);
        if class.siting.is_apart() {
            own.apart.push(class.id);
        }
        if let Some((domain, taken)) = class.siting.domain(&node.labels).zip(self.domains.get_mut(&class.id))
        {
            taken.insert(domain);
        }
        self.plans.placed(self.view.now_ms, row.node, class, &gpus);
        if class.span.expected_ms().is_some() {
            own.ends.push(OwnEnd { span: class.span, request, gpus });
        }
        if full {
            row.full = true;
            self.open -= 1;
        }
        self.update_sets(index, Some(class.id));
        if self.rows.len() <= MOST_OF_ROWS {
            self.most = most(&self.rows);
        }
    }

    /// Tells the sets of a row that it has changed; by one more task of a class, if so.
    fn update_sets(&mut self, index: u32, class: Option<ClassId>) {
        let mut link = self.rows[index as usize].link;
        // Sets and rows are apart from each other, so that the one may be changed by a look at the other.
        let mut sets = std::mem::take(&mut self.sets);
        while let Some(at) = link {
            let Link { set, position, next } = self.links[at];
            let set = &mut sets[set];
            set.update(position, self.seen(index));
            if let Some(class) = class {
                for fellow in set.spread(position, class) {
                    let row = set.rows[fellow];
                    set.update(fellow, self.seen(row));
                }
            }
            link = next;
        }
        self.sets = sets;
    }

    fn seen(&self, row: u32) -> Seen<'_> {
        let row = &self.rows[row as usize];
        let shut = row.full || row.kept.is_some();
        let outside = self.outside.get(row.node as usize);
        Seen { node: self.node(row), room: self.room(row), given: row.given, outside, shut }
    }

    /// Keeps every node that could ever take a class for one job: nothing more is placed there in this pass.
    pub(crate) fn keep_for(&mut self, job: JobId, class: &ClassView) {
        self.looked_at += self.rows.len() as u64;
        for index in 0..self.rows.len() {
            let node = &self.view.nodes[self.rows[index].node as usize];
            if self.view.could_hold(node, class).is_ok() {
                self.keep_row(job, index);
            }
        }
    }

    /// Keeps some nodes (indexes) for one job.
    pub(crate) fn keep_nodes(&mut self, job: JobId, nodes: &[u32]) {
        for node in nodes {
            if let Ok(index) = self.rows.binary_search_by_key(node, |row| row.node) {
                self.keep_row(job, index);
            }
        }
        self.kept.extend(nodes.iter().map(|node| (*node, job)));
    }

    fn keep_row(&mut self, job: JobId, index: usize) {
        let row = &mut self.rows[index];
        if row.kept.is_none() {
            row.kept = Some(job);
            self.open -= usize::from(!row.full);
            self.update_sets(u32::try_from(index).expect("within NODES_MAX"), None);
        }
    }

    /// The node of a row, as an index into `View::nodes`.
    pub(crate) fn node_of(&self, row: u32) -> u32 {
        self.rows[row as usize].node
    }

    /// Why a node does not take one more such task of a job now, at the end of the pass; `Ok` if it does.
    pub(crate) fn rule(&self, node: &NodeView, class: &ClassView, of: JobId) -> Result<(), Rule> {
        let index = node.id.0.checked_sub(1).expect("nodes count from 1");
        let Ok(row) = self.rows.binary_search_by_key(&index, |row| row.node) else {
            return self.view.fits(node, class);
        };
        let row = &self.rows[row];
        if let Some(job) = row.kept.filter(|job| *job != of) {
            // What would keep it from there anyway says more.
            self.view.could_hold(node, class)?;
            return Err(Rule::ReservedFor(job));
        }
        self.fits(row, class)
    }

    fn node(&self, row: &Row) -> &'v NodeView {
        &self.view.nodes[row.node as usize]
    }

    fn fits(&self, row: &Row, class: &ClassView) -> Result<(), Rule> {
        let node = self.node(row);
        self.view.fits_room(node, self.room(row), class)?;
        if class.siting.is_apart() {
            let placed = row.own.is_some_and(|own| self.own[own as usize].apart.contains(&class.id));
            if placed || node.has(class.id) {
                return Err(Rule::Apart);
            }
            self.apart_by_label(node, class)?;
        }
        self.plans.allow(self.view.now_ms, row.node, class)
    }

    fn apart_by_label(&self, node: &NodeView, class: &ClassView) -> Result<(), Rule> {
        let Some(domain) = class.siting.domain(&node.labels) else { return Ok(()) };
        let taken = match self.domains.get(&class.id) {
            Some(taken) => taken.contains(domain),
            None => self.view.domains(class).any(|taken| taken == domain),
        };
        if taken { Err(class.siting.apart_from(domain)) } else { Ok(()) }
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
}
