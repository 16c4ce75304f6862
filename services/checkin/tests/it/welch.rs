//! Whether two ways to the same answer take the same time: Welch's t over interleaved samples, their tails cut off at
//! one and the same time for all (dudect, Reparaz et al. 2017).

/// Above this the two differ: one run in 100,000 without a difference reaches it.
pub(crate) const LIMIT: f64 = 4.5;

/// Of each class's samples, what lies below the time that so many of all samples lie below.
fn cropped(classes: &[Vec<f64>], share: f64) -> Vec<Vec<f64>> {
    let mut all: Vec<f64> = classes.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let edge = all[((all.len() - 1) as f64 * share) as usize];
    classes.iter().map(|class| class.iter().copied().filter(|time| *time <= edge).collect()).collect()
}

fn mean_and_error(samples: &[f64]) -> (f64, f64) {
    let count = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / count;
    let variance = samples.iter().map(|sample| (sample - mean).powi(2)).sum::<f64>() / (count - 1.0);
    (mean, variance / count)
}

/// The greatest |t| between the first class and any other. A class of which nothing is left is as far as can be.
pub(crate) fn t_max(classes: &[Vec<f64>], share: f64) -> f64 {
    let cropped = cropped(classes, share);
    if cropped.iter().any(|class| class.len() < 2) {
        return f64::INFINITY;
    }
    let (mean, error) = mean_and_error(&cropped[0]);
    let others = cropped[1..].iter().map(|class| mean_and_error(class));
    others.map(|(other, its)| ((mean - other) / (error + its).sqrt()).abs()).fold(0.0, f64::max)
}

#[test]
fn the_statistic_sees_a_shift_and_no_more_than_there_is() {
    // Two interleaved halves of the same numbers, and the same shifted by a tenth of their spread.
    let class = |offset: u32| -> Vec<f64> {
        (0..2_000_u32).map(|n| f64::from((n * 2 + offset).wrapping_mul(2_654_435_761) >> 16)).collect()
    };
    let (one, other) = (class(0), class(1));
    let spread = 65_536.0 / 12_f64.sqrt();
    assert!(t_max(&[one.clone(), other.clone()], 1.0) < LIMIT);
    let shifted: Vec<f64> = other.iter().map(|time| time + spread * 0.2).collect();
    assert!(t_max(&[one.clone(), shifted], 1.0) > LIMIT);
    // One class that is all in the tail is seen too.
    assert!(t_max(&[one.clone(), one.iter().map(|time| time + 1e9).collect()], 0.4).is_infinite());
}
