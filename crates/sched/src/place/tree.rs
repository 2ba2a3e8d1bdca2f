//! The search for the least loaded node that fits, over the nodes that a constraint allows.
//!
//! A tree is binary, over the rows of a set. Each inner node knows the best score below it and the most free cpu and
//! memory, so that a search goes down towards the best score and leaves out whole subtrees that are too small; a
//! placement changes one path.

/// What a search may know of the rows below a point of the tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// The best place in the order of preference; 0 if nothing here takes work.
    rank: u64,
    cpu: u64,
    memory: u64,
}

impl Summary {
    /// A row that takes work. A higher rank is better, and 0 is none; of equals the first goes first.
    pub(crate) fn of(rank: u64, cpu: u64, memory: u64) -> Self {
        Summary { rank, cpu, memory }
    }

    fn and(self, other: Summary) -> Summary {
        Summary {
            rank: self.rank.max(other.rank),
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
        }
    }
}

/// A tree over some rows, by their position in the set.
pub(crate) struct RankTree {
    /// The root is at 1, the children of `i` at `2i` and `2i + 1`, the leaves from `leaves` on.
    points: Vec<Summary>,
    leaves: usize,
}

impl RankTree {
    pub(crate) fn new(rows: impl ExactSizeIterator<Item = Summary>) -> Self {
        let leaves = rows.len().next_power_of_two();
        let mut points = vec![Summary::default(); 2 * leaves];
        for (point, row) in points[leaves..].iter_mut().zip(rows) {
            *point = row;
        }
        for i in (1..leaves).rev() {
            points[i] = points[2 * i].and(points[2 * i + 1]);
        }
        RankTree { points, leaves }
    }

    /// The rank of a row.
    pub(crate) fn rank(&self, position: usize) -> u64 {
        self.points[self.leaves + position].rank
    }

    /// Changes one row.
    pub(crate) fn set(&mut self, position: usize, row: Summary) {
        let mut i = self.leaves + position;
        self.points[i] = row;
        while i > 1 {
            i /= 2;
            self.points[i] = self.points[2 * i].and(self.points[2 * i + 1]);
        }
    }

    /// The row with the best score, the first of equals, among those with so much cpu and memory for which `fits`
    /// holds.
    pub(crate) fn find(&self, cpu: u64, memory: u64, fits: impl FnMut(usize) -> bool) -> Option<usize> {
        let mut search = Search { tree: self, cpu, memory, fits, best: 0, found: None };
        search.below(1);
        search.found
    }
}

/// A search under way.
struct Search<'a, F> {
    tree: &'a RankTree,
    cpu: u64,
    memory: u64,
    fits: F,
    /// The rank of what was found.
    best: u64,
    found: Option<usize>,
}

impl<F: FnMut(usize) -> bool> Search<'_, F> {
    /// The first row below a point.
    fn first(&self, i: usize) -> usize {
        let levels = self.tree.leaves.ilog2() - i.ilog2();
        (i << levels) - self.tree.leaves
    }

    /// Looks below a point, towards the better rank first: what is found there mostly rules the rest out.
    fn below(&mut self, i: usize) {
        let here = self.tree.points[i];
        let worse = match self.found {
            None => here.rank == 0,
            Some(found) => here.rank < self.best || (here.rank == self.best && self.first(i) > found),
        };
        if worse || here.cpu < self.cpu || here.memory < self.memory {
            return;
        }
        if let Some(position) = i.checked_sub(self.tree.leaves) {
            if (self.fits)(position) {
                self.best = here.rank;
                self.found = Some(position);
            }
            return;
        }
        let (left, right) = (2 * i, 2 * i + 1);
        let left_first = self.tree.points[left].rank >= self.tree.points[right].rank;
        let (first, second) = if left_first { (left, right) } else { (right, left) };
        self.below(first);
        self.below(second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (u32, u64, u64);

    /// A row with score 0 takes no work.
    fn summary((score, cpu, memory): Row) -> Summary {
        match score {
            0 => Summary::default(),
            _ => Summary::of(u64::from(score), cpu, memory),
        }
    }

    proptest! {
        /// The search finds what looking at every row would find.
        #[test]
        fn finds_the_best(
            mut rows in prop::collection::vec((0u32..5, 0u64..5, 0u64..5), 0..40),
            changes in prop::collection::vec((0usize..40, (0u32..5, 0u64..5, 0u64..5)), 0..10),
            cpu in 0u64..5,
            memory in 0u64..5,
            odd in any::<bool>(),
        ) {
            let summaries: Vec<_> = rows.iter().map(|row| summary(*row)).collect();
            let mut tree = RankTree::new(summaries.into_iter());
            for (position, change) in changes {
                if position < rows.len() {
                    rows[position] = change;
                    tree.set(position, summary(change));
                }
            }
            let fits = |i: usize| !odd || i % 2 == 1;
            let wanted = (0..rows.len())
                .filter(|&i| rows[i].0 > 0 && rows[i].1 >= cpu && rows[i].2 >= memory && fits(i))
                .min_by_key(|&i| (std::cmp::Reverse(rows[i].0), i));
            prop_assert_eq!(tree.find(cpu, memory, fits), wanted);
        }
    }
}
