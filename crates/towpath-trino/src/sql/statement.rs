//! A parsed statement: exactly one query.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{ObjectName, Query, Spanned, Visit, VisitMut, Visitor};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};

use crate::error::SqlError;
use crate::sql::dialect::Trino;
use crate::sql::lex::lex;
use crate::sql::names::{OutputNames, naming_select};
use crate::sql::rewrite::Rewriter;

/// How deep the parser may recurse.
const RECURSION: usize = 400;

/// Stack for parsing and walking trees: deep trees are refused, but only after they were built.
const STACK: usize = 64 * 1024 * 1024;

/// How many relations a statement may name, with common table expressions counted each time they are used.
const MAX_RELATIONS: usize = 200;

/// How deep WITH clauses may nest in each other.
const MAX_WITH_NESTING: usize = 8;

/// A parsed and rewritten SELECT statement.
#[derive(Clone, Debug)]
pub struct Statement {
    pub(crate) query: Query,
    pub(crate) outputs: OutputNames,
    tables: Vec<TableName>,
    /// Where each word stands first.
    words: HashMap<String, Location>,
}

/// The name of a table as a statement uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// The name in lower case, parts joined by dots; a UUID keeps its hyphens.
    pub name: String,
    /// Line of its first use, counted from one.
    pub line: u64,
    /// Character within the line, counted from one.
    pub column: u64,
}

/// Parses a statement that consists of exactly one query, with any number of semicolons after it.
///
/// Nothing but queries is parsed: `INSERT`, `CREATE`, `SHOW`, `DESCRIBE`, `EXPLAIN` and all others are errors. Length,
/// nesting and the number of relations are bounded, so that no text can exhaust the stack or the time.
pub fn parse(sql: &str) -> Result<Statement, SqlError> {
    stacker::maybe_grow(STACK / 2, STACK, || parse_here(sql))
}

impl Statement {
    /// Returns the tables that the statement reads, each once, in order of appearance.
    ///
    /// Names that a WITH clause defines are not among them.
    pub fn tables(&self) -> &[TableName] {
        &self.tables
    }

    /// Finds where a word stands first.
    pub(crate) fn place_of(&self, word: &str) -> Option<Location> {
        self.words.get(word).copied()
    }
}

fn parse_here(sql: &str) -> Result<Statement, SqlError> {
    let lexed = lex(sql)?;
    check_kind(&lexed.tokens)?;
    let end = lexed.tokens.last().map_or(Location::new(1, 1), |token| token.span.end);
    let mut words = HashMap::new();
    for token in &lexed.tokens {
        if let Token::Word(word) = &token.token {
            words.entry(word.value.clone()).or_insert(token.span.start);
        }
    }
    let mut parser = Parser::new(&Trino).with_recursion_limit(RECURSION).with_tokens_with_locations(lexed.tokens);
    let mut query = *parser.parse_query().map_err(|error| parse_error(error, end))?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        return Err(SqlError::at(rest.span.start, format!("unexpected {} after the end of the query", rest.token)));
    }
    let mut rewriter = Rewriter::new(lexed.spelling);
    if let ControlFlow::Break(error) = VisitMut::visit(&mut query, &mut rewriter) {
        return Err(error);
    }
    let tables = tables_of(&query)?;
    let outputs = naming_select(&query).and_then(|select| rewriter.names_of(select)).unwrap_or_default();
    Ok(Statement { query, outputs, tables, words })
}

/// Refuses everything that does not start like a query.
fn check_kind(tokens: &[TokenWithSpan]) -> Result<(), SqlError> {
    let first = tokens.iter().find(|token| token.token != Token::LParen);
    match first {
        None => Err(SqlError::whole("the statement is empty")),
        Some(TokenWithSpan { token: Token::Word(word), .. })
            if matches!(word.keyword, Keyword::SELECT | Keyword::WITH) =>
        {
            Ok(())
        }
        Some(other) => {
            let found = match &other.token {
                Token::Word(word) => word.value.to_uppercase(),
                token => token.to_string(),
            };
            Err(SqlError::at(other.span.start, format!("only SELECT statements are supported, found {found}")))
        }
    }
}

/// Takes the position out of the parser's message.
fn parse_error(error: ParserError, end: Location) -> SqlError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => return SqlError::whole("the statement nests too deeply"),
    };
    let Some((what, place)) = message.rsplit_once(" at Line: ") else {
        return SqlError::at(end, format!("syntax error: {}", lower_start(&message)));
    };
    let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>().unwrap_or(0));
    let at = match (numbers.next(), numbers.next()) {
        (Some(line), Some(column)) if line > 0 => Location::new(line, column),
        _ => end,
    };
    SqlError::at(at, format!("syntax error: {}", lower_start(what)))
}

fn lower_start(message: &str) -> String {
    let mut chars = message.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}

/// Lists the tables, and bounds how large the plan becomes once every WITH name is replaced by its query.
fn tables_of(query: &Query) -> Result<Vec<TableName>, SqlError> {
    let mut finder = TableFinder::default();
    let _ = query.visit(&mut finder);
    if finder.weight > MAX_RELATIONS {
        return Err(SqlError::whole(format!("the statement reads more than {MAX_RELATIONS} relations")));
    }
    Ok(finder.tables)
}

#[derive(Default)]
struct TableFinder {
    tables: Vec<TableName>,
    seen: HashSet<String>,
    /// Relations that each WITH name in sight stands for.
    scopes: Vec<HashMap<String, usize>>,
    weight: usize,
    /// How many WITH clauses are being measured around this one.
    within: usize,
}

impl Visitor for TableFinder {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.scopes.push(HashMap::new());
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        if self.within >= MAX_WITH_NESTING {
            self.weight = usize::MAX;
            return ControlFlow::Break(());
        }
        for cte in &with.cte_tables {
            let name = cte.alias.name.value.clone();
            if with.recursive {
                self.define(name.clone(), 1);
            }
            // Its tables are recorded when the visitor comes to it; here only its size matters.
            let mut inner = TableFinder { scopes: self.scopes.clone(), within: self.within + 1, ..Self::default() };
            let flow = Visit::visit(&cte.query, &mut inner);
            if flow.is_break() || inner.weight > MAX_RELATIONS {
                self.weight = usize::MAX;
                return ControlFlow::Break(());
            }
            self.define(name, inner.weight.max(1));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = relation
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|i| i.value.as_str())
            .collect::<Vec<_>>()
            .join(".");
        if let Some(weight) = self.scopes.iter().rev().find_map(|scope| scope.get(&name)) {
            self.weight = self.weight.saturating_add(*weight);
            return ControlFlow::Continue(());
        }
        self.weight = self.weight.saturating_add(1);
        if self.seen.insert(name.clone()) {
            let at = relation.span().start;
            self.tables.push(TableName { name, line: at.line, column: at.column });
        }
        ControlFlow::Continue(())
    }
}

impl TableFinder {
    fn define(&mut self, name: String, weight: usize) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name, weight);
        }
    }
}
