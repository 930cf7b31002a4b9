//! Memory of queries: one account for the process, one for each query, so that a greedy query fails alone.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// What all queries of the process hold together.
#[derive(Debug)]
pub(crate) struct ProcessMemory {
    limit: usize,
    used: AtomicUsize,
}

impl ProcessMemory {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicUsize::new(0) })
    }

    /// Bytes held now.
    #[cfg(test)]
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn try_take(&self, bytes: usize) -> Result<()> {
        let taken = self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.limit)
        });
        match taken {
            Ok(_) => Ok(()),
            Err(used) => Err(resources_datafusion_err!(
                "queries hold {used} of {} bytes, {bytes} more were asked for",
                self.limit
            )),
        }
    }

    fn give_back(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The pool of one query: fair between its operators that can spill, bounded by the query's and the process's limit.
pub(crate) struct QueryMemory {
    own: FairSpillPool,
    limit: usize,
    process: Arc<ProcessMemory>,
}

impl QueryMemory {
    pub(crate) fn new(limit: usize, process: Arc<ProcessMemory>) -> Self {
        Self { own: FairSpillPool::new(limit), limit, process }
    }
}

impl MemoryPool for QueryMemory {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.own.grow(reservation, additional);
        self.process.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.process.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.process.try_take(additional)?;
        self.own.try_grow(reservation, additional).inspect_err(|_| self.process.give_back(additional))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit)
    }
}

impl fmt::Debug for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QueryMemory({} of {} bytes)", self.own.reserved(), self.limit)
    }
}

impl fmt::Display for QueryMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(limit: usize, process: &Arc<ProcessMemory>) -> Arc<dyn MemoryPool> {
        Arc::new(QueryMemory::new(limit, process.clone()))
    }

    #[test]
    fn a_query_cannot_take_more_than_its_share() {
        let process = ProcessMemory::new(100);
        let reservation = MemoryConsumer::new("sort").register(&pool(40, &process));
        assert!(reservation.try_grow(41).is_err());
        assert_eq!(process.used(), 0);
        assert!(reservation.try_grow(40).is_ok());
        assert_eq!(process.used(), 40);
        drop(reservation);
        assert_eq!(process.used(), 0);
    }

    #[test]
    fn queries_together_cannot_take_more_than_the_process_has() {
        let process = ProcessMemory::new(100);
        let one = MemoryConsumer::new("sort").register(&pool(80, &process));
        let two = MemoryConsumer::new("sort").register(&pool(80, &process));
        one.try_grow(70).unwrap();
        assert!(two.try_grow(40).is_err());
        two.try_grow(30).unwrap();
    }
}
