//! Escapes in JSON strings (RFC 8259, section 7), decoded one at a time by those who borrow texts from records.

/// Decodes the escape that `text` begins with: `\\n`, `\\u00e9`, or two halves of a surrogate pair. Returns its character and
/// its length in bytes, or `None` if `text` begins with no escape of JSON.
///
/// Half a surrogate pair, which is no character, becomes U+FFFD. So does `\\u` without four digits, which has two bytes.
#[inline]
pub fn decode_json_escape(text: &[u8]) -> Option<(char, usize)> {
    let [b'\\', letter, ..] = text else { return None };
    let plain = match letter {
        b'"' | b'\\' | b'/' => char::from(*letter),
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return Some(unicode_escape(text)),
        _ => return None,
    };
    Some((plain, 2))
}

fn unicode_escape(text: &[u8]) -> (char, usize) {
    let of = |code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    match (unit(text, 0), unit(text, 6)) {
        (None, _) => (char::REPLACEMENT_CHARACTER, 2),
        (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
            (of(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)), 12)
        }
        (Some(code), _) => (of(code), 6),
    }
}

/// The code of `\\uXXXX` at a place.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text.get(at..at + 6)? else { return None };
    digits.iter().try_fold(0, |code, digit| Some(code << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_of_json_are_decoded_and_nothing_else_is() {
        for (text, decoded) in [
            (r#"\"x"#, Some(('"', 2))),
            (r"\\n", Some(('\\', 2))),
            (r"\/", Some(('/', 2))),
            (r"\t", Some(('\t', 2))),
            (r"\u00e9e", Some(('é', 6))),
            (r"\uD83D\ude00", Some(('😀', 12))),
            (r"\uD83Dx", Some(('\u{fffd}', 6))),
            (r"\uD83D\u0041", Some(('\u{fffd}', 6))),
            (r"\udc00", Some(('\u{fffd}', 6))),
            (r"\u12", Some(('\u{fffd}', 2))),
            (r"\u+123", Some(('\u{fffd}', 2))),
            (r"\x", None),
            (r"\", None),
            ("n", None),
            ("", None),
        ] {
            assert_eq!(decode_json_escape(text.as_bytes()), decoded, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn what_serde_escapes_comes_back(character: char) {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units);
            let escaped: String = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(serde_json::from_str::<String>(&format!("\"{escaped}\"")).unwrap(), character.to_string());
            prop_assert_eq!(decode_json_escape(escaped.as_bytes()), Some((character, escaped.len())));
        }
    }
}
