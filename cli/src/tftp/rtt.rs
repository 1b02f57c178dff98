//! The retransmission timer for DATA, from the measured round trip (RFC 6298), made for peers that erase flash now and then.

use core::time::Duration;

/// Clock granularity G of RFC 6298; timers of a host are no finer than this.
const GRANULARITY: Duration = Duration::from_millis(5);
const MIN_TIMEOUT: Duration = Duration::from_millis(20);
const MAX_TIMEOUT: Duration = Duration::from_secs(4);
/// RFC 6298 section 2.1, before the first sample.
const FIRST_TIMEOUT: Duration = Duration::from_secs(1);
/// The answer to a request may include an erase; as an estimate of the path it is cut here.
const MAX_REQUEST_SAMPLE: Duration = Duration::from_millis(250);

/// Estimates the round trip.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimator {
    estimate: Option<Estimate>,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: Duration,
    variation: Duration,
    least: Duration,
    /// What follows from the others: it is asked for several times per block, and they change once.
    timeout: Duration,
}

impl Estimator {
    /// Takes the time from the request to its answer.
    pub(crate) fn request_sample(&mut self, sample: Duration) {
        self.sample(sample.min(MAX_REQUEST_SAMPLE));
    }

    /// Takes the time from a block to its acknowledgement; blocks that were sent twice give no sample (Karn's algorithm).
    pub(crate) fn sample(&mut self, sample: Duration) {
        self.estimate = Some(match self.estimate {
            // A sample far below the estimate shows that the estimate was made while the peer was erasing.
            Some(estimate) if sample >= estimate.smoothed / 4 => estimate.updated(sample),
            _ => Estimate::new(sample, sample / 2, sample),
        });
    }

    /// The shortest round trip seen: no answer to something sent later than that ago can be here yet.
    pub(crate) fn least(&self) -> Option<Duration> {
        self.estimate.map(|estimate| estimate.least)
    }

    /// A round trip that only few acknowledgements take longer than.
    pub(crate) fn late(&self) -> Duration {
        self.estimate.map_or(Duration::ZERO, |estimate| {
            estimate.smoothed + estimate.smoothed / 8 + 2 * estimate.variation
        })
    }

    /// The smoothed round trip.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|estimate| estimate.smoothed)
    }

    /// How long to wait for an acknowledgement after `backoff` timeouts in a row.
    pub(crate) fn timeout(&self, backoff: u32) -> Duration {
        let first = self
            .estimate
            .map_or(FIRST_TIMEOUT, |estimate| estimate.timeout);
        match backoff {
            0 => first,
            _ => first.saturating_mul(1 << backoff.min(16)).min(MAX_TIMEOUT),
        }
    }
}

impl Estimate {
    fn new(smoothed: Duration, variation: Duration, least: Duration) -> Self {
        let timeout = smoothed + GRANULARITY.max(4 * variation);
        Self {
            smoothed,
            variation,
            least,
            timeout: timeout.clamp(MIN_TIMEOUT, MAX_TIMEOUT),
        }
    }

    /// RFC 6298 section 2.3, with alpha 1/8 and beta 1/4.
    fn updated(self, sample: Duration) -> Self {
        let variation = (3 * self.variation + self.smoothed.abs_diff(sample)) / 4;
        let smoothed = (7 * self.smoothed + sample) / 8;
        Self::new(smoothed, variation, self.least.min(sample))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn timeout_follows_rfc_6298() {
        let mut rtt = Estimator::default();
        assert_eq!(rtt.timeout(0), ms(1000));
        rtt.sample(ms(100));
        assert_eq!(rtt.timeout(0), ms(300), "srtt + 4 * srtt / 2");
        rtt.sample(ms(100));
        assert_eq!(rtt.timeout(0), ms(250), "variation 37.5 ms");
        assert_eq!(rtt.timeout(1), ms(500));
        assert_eq!(rtt.timeout(60), MAX_TIMEOUT);
    }

    #[test]
    fn timeout_is_never_shorter_than_20_ms() {
        let mut rtt = Estimator::default();
        (0..100).for_each(|_| rtt.sample(Duration::from_micros(50)));
        assert_eq!(rtt.timeout(0), MIN_TIMEOUT);
    }

    #[test]
    fn an_erase_in_the_first_sample_is_forgotten_at_the_next() {
        let mut rtt = Estimator::default();
        rtt.request_sample(ms(1900));
        assert!(rtt.timeout(0) <= ms(750));
        rtt.sample(ms(1));
        assert_eq!(rtt.timeout(0), MIN_TIMEOUT);
        assert_eq!(rtt.least(), Some(ms(1)));
    }
}
