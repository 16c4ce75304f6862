//! Degrees to metres on one flat sheet per venue, and the little geometry that directions need.
//!
//! A venue is a few hundred metres wide: an equirectangular sheet around its middle is off by less than one
//! part in ten thousand there, and straight lines on it obey the triangle inequality exactly, which the search
//! relies on.

/// Metres per degree of latitude on a sphere of the mean earth radius (6,371,008.8 m, IUGG).
const METRES_PER_DEGREE: f64 = 6_371_008.8 * std::f64::consts::PI / 180.0;

/// A point on the sheet, in metres east and north of the venue's middle.
pub(crate) type Point = [f64; 2];

/// The sheet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane {
    lon: f64,
    lat: f64,
    metres_per_degree_east: f64,
}

impl Plane {
    /// A sheet around the middle of all points; around 0, 0 where there are none.
    pub(crate) fn around(points: impl Iterator<Item = (f64, f64)>) -> Self {
        let (mut low, mut high) = ([f64::MAX; 2], [f64::MIN; 2]);
        for (lon, lat) in points {
            low = [low[0].min(lon), low[1].min(lat)];
            high = [high[0].max(lon), high[1].max(lat)];
        }
        let middle =
            |axis: usize| if low[axis] > high[axis] { 0.0 } else { f64::midpoint(low[axis], high[axis]) };
        let (lon, lat) = (middle(0), middle(1));
        Self { lon, lat, metres_per_degree_east: METRES_PER_DEGREE * lat.to_radians().cos().max(0.01) }
    }

    /// Where a longitude and latitude lie on the sheet.
    pub(crate) fn place(&self, lon: f64, lat: f64) -> Point {
        [(lon - self.lon) * self.metres_per_degree_east, (lat - self.lat) * METRES_PER_DEGREE]
    }

    /// The length of a line, in metres.
    pub(crate) fn length(&self, shape: &[[f64; 2]]) -> f64 {
        shape
            .windows(2)
            .map(|pair| distance(self.place(pair[0][0], pair[0][1]), self.place(pair[1][0], pair[1][1])))
            .sum()
    }
}

/// Metres between two points.
pub(crate) fn distance(a: Point, b: Point) -> f64 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The bearing from `a` to `b` in degrees clockwise from north, or none where they are closer than 0.3 m:
/// the rounding of a survey has no direction.
pub(crate) fn bearing(a: Point, b: Point) -> Option<f64> {
    (distance(a, b) >= 0.3).then(|| (b[0] - a[0]).atan2(b[1] - a[1]).to_degrees().rem_euclid(360.0))
}

/// The turn from one bearing to another, in degrees: positive is to the right, within (-180, 180].
pub(crate) fn turn(from: f64, to: f64) -> f64 {
    let turn = (to - from).rem_euclid(360.0);
    if turn > 180.0 { turn - 360.0 } else { turn }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bearings_are_clockwise_from_north_and_turns_to_the_right_are_positive() {
        assert_eq!(bearing([0.0, 0.0], [0.0, 5.0]), Some(0.0));
        assert_eq!(bearing([0.0, 0.0], [5.0, 0.0]), Some(90.0));
        assert_eq!(bearing([0.0, 0.0], [0.0, 0.1]), None);
        assert!((turn(350.0, 20.0) - 30.0).abs() < 1e-9);
        assert!((turn(20.0, 350.0) + 30.0).abs() < 1e-9);
    }

    #[test]
    fn a_hundredth_of_a_degree_of_latitude_is_about_1112_metres() {
        let plane = Plane::around([(139.6, 35.5), (139.61, 35.51)].into_iter());
        assert!((plane.length(&[[139.6, 35.5], [139.6, 35.51]]) - 1111.95).abs() < 0.1);
        assert!((plane.length(&[[139.6, 35.5], [139.61, 35.5]]) - 905.2).abs() < 0.5);
    }
}
