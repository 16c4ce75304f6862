//! Load that does not wait for answers: each request is sent when it is due and timed from then, so that a service that
//! stalls is not spared the requests that would have come meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Answers are waited for so long after the last request was sent.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(12);

/// One request of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shot {
    /// When it was due, since the load began.
    pub due: Duration,
    /// From then to the end of its answer.
    pub took: Duration,
    /// The status; 0 where no answer came.
    pub status: u16,
}

impl Shot {
    /// When it was answered, since the load began.
    pub fn ended(&self) -> Duration {
        self.due + self.took
    }
}

/// What became of a load, by when each request was due.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Every request.
    pub shots: Vec<Shot>,
}

impl Load {
    /// So many requests a second for so long, each due at its own time. `shoot` sends the request of a number and
    /// answers its status, 0 where none came.
    pub async fn open<F, Fut>(rate: f64, lasting: Duration, shoot: F) -> Self
    where
        F: Fn(usize) -> Fut,
        Fut: Future<Output = u16> + Send + 'static,
    {
        let began = Instant::now();
        let mut under_way = JoinSet::new();
        for n in 0.. {
            let due = Duration::from_secs_f64(n as f64 / rate);
            if due >= lasting {
                break;
            }
            sleep_until(began + due).await;
            let sending = shoot(n);
            under_way.spawn(async move {
                let status = sending.await;
                Shot { due, took: began.elapsed().saturating_sub(due), status }
            });
        }
        let mut shots = Vec::new();
        let all = async {
            while let Some(shot) = under_way.join_next().await {
                shots.push(shot.expect("a request does not panic"));
            }
        };
        let answered = tokio::time::timeout(LAST_ANSWERS_WITHIN, all).await;
        assert!(
            answered.is_ok(),
            "requests without any answer {LAST_ANSWERS_WITHIN:?} after the last was sent"
        );
        shots.sort_by_key(|shot| shot.due);
        Self { shots }
    }

    /// So many clients for so long, each sending when it has its answer.
    pub async fn closed<F, Fut>(clients: usize, lasting: Duration, shoot: F) -> Self
    where
        F: Fn(usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = u16> + Send,
    {
        let (began, shoot) = (Instant::now(), Arc::new(shoot));
        let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let mut crowd = JoinSet::new();
        for _ in 0..clients {
            let (shoot, next) = (Arc::clone(&shoot), Arc::clone(&next));
            crowd.spawn(async move {
                let mut shots = Vec::new();
                while began.elapsed() < lasting {
                    let due = began.elapsed();
                    let status = shoot(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).await;
                    shots.push(Shot { due, took: began.elapsed().saturating_sub(due), status });
                }
                shots
            });
        }
        let mut shots: Vec<Shot> = crowd.join_all().await.into_iter().flatten().collect();
        shots.sort_by_key(|shot| shot.due);
        Self { shots }
    }

    /// Only the requests that are meant.
    #[must_use]
    pub fn only(&self, meant: impl Fn(&Shot) -> bool) -> Self {
        Self { shots: self.shots.iter().copied().filter(|shot| meant(shot)).collect() }
    }

    /// Only those with this status.
    #[must_use]
    pub fn answered(&self, status: u16) -> Self {
        self.only(|shot| shot.status == status)
    }

    /// Only those that were due then, since the load began.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Self {
        self.only(|shot| shot.due >= from && shot.due < to)
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.shots.len()
    }

    /// The time that a share of the answers took at most; none where there are none.
    pub fn took(&self, share: f64) -> Duration {
        let mut took: Vec<Duration> = self.shots.iter().map(|shot| shot.took).collect();
        took.sort_unstable();
        let rank = (took.len() as f64 * share).ceil() as usize;
        took.get(rank.clamp(1, took.len().max(1)) - 1).copied().unwrap_or_default()
    }

    /// Statuses and how often, for a message.
    pub fn statuses(&self) -> std::collections::BTreeMap<u16, usize> {
        self.shots.iter().fold(std::collections::BTreeMap::new(), |mut counts, shot| {
            *counts.entry(shot.status).or_default() += 1;
            counts
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stall_is_felt_by_everybody_who_was_due_in_it() {
        let began = Instant::now();
        let (from, to) = (Duration::from_millis(100), Duration::from_millis(300));
        // The service stands still meanwhile.
        let load = Load::open(100.0, Duration::from_millis(400), |_| async move {
            if (from..to).contains(&began.elapsed()) {
                sleep_until(began + to).await;
            }
            201
        })
        .await;
        assert_eq!((load.count(), load.answered(201).count()), (40, 40));
        let felt = load.only(|shot| shot.took >= Duration::from_millis(20) && shot.due < to);
        assert!(felt.count() >= 15, "{}", felt.count());
        assert!(load.took(1.0) >= Duration::from_millis(150), "{:?}", load.took(1.0));
    }
}
