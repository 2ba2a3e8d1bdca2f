//! A sorted set of which there are very many, and which mostly has one element: that one needs no memory of its own.

use std::ops::{Bound, RangeBounds};

/// A sorted set. Copying it is cheap however large it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallSet<T: Ord + Clone>(Elements<T>);

/// Two sets with the same elements are kept in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Elements<T: Ord + Clone> {
    None,
    One(T),
    /// Two at least.
    Many(imbl::OrdSet<T>),
}

impl<T: Ord + Clone> Default for SmallSet<T> {
    fn default() -> Self {
        SmallSet(Elements::None)
    }
}

impl<T: Ord + Clone> SmallSet<T> {
    /// Adds an element.
    pub fn insert(&mut self, new: T) {
        match &mut self.0 {
            Elements::None => self.0 = Elements::One(new),
            Elements::One(there) if *there == new => {}
            Elements::One(there) => self.0 = Elements::Many([there.clone(), new].into_iter().collect()),
            Elements::Many(all) => drop(all.insert(new)),
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, old: &T) {
        match &mut self.0 {
            Elements::One(there) if there == old => self.0 = Elements::None,
            Elements::None | Elements::One(_) => {}
            Elements::Many(all) => {
                all.remove(old);
                if all.len() == 1 {
                    self.0 = all.get_min().cloned().map_or(Elements::None, Elements::One);
                }
            }
        }
    }

    /// The first.
    #[inline]
    pub fn get_min(&self) -> Option<&T> {
        match &self.0 {
            Elements::None => None,
            Elements::One(there) => Some(there),
            Elements::Many(all) => all.get_min(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Elements::None)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Elements::None => 0,
            Elements::One(_) => 1,
            Elements::Many(all) => all.len(),
        }
    }

    /// All of them in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.after(Bound::Unbounded)
    }

    /// Those beyond a bound, in order.
    pub fn after(&self, from: Bound<T>) -> impl Iterator<Item = &T> {
        let (one, many) = match &self.0 {
            Elements::None => (None, None),
            Elements::One(there) => {
                (Some(there).filter(|there| (from, Bound::Unbounded).contains(*there)), None)
            }
            Elements::Many(all) => (None, Some(all.range((from, Bound::Unbounded)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl<T: Ord + Clone> FromIterator<T> for SmallSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = SmallSet::default();
        items.into_iter().for_each(|item| few.insert(item));
        few
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        /// It is a set, whatever its size, and equal sets are equal however they came about.
        #[test]
        fn is_a_sorted_set(changes in prop::collection::vec((any::<bool>(), 0u8..5), 0..30), from in 0u8..6) {
            let (mut few, mut set) = (SmallSet::default(), BTreeSet::new());
            for (insert, item) in changes {
                if insert {
                    few.insert(item);
                    set.insert(item);
                } else {
                    few.remove(&item);
                    set.remove(&item);
                }
                prop_assert_eq!(few.len(), set.len());
                prop_assert_eq!(few.is_empty(), set.is_empty());
                prop_assert_eq!(few.get_min(), set.first());
                prop_assert!(few.iter().eq(set.iter()));
                prop_assert!(few.after(Bound::Excluded(from)).eq(set.range((Bound::Excluded(from), Bound::Unbounded))));
                prop_assert_eq!(&few, &set.iter().copied().collect::<SmallSet<u8>>());
            }
        }
    }
}
