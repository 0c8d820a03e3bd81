//! Medians and what lies around them.

use std::time::Duration;

/// Measurements of one quantity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn push_span(&mut self, span: Duration) {
        self.push(span.as_secs_f64() * 1e6);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this share of the measurements lies.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        sorted
            .get((last * share).round() as usize)
            .copied()
            .unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The middle four fifths, as words: `812–1022`.
    pub(crate) fn spread(&self) -> String {
        format!("{:.0}–{:.0}", self.quantile(0.1), self.quantile(0.9))
    }

    /// The ratio of the medians, and the ratios of neighbours in time: what both met in one moment
    /// of the machine.
    pub(crate) fn ratio(&self, peer: &Sample) -> Ratio {
        let pairs = self
            .0
            .iter()
            .zip(&peer.0)
            .map(|(own, other)| own / other)
            .collect();
        Ratio {
            of_medians: self.median() / peer.median(),
            pairs: Sample(pairs),
        }
    }
}

/// One side against another.
#[derive(Debug, Clone)]
pub(crate) struct Ratio {
    /// Median by median.
    pub(crate) of_medians: f64,
    pairs: Sample,
}

impl Ratio {
    /// The middle four fifths of the ratios of neighbours.
    pub(crate) fn spread(&self) -> String {
        format!(
            "{:.2}–{:.2}",
            self.pairs.quantile(0.1),
            self.pairs.quantile(0.9)
        )
    }

    /// A line of PROMISES.md.
    pub(crate) fn promise(&self, text: &str, most: f64, command: &str) -> String {
        line(
            text,
            &format!("{:.2}", self.of_medians),
            &self.spread(),
            command,
            self.of_medians <= most,
        )
    }
}

/// A line of PROMISES.md: promise, measured, spread, command, state.
pub(crate) fn line(text: &str, measured: &str, spread: &str, command: &str, met: bool) -> String {
    let state = if met { "met" } else { "missed" };
    format!("| {text} | {measured} | {spread} | `{command}` | {state} |")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_ratios() {
        let sample = |values: &[f64]| Sample(values.to_vec());
        assert_eq!(sample(&[3.0, 1.0, 2.0]).median(), 2.0);
        let ratio = sample(&[1.0, 2.0, 3.0]).ratio(&sample(&[2.0, 4.0, 6.0]));
        assert_eq!(ratio.of_medians, 0.5);
        assert_eq!(ratio.spread(), "0.50–0.50");
        assert!(ratio.promise("x", 0.45, "c").ends_with("missed |"));
        assert!(sample(&[]).median().is_nan());
    }
}
