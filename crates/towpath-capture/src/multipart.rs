//! Multipart forms (`multipart/form-data`, RFC 7578), read as far as they were kept.

/// The longest boundary, in bytes (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part<'b> {
    /// The field's name.
    pub(crate) name: String,
    /// The name of the file that it is, if it is one.
    pub(crate) file_name: Option<String>,
    /// Its media type, as it was sent.
    pub(crate) kind: Option<String>,
    /// What it holds.
    pub(crate) content: &'b [u8],
    /// False for a part that was cut off.
    pub(crate) whole: bool,
}

/// The parts of a form, in the order they were sent. Ends at the first that is none.
#[derive(Debug)]
pub(crate) struct Parts<'b> {
    /// What is behind the last delimiter; none if there is no further part.
    rest: Option<&'b [u8]>,
    /// `--` and the boundary, after a line's end.
    delimiter: String,
}

impl<'b> Parts<'b> {
    /// The parts of a body with this content type; `None` if that is another one.
    pub(crate) fn of(kind: &str, body: &'b [u8]) -> Option<Self> {
        let delimiter = format!("\r\n--{}", boundary(kind)?);
        // The first delimiter may stand at the very beginning, without a line before it.
        let first = delimiter.trim_start().as_bytes();
        let rest = find(body, first).map(|at| &body[at + first.len()..]);
        Some(Self { rest, delimiter })
    }
}

impl<'b> Iterator for Parts<'b> {
    type Item = Part<'b>;

    fn next(&mut self) -> Option<Part<'b>> {
        // After the last part stand two hyphens.
        let part = self.rest.take()?.strip_prefix(b"\r\n")?;
        let end = find(part, b"\r\n\r\n")?;
        let (head, content) = (&part[..end], &part[end + 4..]);
        let head = String::from_utf8_lossy(head);
        let field = |wanted: &str| {
            head.split("\r\n").find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.trim().eq_ignore_ascii_case(wanted).then_some(value.trim())
            })
        };
        let disposition = field("content-disposition")?;
        let name = parameter(disposition, "name")?;
        let end = find(content, self.delimiter.as_bytes());
        self.rest = end.map(|end| &content[end + self.delimiter.len()..]);
        Some(Part {
            name,
            file_name: parameter(disposition, "filename"),
            kind: field("content-type").map(str::to_owned),
            content: &content[..end.unwrap_or(content.len())],
            whole: end.is_some(),
        })
    }
}

/// `multipart/form-data; boundary=abc`.
fn boundary(kind: &str) -> Option<&str> {
    let (media, rest) = kind.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let parameters = rest.split(';').filter_map(|parameter| parameter.trim().split_once('='));
    let boundary =
        parameters.filter(|(name, _)| name.eq_ignore_ascii_case("boundary")).map(|(_, value)| value).next()?;
    let boundary = boundary.trim_matches('"');
    (1..=MAX_BOUNDARY).contains(&boundary.len()).then_some(boundary)
}

/// A parameter in quotes, in which browsers write a quote as `%22` and others as `\"`.
fn parameter(line: &str, wanted: &str) -> Option<String> {
    let mut rest = line;
    while let Some((_, after)) = rest.split_once(';') {
        let (name, value) = after.split_once('=')?;
        let (value, next) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted),
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// The text up to the closing quote, and what is behind it.
fn unquoted(text: &str) -> (String, &str) {
    let (mut value, mut escaped) = (String::new(), false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' if !escaped => return (value, &text[at + 1..]),
            '\\' if !escaped => escaped = true,
            _ => {
                // Old browsers send paths with single backslashes: only a quote is escaped.
                if escaped && letter != '"' {
                    value.push('\\');
                }
                escaped = false;
                value.push(letter);
            }
        }
    }
    (value, "")
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part == wanted)
}
