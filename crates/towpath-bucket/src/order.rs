//! Keys of objects as text that sorts like the keys and has only characters a metadata key may hold plainly.
//!
//! S3 lists keys in the order of their UTF-8 bytes. The metadata store orders its own keys by bytes too, but encodes
//! most marks with `%`, which moves them. Here each character becomes one to five characters of a 71-letter alphabet,
//! such that texts order as keys do and no encoded character is the beginning of another:
//!
//! | Character | Becomes |
//! |---|---|
//! | letters, digits, `,` `-` `@` | itself |
//! | below `,` | `+` and a letter |
//! | `.` `/` | `.0` `.1` |
//! | `:` `;` `<`, `=` `>` `?` | `:` or `=` and a digit |
//! | `[` to `` ` `` | `_` and a digit |
//! | above `z` | `~` and a letter for the first byte, then a letter for each byte that follows |
//!
//! `~~` begins no encoded character and sorts behind all of them: `encode(prefix) + "~~"` is behind every key that
//! begins with the prefix.

/// The characters that metadata keys hold plainly, in their order.
const ALPHABET: &[u8; 71] = b"+,-.0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// What sorts behind every key with a prefix, when added to the encoded prefix.
pub(crate) const END: &str = "~~";

/// The place directly before an encoded prefix: behind every key that sorts before the prefix, and before the prefix
/// itself.
pub(crate) fn before(encoded: &str) -> String {
    let mut text = encoded.to_owned();
    if let Some(last) = text.pop() {
        let last = u8::try_from(last).ok().and_then(index).unwrap_or(0);
        // Nothing sorts between a text and the same text with the first letter added.
        if last > 0 {
            text.push(char::from(letter(last - 1)));
            text.push_str("~~~~");
        }
    }
    text
}

/// Encodes a key or a prefix of keys.
pub(crate) fn encode(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + key.len() / 4 + 8);
    for byte in key.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b',' | b'-' | b'@' => text.push(char::from(byte)),
            0x00..=0x2b => push(&mut text, b'+', letter(byte)),
            b'.' | b'/' => push(&mut text, b'.', b'0' + (byte - b'.')),
            b':'..=b'<' => push(&mut text, b':', b'0' + (byte - b':')),
            b'='..=b'?' => push(&mut text, b'=', b'0' + (byte - b'=')),
            b'['..=b'`' => push(&mut text, b'_', b'0' + (byte - b'[')),
            0x7b..=0x7f => push(&mut text, b'~', letter(byte - 0x7b)),
            // A byte that follows the first of a character; 64 of them.
            0x80..=0xbf => text.push(char::from(letter(byte - 0x80))),
            // The first byte of a character of two to four bytes. UTF-8 has none above 0xf4.
            0xc0..=0xff => push(&mut text, b'~', letter(5 + (byte - 0xc0))),
        }
    }
    text
}

/// Decodes what [`encode`] made; `None` for any other text.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    // How many bytes of a character are still to come.
    let mut following = 0;
    while let Some(byte) = rest.next() {
        if following > 0 {
            bytes.push(0x80_u8.checked_add(index(byte)?)?);
            following -= 1;
            continue;
        }
        let mut second = |lowest: u8, first: u8, count: u8| {
            let offset = rest.next()?.checked_sub(lowest)?;
            (offset < count).then(|| first + offset)
        };
        let decoded = match byte {
            b'.' => second(b'0', b'.', 2)?,
            b':' => second(b'0', b':', 3)?,
            b'=' => second(b'0', b'=', 3)?,
            b'_' => second(b'0', b'[', 6)?,
            b'+' => index(rest.next()?).filter(|index| *index <= 0x2b)?,
            b'~' => match index(rest.next()?)? {
                low @ 0..=4 => 0x7b + low,
                high => {
                    let first = 0xc0_u8.checked_add(high - 5)?;
                    following = match first {
                        0xc0..=0xdf => 1,
                        0xe0..=0xef => 2,
                        _ => 3,
                    };
                    first
                }
            },
            plain => plain,
        };
        bytes.push(decoded);
    }
    String::from_utf8(bytes).ok()
}

fn push(text: &mut String, first: u8, second: u8) {
    text.push(char::from(first));
    text.push(char::from(second));
}

/// The letter that stands for a small number; numbers below 64 are all that occur.
fn letter(number: u8) -> u8 {
    ALPHABET[usize::from(number).min(ALPHABET.len() - 1)]
}

fn index(letter: u8) -> Option<u8> {
    ALPHABET.binary_search(&letter).ok().and_then(|index| u8::try_from(index).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use towpath_meta::Key;

    use super::*;

    #[test]
    fn the_alphabet_is_in_order() {
        assert!(ALPHABET.is_sorted());
    }

    #[test]
    fn a_usual_key_stays_readable() {
        assert_eq!(
            encode("AWSLogs/123456789012/CloudTrail/x_y.json.gz"),
            "AWSLogs.1123456789012.1CloudTrail.1x_4y.0json.0gz"
        );
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof![".{0,12}", "[a-c/.]{0,8}", "[\\x00-\\x7f]{0,8}", "(a|/|z|~|\u{7f}|é|中|😀|\u{10ffff}|\u{0}){0,6}"]
    }

    proptest! {
        #[test]
        fn encoded_keys_order_as_keys_and_come_back(left in key(), right in key()) {
            let (a, b) = (encode(&left), encode(&right));
            prop_assert_eq!(a.cmp(&b), left.as_bytes().cmp(right.as_bytes()));
            prop_assert_eq!(a.starts_with(&b), left.starts_with(&right));
            prop_assert_eq!(decode(&a), Some(left));
        }

        #[test]
        fn the_end_of_a_prefix_is_behind_all_its_keys_and_before_the_next(prefix in key(), rest in key(), other in key()) {
            let end = encode(&prefix) + END;
            let longer = prefix.clone() + &rest;
            prop_assert!(encode(&longer) < end);
            if other.as_bytes() > prefix.as_bytes() && !other.starts_with(&prefix) {
                prop_assert!(encode(&other) > end);
            }
        }

        #[test]
        fn the_place_before_a_prefix_divides_the_keys(prefix in key(), other in key()) {
            let place = before(&encode(&prefix));
            if !other.is_empty() {
                prop_assert_eq!(encode(&other) > place, other.as_bytes() >= prefix.as_bytes());
            }
        }

        #[test]
        fn every_encoded_key_is_plain_in_the_metadata_store(text in key()) {
            let encoded = encode(&text);
            prop_assert!(encoded.len() <= 2 * text.len());
            if !encoded.is_empty() {
                let key = Key::from_parts([encoded.as_str()]).unwrap();
                prop_assert_eq!(key.as_str(), encoded.as_str());
            }
        }

        #[test]
        fn decoding_never_panics(text in ".{0,20}") {
            let _ = decode(&text);
        }
    }
}
