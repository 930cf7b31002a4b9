//! From the text of a path to its tree.

use super::{Comparison, JsonPath, Method, Node, Pattern, Subscript, Test};
use crate::functions::json_text::quote;

/// How deep a path may nest.
const MAX_DEPTH: usize = 60;

/// The longest path that is read, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// How large the compiled pattern of `like_regex` may be, in bytes.
const MAX_PATTERN: usize = 1 << 20;

impl JsonPath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid JSON path: '{text}'");
        let mut reader = Reader { rest: if text.len() > MAX_LENGTH { "" } else { text }, depth: 0, subscripts: 0 };
        let strict = !reader.eat_word("lax") && reader.eat_word("strict");
        let root = reader.sum().ok_or_else(wrong)?;
        reader.blank();
        if reader.rest.is_empty() { Ok(Self { strict, root }) } else { Err(wrong()) }
    }
}

/// Reads from the front; `None` where the text is no path.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
    /// How many subscripts are around this place: `last` means something within them.
    subscripts: usize,
}

fn of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl<'a> Reader<'a> {
    fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, wanted: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: &str) -> Option<()> {
        self.eat(wanted).then_some(())
    }

    fn eat_word(&mut self, wanted: &str) -> bool {
        self.blank();
        match self.rest.strip_prefix(wanted) {
            Some(rest) if !rest.starts_with(of_name) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn name(&mut self) -> Option<&'a str> {
        let end = self.rest.find(|c| !of_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then_some(name)
    }

    /// A text in double quotes, with JavaScript's escapes.
    fn quoted(&mut self) -> Option<String> {
        self.blank();
        let inside = self.rest.strip_prefix('"')?;
        let mut escaped = false;
        let end = inside.char_indices().find_map(|(at, c)| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends.then_some(at)
        })?;
        let raw = &self.rest[..end + 2];
        self.rest = &inside[end + 1..];
        serde_json::from_str(raw).ok()
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    fn sum(&mut self) -> Option<Node> {
        let mut left = self.product()?;
        loop {
            let operator = if self.eat("+") {
                '+'
            } else if self.eat("-") {
                '-'
            } else {
                return Some(left);
            };
            left = self.joined(left, operator, Self::product)?;
        }
    }

    fn product(&mut self) -> Option<Node> {
        let mut left = self.signed()?;
        loop {
            let operator = ['*', '/', '%'].into_iter().find(|operator| self.eat(operator.encode_utf8(&mut [0; 4])));
            let Some(operator) = operator else { return Some(left) };
            left = self.joined(left, operator, Self::signed)?;
        }
    }

    /// Chains are as deep as they are long.
    fn joined(&mut self, left: Node, operator: char, right: fn(&mut Self) -> Option<Node>) -> Option<Node> {
        if depth_of(&left) >= MAX_DEPTH {
            return None;
        }
        Some(Node::Arithmetic(Box::new(left), operator, Box::new(right(self)?)))
    }

    fn signed(&mut self) -> Option<Node> {
        if self.eat("-") {
            return self.deeper(Self::signed).map(|node| Node::Negated(Box::new(node)));
        }
        if self.eat("+") {
            return self.deeper(Self::signed);
        }
        let root = self.primary()?;
        self.steps(root)
    }

    fn primary(&mut self) -> Option<Node> {
        self.blank();
        if self.eat("(") {
            let inner = self.deeper(Self::sum)?;
            self.expect(")")?;
            return Some(inner);
        }
        if let Some(rest) = self.rest.strip_prefix('$') {
            self.rest = rest;
            if self.rest.starts_with('"') {
                return self.quoted().map(Node::Variable);
            }
            return Some(match self.name() {
                Some(name) => Node::Variable(name.to_owned()),
                None => Node::Document,
            });
        }
        if self.eat("@") {
            return Some(Node::Current);
        }
        if self.rest.starts_with('"') {
            return self.quoted().map(|text| Node::Literal(quote(&text)));
        }
        for word in ["true", "false", "null"] {
            if self.eat_word(word) {
                return Some(Node::Literal(word.to_owned()));
            }
        }
        if self.subscripts > 0 && self.eat_word("last") {
            return Some(Node::Last);
        }
        self.number()
    }

    fn number(&mut self) -> Option<Node> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let mut length = end;
        let after = &self.rest[end..];
        // A point without digits behind it begins a method.
        if let Some(fraction) = after.strip_prefix('.')
            && fraction.starts_with(|c: char| c.is_ascii_digit())
        {
            length += 1 + fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        }
        let (digits, rest) = self.rest.split_at(length);
        if end == 0 || (digits.starts_with('0') && end > 1) || rest.starts_with(of_name) {
            return None;
        }
        self.rest = rest;
        Some(Node::Literal(digits.to_owned()))
    }

    fn steps(&mut self, mut node: Node) -> Option<Node> {
        let mut count = 0;
        loop {
            count += 1;
            if count > MAX_DEPTH {
                return None;
            }
            let inner = Box::new(node);
            node = if self.eat("..") {
                let name = if self.rest.starts_with('"') { self.quoted()? } else { self.name()?.to_owned() };
                Node::Descendant(inner, name)
            } else if self.eat(".") {
                self.member(inner)?
            } else if self.eat("[") {
                self.subscripts(inner)?
            } else if self.eat("?") {
                self.expect("(")?;
                let test = self.deeper(Self::test)?;
                self.expect(")")?;
                Node::Filter(inner, Box::new(test))
            } else {
                return Some(*inner);
            };
        }
    }

    fn member(&mut self, inner: Box<Node>) -> Option<Node> {
        if self.eat("*") {
            return Some(Node::Member(inner, None));
        }
        if self.rest.starts_with('"') {
            return Some(Node::Member(inner, Some(self.quoted()?)));
        }
        let name = self.name()?;
        let method = match name {
            "type" => Some(Method::Type),
            "size" => Some(Method::Size),
            "double" => Some(Method::Double),
            "ceiling" => Some(Method::Ceiling),
            "floor" => Some(Method::Floor),
            "abs" => Some(Method::Abs),
            "keyvalue" => Some(Method::KeyValue),
            _ => None,
        };
        match method {
            Some(method) if self.eat("(") => {
                self.expect(")")?;
                Some(Node::Method(inner, method))
            }
            _ if name.starts_with(|c: char| c.is_ascii_digit()) => None,
            _ => Some(Node::Member(inner, Some(name.to_owned()))),
        }
    }

    fn subscripts(&mut self, inner: Box<Node>) -> Option<Node> {
        if self.eat("*") {
            self.expect("]")?;
            return Some(Node::Element(inner, None));
        }
        // A name in brackets is of the other grammar.
        self.blank();
        if self.rest.starts_with(['"', '\'']) {
            return None;
        }
        self.subscripts += 1;
        let read = self.subscript_list();
        self.subscripts -= 1;
        Some(Node::Element(inner, Some(read?)))
    }

    fn subscript_list(&mut self) -> Option<Vec<Subscript>> {
        let mut list = Vec::new();
        loop {
            let from = self.deeper(Self::sum)?;
            let to = if self.eat_word("to") { Some(self.deeper(Self::sum)?) } else { None };
            list.push(Subscript { from, to });
            if self.eat("]") {
                return Some(list);
            }
            self.expect(",")?;
        }
    }

    fn test(&mut self) -> Option<Test> {
        let mut left = self.conjunction()?;
        let mut count = 0;
        while self.eat("||") {
            count += 1;
            if count > MAX_DEPTH {
                return None;
            }
            left = Test::Or(Box::new(left), Box::new(self.conjunction()?));
        }
        Some(left)
    }

    fn conjunction(&mut self) -> Option<Test> {
        let mut left = self.single()?;
        let mut count = 0;
        while self.eat("&&") {
            count += 1;
            if count > MAX_DEPTH {
                return None;
            }
            left = Test::And(Box::new(left), Box::new(self.single()?));
        }
        Some(left)
    }

    fn single(&mut self) -> Option<Test> {
        if self.eat("!") {
            return self.deeper(Self::single).map(|test| Test::Not(Box::new(test)));
        }
        if self.eat_word("exists") {
            self.expect("(")?;
            let found = self.deeper(Self::sum)?;
            self.expect(")")?;
            return Some(Test::Exists(found));
        }
        self.blank();
        if self.rest.starts_with('(') {
            // A condition in parentheses, or an operand that begins with one.
            let (before, depth) = (self.rest, self.depth);
            if let Some(test) = self.in_parentheses() {
                return Some(test);
            }
            (self.rest, self.depth) = (before, depth);
        }
        self.comparison()
    }

    fn in_parentheses(&mut self) -> Option<Test> {
        self.expect("(")?;
        let test = self.deeper(Self::test)?;
        self.expect(")")?;
        if self.eat_word("is") {
            return self.eat_word("unknown").then(|| Test::IsUnknown(Box::new(test)));
        }
        Some(test)
    }

    fn comparison(&mut self) -> Option<Test> {
        let left = self.deeper(Self::sum)?;
        if self.eat_word("starts") {
            return self
                .eat_word("with")
                .then_some(())
                .and_then(|()| self.deeper(Self::sum))
                .map(|start| Test::StartsWith(left, start));
        }
        if self.eat_word("like_regex") {
            return self.pattern().map(|pattern| Test::LikeRegex(left, pattern));
        }
        let operators = [
            ("==", Comparison::Equal),
            ("<>", Comparison::Different),
            ("!=", Comparison::Different),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let operator = operators.into_iter().find(|(text, _)| self.eat(text))?.1;
        Some(Test::Compare(left, operator, self.deeper(Self::sum)?))
    }

    fn pattern(&mut self) -> Option<Pattern> {
        let text = self.quoted()?;
        let mut builder = regex::RegexBuilder::new(&text);
        builder.size_limit(MAX_PATTERN);
        if self.eat_word("flag") {
            for flag in self.quoted()?.chars() {
                match flag {
                    'i' => builder.case_insensitive(true),
                    's' => builder.dot_matches_new_line(true),
                    'm' => builder.multi_line(true),
                    'x' => builder.ignore_whitespace(true),
                    _ => return None,
                };
            }
        }
        builder.build().ok().map(Pattern)
    }
}

/// How deep a chain of operators is.
fn depth_of(node: &Node) -> usize {
    let (mut depth, mut at) = (0, node);
    while let Node::Arithmetic(left, _, _) = at {
        (depth, at) = (depth + 1, left);
    }
    depth
}
