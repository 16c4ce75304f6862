//! What was found a moment ago, at hand: one read of a slot that is swapped whole, and one comparison. It stands before
//! a cache that is bounded and fills itself once for all who wait, and never says what that would not: a find ends when
//! it would end there, and with everything else when the database says that something changed.

use std::{
    hash::{BuildHasher, Hash},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use foldhash::fast::RandomState;

/// Slots, 32 KiB of them. Two finds that share both of theirs take turns, and are asked of the cache behind.
const SLOTS: usize = 4_096;

/// Milliseconds of a clock that only goes forward, as of the kernel's last tick: at most some ten behind, and a fourth of
/// the price of the precise one, of which a check-in would read two here.
#[cfg(target_os = "linux")]
fn now_ms() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec * 1_000 + now.tv_nsec / 1_000_000
}

/// Where there is no such clock.
#[cfg(not(target_os = "linux"))]
fn now_ms() -> i64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    let passed = START.get_or_init(std::time::Instant::now).elapsed();
    i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
}

/// Until when a find holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holds {
    until_ms: i64,
    /// The era in which the database was asked: what changed meanwhile began another.
    era: u64,
}

struct Find<K, V> {
    key: K,
    value: V,
    holds: Holds,
}

/// The slots.
pub(crate) struct Shelf<K, V> {
    slots: Box<[ArcSwapOption<Find<K, V>>]>,
    hashing: RandomState,
    era: AtomicU64,
}

impl<K: Hash, V: Clone> Shelf<K, V> {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| ArcSwapOption::empty()).collect(),
            hashing: RandomState::default(),
            era: AtomicU64::new(0),
        }
    }

    /// How long a find will hold that is asked for now. To be called before the database is.
    pub(crate) fn asking(&self, ttl: Duration) -> Holds {
        let era = self.era.load(Ordering::Acquire);
        let ttl_ms = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        Holds { until_ms: now_ms().saturating_add(ttl_ms), era }
    }

    /// Drops everything, also what is still being looked up.
    pub(crate) fn forget(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
    }

    /// The find of a key, which may be borrowed: it must hash as `K` does.
    pub(crate) fn get(&self, hashed: &impl Hash, is: impl Fn(&K) -> bool) -> Option<V> {
        let era = self.era.load(Ordering::Acquire);
        self.slots_of(hashed).into_iter().find_map(|slot| {
            let find = slot.load();
            let find = find.as_ref().filter(|find| find.holds.era == era && is(&find.key))?;
            (now_ms() < find.holds.until_ms).then(|| find.value.clone())
        })
    }

    /// Puts a find where [`get`](Self::get) sees it: into the first of its slots that holds nothing any more, else into
    /// the second.
    pub(crate) fn put(&self, key: K, value: V, holds: Holds) {
        let (now, era) = (now_ms(), self.era.load(Ordering::Acquire));
        if holds.era != era || holds.until_ms <= now {
            return;
        }
        let [first, second] = self.slots_of(&key);
        let taken =
            first.load().as_ref().is_some_and(|there| there.holds.era == era && now < there.holds.until_ms);
        let slot = if taken { second } else { first };
        slot.store(Some(Arc::new(Find { key, value, holds })));
    }

    fn slots_of(&self, hashed: &impl Hash) -> [&ArcSwapOption<Find<K, V>>; 2] {
        let hash = self.hashing.hash_one(hashed);
        [hash, hash >> 32].map(|part| &self.slots[part as usize % SLOTS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn at(shelf: &Shelf<u32, u32>, key: u32) -> Option<u32> {
        shelf.get(&key, |there| *there == key)
    }

    #[test]
    fn a_find_is_there_until_its_time_is_over() {
        let shelf = Shelf::new();
        let holds = shelf.asking(Duration::from_millis(200));
        shelf.put(1, 10, holds);
        let found = at(&shelf, 1);
        // Read after the shelf has looked: whatever a busy machine does, it may only have found while it held.
        assert!(found == Some(10) || now_ms() >= holds.until_ms);
        assert_eq!(at(&shelf, 2), None);
        while now_ms() < holds.until_ms {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(at(&shelf, 1), None);
        // What is over is not put back by whoever still has it from the cache.
        shelf.put(1, 10, holds);
        assert_eq!(at(&shelf, 1), None);
    }

    #[test]
    fn what_was_asked_for_before_a_change_is_not_found_after_it() {
        let shelf = Shelf::new();
        let before = shelf.asking(LONG);
        shelf.put(1, 10, before);
        assert_eq!(at(&shelf, 1), Some(10));
        shelf.forget();
        assert_eq!(at(&shelf, 1), None);
        // The answer was under way while the change came.
        shelf.put(1, 10, before);
        assert_eq!(at(&shelf, 1), None);
        shelf.put(1, 11, shelf.asking(LONG));
        assert_eq!(at(&shelf, 1), Some(11));
    }

    #[test]
    fn more_finds_than_slots_take_turns_and_none_is_taken_for_another() {
        let shelf = Shelf::new();
        let many = u32::try_from(SLOTS).unwrap() * 4;
        for key in 0..many {
            shelf.put(key, key * 10, shelf.asking(LONG));
            assert_eq!(at(&shelf, key), Some(key * 10), "the newest is at hand");
        }
        let found: Vec<u32> =
            (0..many).filter_map(|key| at(&shelf, key).inspect(|v| assert_eq!(*v, key * 10))).collect();
        assert!((1..=SLOTS).contains(&found.len()), "{}", found.len());
    }

    #[test]
    fn threads_that_find_put_and_forget_never_see_what_an_older_era_knew() {
        let (shelf, truth) = (Shelf::new(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..50_000 {
                        // A change is heard after it was made: what was true before this look may not be less now.
                        let heard = shelf.era.load(Ordering::Acquire);
                        if let Some(found) = shelf.get(&1, |key| *key == 1) {
                            assert!(found >= heard, "{found} of era {heard}");
                        } else {
                            let holds = shelf.asking(LONG);
                            shelf.put(1, truth.load(Ordering::Acquire), holds);
                        }
                    }
                });
            }
            for era in 1..=1_000 {
                truth.store(era, Ordering::Release);
                shelf.forget();
                std::thread::yield_now();
            }
        });
    }
}
