//! Work on all cores: each takes the next item when it has done one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Applies `work` to all items; the results are in no order. After an error no further item is begun, and of several
/// errors that of the first item is told.
pub(super) fn spread<T: Sync, R: Send, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new((Vec::with_capacity(items.len()), Vec::new()));
    let take = || {
        while !failed.load(Ordering::Relaxed)
            && let i = next.fetch_add(1, Ordering::Relaxed)
            && let Some(item) = items.get(i)
        {
            let result = work(item);
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match result {
                Ok(result) => done.0.push(result),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    done.1.push((i, error));
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(take);
        }
    });
    let (results, errors) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    match errors.into_iter().min_by_key(|(i, _)| *i) {
        Some((_, error)) => Err(error),
        None => Ok(results),
    }
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn all_items_are_done_once() {
        let items: Vec<u32> = (0..1_000).collect();
        let mut done = spread(&items, |i| Ok::<u32, ()>(*i)).unwrap();
        done.sort_unstable();
        assert_eq!(done, items);
        assert_eq!(spread(&[] as &[u32], |i| Ok::<u32, ()>(*i)), Ok(vec![]));
    }

    #[test]
    fn the_first_error_is_told() {
        assert_eq!(spread(&[1], |_| Err::<(), _>("no")), Err("no"));
        let items: Vec<u32> = (0..1_000).collect();
        assert!(spread(&items, |i| if *i < 500 { Ok(()) } else { Err(*i) }).is_err_and(|i| i < 510));
    }
}
