//! Random numbers that never change: the same seed gives the same numbers on every machine and in every
//! version.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA
//! 2014), which is a page of code, passes the usual batteries of tests, and can be begun anywhere: each
//! purpose has a sequence of its own, so that asking for more numbers for one leaves the others as they were.
//!
//! The logarithm and the exponential are written out, too. Those of the standard library are the platform's,
//! and may differ in the last place from one to the next, where these use nothing but operations that IEEE
//! 754 defines to the bit. They are within two units in the last place of the true value on what the
//! laboratory asks of them.

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

/// The golden ratio's bits, by which the state moves on.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    /// The sequence of a seed.
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// A sequence of its own for each purpose and seed.
    pub(super) fn of(seed: u64, purpose: u64) -> Random {
        let seed = Random(seed).next();
        Random(Random(seed ^ purpose).next())
    }

    /// The next 64 bits.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to just below `n`, each about equally often: to one part in 2⁶⁴ / `n`.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number above 0 and up to 1: the multiples of 2⁻⁵³ there, each equally often.
    pub(super) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// A number with the standard normal distribution, by Marsaglia's polar method. Takes two numbers or
    /// more.
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let s = x * x + y * y;
            if s > 0.0 && s < 1.0 {
                return x * (-2.0 * ln(s) / s).sqrt();
            }
        }
    }

    /// A number with the lognormal distribution of this median, whose logarithm has the standard deviation
    /// `sigma`.
    pub(super) fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        median * exp(sigma * self.normal())
    }

    /// A number with the Pareto distribution: at least `least`, and above `x` with the probability (least /
    /// x) ^ alpha.
    pub(super) fn pareto(&mut self, least: f64, alpha: f64) -> f64 {
        least * exp(-ln(self.unit()) / alpha)
    }
}

/// The natural logarithm in two parts, the first with zeros at its end so that small multiples of it are
/// exact.
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// The natural logarithm of a positive and normal number.
pub(super) fn ln(x: f64) -> f64 {
    // x = m * 2^e, with m between the roots of 1/2 and of 2.
    let bits = x.to_bits();
    let mut e = (bits >> 52) as i64 - 1023;
    let mut m = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if m > std::f64::consts::SQRT_2 {
        (m, e) = (m / 2.0, e + 1);
    }
    // ln m = 2 artanh s = 2 (s + s^3 / 3 + s^5 / 5 + ...), and s is below 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let series = (1..=11).rev().fold(0.0, |sum, n| (sum + 1.0 / f64::from(2 * n + 1)) * square);
    let e = e as f64;
    e * LN_2_HIGH + (2.0 * s + (2.0 * s * series + e * LN_2_LOW))
}

/// The exponential. Beyond 700 either way it is as of 700, which is more than anything here is.
pub(super) fn exp(x: f64) -> f64 {
    // x = k ln 2 + r, and r is at most half of ln 2.
    let x = x.clamp(-700.0, 700.0);
    let k = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let series = (1..=14).rev().fold(1.0, |sum, n| 1.0 + sum * r / f64::from(n));
    series * f64::from_bits(((1023 + k as i64) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As published with other implementations of SplitMix64.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let expected = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(expected.map(|_| random.next()), expected);
        let mut random = Random::new(0);
        let expected = [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f];
        assert_eq!(expected.map(|_| random.next()), expected);
    }

    proptest! {
        #[test]
        fn ln_and_exp_are_exact_to_the_last_places(x in -700.0..700.0f64, s in 0.0..1.0f64, e in -200..200i32) {
            prop_assert!((exp(x) / x.exp() - 1.0).abs() < 5e-16, "exp {x}");
            let y = (s + 0.5) * 2f64.powi(e);
            prop_assert!((ln(y) - y.ln()).abs() <= 5e-16 * y.ln().abs().max(1e-3), "ln {y}");
        }
    }

    #[test]
    fn known_values() {
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
        assert_eq!(ln(2.0), std::f64::consts::LN_2);
        assert!((exp(1.0) / std::f64::consts::E - 1.0).abs() < 5e-16);
        assert!(exp(1e9).is_finite() && exp(-1e9) > 0.0);
    }

    /// The share of `n` draws of which `of` is true.
    fn share(n: u32, seed: u64, mut of: impl FnMut(&mut Random) -> bool) -> f64 {
        let mut random = Random::new(seed);
        f64::from((0..n).filter(|_| of(&mut random)).count() as u32) / f64::from(n)
    }

    fn assert_near(is: f64, should: f64, within: f64) {
        assert!((is - should).abs() < within, "{is}, not {should}");
    }

    #[test]
    fn distributions_have_their_quantiles() {
        const N: u32 = 200_000;
        for seed in [1, 2, 3] {
            let near = |is, should| assert_near(is, should, 0.005);
            near(share(N, seed, |random| random.below(10) < 3), 0.3);
            near(share(N, seed, |random| random.unit() <= 0.25), 0.25);
            near(share(N, seed, |random| random.normal() < -1.0), 0.158_655);
            near(share(N, seed, |random| random.normal() < 1.959_964), 0.975);
            near(share(N, seed, |random| random.lognormal(200.0, 1.5) < 200.0), 0.5);
            near(share(N, seed, |random| random.lognormal(200.0, 1.5) < 200.0 * 1.5f64.exp()), 0.841_345);
            near(share(N, seed, |random| random.pareto(50.0, 1.2) > 500.0), 10f64.powf(-1.2));
            assert_eq!(share(N, seed, |random| random.pareto(50.0, 1.2) >= 50.0), 1.0);
            // Neighbours are independent.
            near(share(N, seed, |random| random.normal() * random.normal() > 0.0), 0.5);
        }
    }

    #[test]
    fn purposes_have_sequences_of_their_own() {
        let first = |seed, purpose| Random::of(seed, purpose).next();
        let all = [first(0, 0), first(0, 1), first(1, 0), first(1, 1), first(2, 0)];
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])), "{all:?}");
    }
}
