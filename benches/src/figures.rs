//! Times of one thing, measured several times.

use std::fmt;

/// Seconds, at least one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    sorted: Vec<f64>,
}

impl Figures {
    /// `None` without a measurement.
    pub fn new(mut seconds: Vec<f64>) -> Option<Self> {
        seconds.sort_by(f64::total_cmp);
        (!seconds.is_empty()).then_some(Self { sorted: seconds })
    }

    /// The middle one; of an even number the upper of the two.
    pub fn median(&self) -> f64 {
        self.sorted.get(self.sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    fn ends(&self) -> (f64, f64) {
        (
            self.sorted.first().copied().unwrap_or(f64::NAN),
            self.sorted.last().copied().unwrap_or(f64::NAN),
        )
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.ends();
        let (unit, factor) = if self.median() < 0.01 { ("us", 1e6) } else { ("ms", 1e3) };
        let [median, least, most] = [self.median(), least, most].map(|seconds| seconds * factor);
        write!(
            f,
            "{median:9.1} {unit}  ({least:.1} to {most:.1}, {} times)",
            self.sorted.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(
            Figures::new(vec![3.0, 1.0, 2.0]).map(|figures| figures.median()),
            Some(2.0)
        );
        assert_eq!(Figures::new(vec![]), None);
    }

    #[test]
    fn short_times_are_told_in_microseconds() {
        let told = Figures::new(vec![0.000_12]).unwrap().to_string();
        assert_eq!(told.trim(), "120.0 us  (120.0 to 120.0, 1 times)");
    }
}
