//! Rows by dense id. The arithmetic between an id and its place is here and nowhere else.

use crate::{AccountId, ClassId, NodeId, PartyId, PoolId, QueueId};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Index, IndexMut};

/// An id that counts up without gaps, so that it is a place in a [`IdTable`].
pub trait DenseId: Copy {
    /// The first one.
    const FIRST: u32;

    /// The id of a number.
    fn of(number: u32) -> Self;

    /// Its number.
    fn number(self) -> u32;

    /// The id of what is at this place.
    fn at(place: usize) -> Self {
        Self::of(u32::try_from(place).expect("limits keep tables below 2^32 rows") + Self::FIRST)
    }

    /// The place of what has this id. `None` for an id below the first, which stands for nothing.
    fn place(self) -> Option<usize> {
        self.number().checked_sub(Self::FIRST).map(|place| place as usize)
    }
}

macro_rules! dense {
    ($($id:ident from $first:literal),*) => {$(
        impl DenseId for $id {
            const FIRST: u32 = $first;

            fn of(number: u32) -> Self {
                $id(number)
            }

            fn number(self) -> u32 {
                self.0
            }
        }
    )*};
}

dense!(NodeId from 1, QueueId from 1, PoolId from 1, AccountId from 1, PartyId from 1, ClassId from 0);

/// Rows in order of their ids. By id where one is at hand; as a slice for whoever walks over all of them by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTable<I, T> {
    rows: Vec<T>,
    id: PhantomData<I>,
}

impl<I, T> Default for IdTable<I, T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<I, T> From<Vec<T>> for IdTable<I, T> {
    fn from(rows: Vec<T>) -> Self {
        IdTable { rows, id: PhantomData }
    }
}

impl<I, T> FromIterator<T> for IdTable<I, T> {
    fn from_iter<R: IntoIterator<Item = T>>(rows: R) -> Self {
        Vec::from_iter(rows).into()
    }
}

impl<I: DenseId, T> IdTable<I, T> {
    /// The row of an id.
    pub fn get(&self, id: I) -> Option<&T> {
        self.rows.get(id.place()?)
    }

    /// The row of an id, to change it.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.rows.get_mut(id.place()?)
    }

    /// Adds the next row, and says its id.
    pub fn push(&mut self, row: T) -> I {
        self.rows.push(row);
        I::at(self.rows.len() - 1)
    }

    /// The id that the next row will have.
    pub fn next_id(&self) -> I {
        I::at(self.rows.len())
    }
}

impl<I: DenseId, T> Index<I> for IdTable<I, T> {
    type Output = T;

    fn index(&self, id: I) -> &T {
        self.get(id).expect("an id is of a row")
    }
}

impl<I: DenseId, T> IndexMut<I> for IdTable<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        self.get_mut(id).expect("an id is of a row")
    }
}

impl<I, T> Index<usize> for IdTable<I, T> {
    type Output = T;

    fn index(&self, place: usize) -> &T {
        &self.rows[place]
    }
}

impl<I, T> IndexMut<usize> for IdTable<I, T> {
    fn index_mut(&mut self, place: usize) -> &mut T {
        &mut self.rows[place]
    }
}

impl<I, T> Deref for IdTable<I, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.rows
    }
}

impl<I, T> DerefMut for IdTable<I, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.rows
    }
}

impl<'a, I, T> IntoIterator for &'a IdTable<I, T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl<'a, I, T> IntoIterator for &'a mut IdTable<I, T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_their_first() {
        let mut nodes = IdTable::<NodeId, &str>::default();
        assert_eq!((nodes.push("a"), nodes.push("b"), nodes.next_id()), (NodeId(1), NodeId(2), NodeId(3)));
        assert_eq!(
            (nodes[NodeId(2)], nodes[1], nodes.get(NodeId(0)), nodes.get(NodeId(3))),
            ("b", "b", None, None)
        );
        let mut classes = IdTable::<ClassId, &str>::default();
        assert_eq!((classes.push("x"), classes[ClassId(0)]), (ClassId(0), "x"));
    }
}
