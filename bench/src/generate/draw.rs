//! Draws random values in the shapes that CloudTrail records have: ids, keys, tokens, skewed choices.

use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE62: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE36: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// A source of random values that gives the same values for the same seed.
pub struct Draw(StdRng);

impl Draw {
    /// The source for one piece of work, such as a day of an account.
    pub fn of(seed: u64, piece: [u32; 2]) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..12].copy_from_slice(&piece[0].to_le_bytes());
        bytes[12..16].copy_from_slice(&piece[1].to_le_bytes());
        Self(StdRng::from_seed(bytes))
    }

    /// A number of `0..n`; `n` is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    /// A fraction of `0.0..1.0`.
    pub fn fraction(&mut self) -> f64 {
        self.0.random()
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.fraction() < probability
    }

    /// A number of `0..n` where number `k` is drawn about `1/(k+1)` as often as number 0.
    pub fn skewed(&mut self, n: usize) -> usize {
        let drawn = ((n + 1) as f64).powf(self.fraction()) as usize;
        drawn.clamp(1, n) - 1
    }

    /// An item of a list, the first ones more often.
    pub fn favourite<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.skewed(items.len())]
    }

    /// A number around 1: the middle one is 1, and one in twenty is above `spread` to the power of 1.6.
    pub fn around_one(&mut self, spread: f64) -> f64 {
        // The sum of a few even draws is close enough to a bell.
        let bell: f64 = (0..6).map(|_| self.fraction()).sum::<f64>() * 2.0_f64.sqrt() - 3.0 * 2.0_f64.sqrt();
        spread.powf(bell)
    }

    /// A random UUID of version 4.
    pub fn uuid(&mut self, out: &mut String) {
        let mut bytes = [0; 16];
        self.0.fill_bytes(&mut bytes);
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        for (at, byte) in bytes.into_iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                out.push('-');
            }
            out.push(HEX[usize::from(byte >> 4)] as char);
            out.push(HEX[usize::from(byte & 15)] as char);
        }
    }

    /// Lower-case hexadecimal digits.
    pub fn hex(&mut self, out: &mut String, length: usize) {
        self.letters(out, length, HEX);
    }

    /// The form of principal ids and access keys after their prefix.
    pub fn base32(&mut self, out: &mut String, length: usize) {
        self.letters(out, length, BASE32);
    }

    /// Upper-case letters and digits, the form of S3's request ids.
    pub fn base36(&mut self, out: &mut String, length: usize) {
        self.letters(out, length, BASE36);
    }

    /// Letters and digits, the form of the end of a log file's name.
    pub fn base62(&mut self, out: &mut String, length: usize) {
        self.letters(out, length, BASE62);
    }

    /// Base64 without padding, the form of opaque tokens.
    pub fn base64(&mut self, out: &mut String, length: usize) {
        self.letters(out, length, BASE64);
    }

    fn letters(&mut self, out: &mut String, length: usize, alphabet: &[u8]) {
        for _ in 0..length {
            // The top bits of a product are an even draw from any range.
            let at = (u64::from(self.0.next_u32()) * alphabet.len() as u64) >> 32;
            out.push(alphabet[at as usize] as char);
        }
    }

    /// What `write` writes, as a text of its own.
    pub fn text(&mut self, prefix: &str, write: impl FnOnce(&mut Self, &mut String)) -> String {
        let mut out = prefix.to_owned();
        write(self, &mut out);
        out
    }

    /// A public IPv4 address that nobody has: one of the range set aside for benchmarks, or of a private one.
    pub fn address(&mut self) -> String {
        match self.below(4) {
            0 => format!("198.{}.{}.{}", 18 + self.below(2), self.below(256), 1 + self.below(254)),
            _ => format!("10.{}.{}.{}", self.below(256), self.below(256), 1 + self.below(254)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_values_and_another_piece_draws_others() {
        let drawn = |seed, piece| Draw::of(seed, piece).text("", |draw, out| draw.base64(out, 40));
        assert_eq!(drawn(7, [1, 2]), drawn(7, [1, 2]));
        assert_ne!(drawn(7, [1, 2]), drawn(7, [2, 1]));
        assert_ne!(drawn(7, [1, 2]), drawn(8, [1, 2]));
    }

    #[test]
    fn skewed_draws_reach_every_number_and_prefer_the_first() {
        let mut draw = Draw::of(1, [0, 0]);
        let mut counts = [0; 10];
        for _ in 0..10_000 {
            counts[draw.skewed(10)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 100), "{counts:?}");
        assert!(counts[0] > 2 * counts[1].min(counts[2]), "{counts:?}");
    }

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let uuid = Draw::of(3, [0, 0]).text("", Draw::uuid);
        assert_eq!(uuid.len(), 36);
        assert_eq!(&uuid[14..15], "4");
        assert!(matches!(&uuid[19..20], "8" | "9" | "a" | "b"));
    }
}
