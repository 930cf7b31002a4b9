use proptest::prelude::*;

use super::*;

/// A message as services send it.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut head = Vec::new();
    for (name, value) in headers {
        head.push(name.len() as u8);
        head.extend_from_slice(name.as_bytes());
        head.push(7);
        head.extend_from_slice(&(value.len() as u16).to_be_bytes());
        head.extend_from_slice(value.as_bytes());
    }
    framed(&head, payload)
}

pub(crate) fn event(kind: &str, payload: &[u8]) -> Vec<u8> {
    message(&[(":message-type", "event"), (":event-type", kind), (":content-type", "application/json")], payload)
}

pub(crate) fn exception(kind: &str, payload: &[u8]) -> Vec<u8> {
    message(&[(":message-type", "exception"), (":exception-type", kind)], payload)
}

pub(crate) fn error(code: &str, text: &str) -> Vec<u8> {
    message(&[(":message-type", "error"), (":error-code", code), (":error-message", text)], b"")
}

/// Headers that are encoded already, and a payload, with lengths and checksums.
fn framed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
    let sum = |bytes: &[u8]| {
        let mut sum = Crc::new();
        sum.update(bytes);
        sum.sum().to_be_bytes()
    };
    let total = PRELUDE + headers.len() + payload.len() + SUM;
    let mut bytes = [(total as u32).to_be_bytes(), (headers.len() as u32).to_be_bytes()].concat();
    bytes.extend_from_slice(&sum(&bytes));
    bytes.extend_from_slice(headers);
    bytes.extend_from_slice(payload);
    let end = sum(&bytes);
    bytes.extend_from_slice(&end);
    bytes
}

/// A message in the envelope of one who signs what he sends.
fn signed(inner: &[u8]) -> Vec<u8> {
    let name = b":chunk-signature";
    let mut head = vec![name.len() as u8];
    head.extend_from_slice(name);
    head.extend_from_slice(&[6, 0, 4, 1, 2, 3, 4]);
    // A moment, as the header `:date` is.
    head.push(5);
    head.extend_from_slice(b":date");
    head.push(8);
    head.extend_from_slice(&7u64.to_be_bytes());
    framed(&head, inner)
}

/// What a stream says, in whatever pieces it comes.
fn read_in_pieces(bytes: &[u8], piece: usize) -> StreamSaid {
    let mut stream = EventStream::default();
    bytes.chunks(piece).for_each(|piece| stream.pass(piece));
    stream.said()
}

#[test]
fn a_message_has_the_checksums_that_aws_clients_compute() {
    // Example of a message without headers and payload, from the description of the format.
    assert_eq!(framed(b"", b""), [0, 0, 0, 16, 0, 0, 0, 0, 5, 194, 72, 235, 125, 152, 200, 255]);
}

#[test]
fn the_first_members_and_the_exception_are_told_in_whatever_pieces_the_stream_comes() {
    let stream = [
        event("initial-response", br#"{"a":1}"#),
        event("chunk", &[7; 100_000]),
        exception("throttlingException", br#"{"message":"slow down"}"#),
        error("Later", "does not count"),
    ]
    .concat();
    let said = EventStream::read(&stream);
    assert_eq!(said.messages, 4);
    assert_eq!(said.initial.as_deref(), Some(&br#"{"a":1}"#[..]));
    let failure = said.failure.clone().unwrap();
    assert_eq!(
        (failure.code.as_str(), &failure.payload[..]),
        ("throttlingException", &br#"{"message":"slow down"}"#[..])
    );
    for piece in [1, 2, 3, 7, 11, 12, 13, 4096] {
        assert_eq!(read_in_pieces(&stream, piece), said, "{piece}");
    }
    let said = EventStream::read(&[event("chunk", b"x"), error("Busy", "try again")].concat());
    let failure = said.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.message.as_deref()), ("Busy", Some("try again")));
}

#[test]
fn members_of_a_signed_first_message_are_found_one_level_down() {
    let first = event("initial-request", b"{}");
    assert_eq!(EventStream::read(&signed(&first)).initial.as_deref(), Some(&b"{}"[..]));
    assert_eq!(EventStream::read(&signed(&signed(&first))).initial, None);
    // Only the first message has them.
    assert_eq!(EventStream::read(&[event("chunk", b"x"), first].concat()).initial, None);
}

#[test]
fn nothing_is_believed_of_a_message_whose_checksum_is_wrong_or_that_is_cut_or_too_long() {
    let whole = exception("badThing", br#"{"message":"m"}"#);
    for at in 0..whole.len() {
        let mut wrong = whole.clone();
        wrong[at] ^= 0x40;
        assert_eq!(EventStream::read(&wrong).failure, None, "{at}");
        assert_eq!(EventStream::read(&whole[..at]).failure, None, "{at}");
    }
    // Behind a broken message nothing is a message.
    let mut broken = event("chunk", b"x");
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(EventStream::read(&[broken, whole.clone()].concat()).failure, None);
    // Lengths that no service sends are refused although their checksum is right.
    for (total, headers) in [(0u32, 0u32), (15, 0), (20, 8), (u32::MAX, 4), (1 << 20, 200 << 10), (26 << 20, 0)] {
        let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
        let mut sum = Crc::new();
        sum.update(&prelude);
        prelude.extend_from_slice(&sum.sum().to_be_bytes());
        let mut stream = EventStream::default();
        stream.pass(&prelude);
        assert!(matches!(stream.at, At::Off), "{total} {headers}");
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let long = "x".repeat(60_000);
    let mut head = Vec::new();
    for name in [":error-code", ":message-type"] {
        head.extend_from_slice(&message(&[(name, &long)], b"")[PRELUDE..][..name.len() + 4 + long.len()]);
    }
    // Headers beyond what is read: the message passes and says nothing.
    let said = EventStream::read(&[framed(&head, b""), error("Known", "m")].concat());
    assert_eq!((said.messages, said.failure.unwrap().code.as_str()), (2, "Known"));
    // An exception whose members are too long is told by its name.
    let failure = EventStream::read(&exception("large", &[b'x'; MAX_PAYLOAD + 1])).failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.payload.len()), ("large", 0));
}

proptest! {
    #[test]
    fn no_bytes_break_the_reading(
        mut bytes in prop::collection::vec(prop_oneof![
            Just(event("initial-response", b"{}")), Just(exception("e", b"{}")), Just(error("c", "m")), Just(signed(&event("x", b""))),
            prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..40).prop_map(|head| framed(&head, b"p")),
        ], 0..6).prop_map(|parts| parts.concat()),
        flips in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..3),
        piece in 1usize..40,
    ) {
        for (at, mask) in flips.iter().filter(|_| !bytes.is_empty()).collect::<Vec<_>>() {
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
        }
        prop_assert_eq!(read_in_pieces(&bytes, piece), EventStream::read(&bytes));
    }
}
