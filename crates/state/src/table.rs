//! Rows by dense id that are cheap to copy: a snapshot shares them with the state that goes on. [`taskyard_model::Table`] is the plain one.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};
use taskyard_model::DenseId;

#[derive(Clone, Debug)]
pub(crate) struct SharedTable<I, T: Clone> {
    rows: imbl::Vector<T>,
    id: PhantomData<I>,
}

impl<I, T: Clone> Default for SharedTable<I, T> {
    fn default() -> Self {
        SharedTable { rows: imbl::Vector::new(), id: PhantomData }
    }
}

impl<I: DenseId, T: Clone> SharedTable<I, T> {
    /// A table with one row.
    pub(crate) fn unit(row: T) -> Self {
        SharedTable { rows: imbl::Vector::unit(row), id: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The id that the next row will have.
    pub(crate) fn next_id(&self) -> I {
        I::at(self.rows.len())
    }

    pub(crate) fn get(&self, id: I) -> Option<&T> {
        self.rows.get(id.place()?)
    }

    pub(crate) fn get_mut(&mut self, id: I) -> Option<&mut T> {
        self.rows.get_mut(id.place()?)
    }

    /// Adds the next row, and says its id.
    pub(crate) fn push(&mut self, row: T) -> I {
        self.rows.push_back(row);
        I::at(self.rows.len() - 1)
    }

    /// Replaces the row of an id, or adds it as the next one.
    pub(crate) fn put(&mut self, id: I, row: T) {
        match self.get_mut(id) {
            Some(there) => *there = row,
            None => self.rows.push_back(row),
        }
    }

    pub(crate) fn iter(&self) -> imbl::vector::Iter<'_, T, imbl::shared_ptr::DefaultSharedPtr> {
        self.rows.iter()
    }

    /// All ids, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = I> + use<I, T> {
        (0..self.rows.len()).map(I::at)
    }

    /// The id of the first row that is wanted.
    pub(crate) fn find(&self, wanted: impl FnMut(&T) -> bool) -> Option<I> {
        self.rows.iter().position(wanted).map(I::at)
    }
}

impl<I: DenseId, T: Clone> Index<I> for SharedTable<I, T> {
    type Output = T;

    fn index(&self, id: I) -> &T {
        self.get(id).expect("an id is of a row")
    }
}

impl<I: DenseId, T: Clone> IndexMut<I> for SharedTable<I, T> {
    fn index_mut(&mut self, id: I) -> &mut T {
        self.get_mut(id).expect("an id is of a row")
    }
}
