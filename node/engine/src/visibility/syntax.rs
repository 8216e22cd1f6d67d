//! The grammar of queries: words become a tree, with no idea yet of what the names mean.
//!
//! It takes in more than a filter may contain, such as functions and arithmetic, because the real server
//! does, and then says what exactly it does not support.

use super::{
    QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_IN_VALUES_MAX, QUERY_TERMS_MAX,
    filter::FilterError,
    lexer::{Located, Token, is_reserved, tokens},
};

/// What the real server puts before a query.
const STATEMENT: &str = "select * from table1 ";
const BATCH_STATEMENT: &str = "select * from dummy ";
const WHERE: &str = "where ";
/// A column, its table, and its database.
const NAME_PARTS_MAX: usize = 3;

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Statement {
    pub(crate) condition: Option<Expr>,
    pub(super) group_by: Vec<Expr>,
    pub(super) order_by: Vec<Expr>,
    pub(crate) has_limit: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Expr {
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Paren(Box<Expr>),
    Compare {
        operator: &'static str,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Between {
        not: bool,
        left: Box<Expr>,
        from: Box<Expr>,
        to: Box<Expr>,
    },
    /// `IS [NOT] NULL`; other words than NULL make no filter.
    Is {
        left: Box<Expr>,
        not: bool,
        is_null: bool,
    },
    Column(String),
    Text(String),
    Number(String),
    Bool(bool),
    Null,
    Tuple(Vec<Expr>),
    Function,
    Unary(&'static str, Box<Expr>),
    Binary,
}

impl Expr {
    /// What messages call it: users know the real server's words.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Expr::Or(..) => "*sqlparser.OrExpr",
            Expr::And(..) => "*sqlparser.AndExpr",
            Expr::Not(_) => "*sqlparser.NotExpr",
            Expr::Paren(_) => "*sqlparser.ParenExpr",
            Expr::Compare { .. } => "*sqlparser.ComparisonExpr",
            Expr::Between { .. } => "*sqlparser.RangeCond",
            Expr::Is { .. } => "*sqlparser.IsExpr",
            Expr::Column(_) => "*sqlparser.ColName",
            Expr::Text(_) | Expr::Number(_) => "*sqlparser.SQLVal",
            Expr::Bool(_) => "sqlparser.BoolVal",
            Expr::Null => "*sqlparser.NullVal",
            Expr::Tuple(_) => "sqlparser.ValTuple",
            Expr::Function => "*sqlparser.FuncExpr",
            Expr::Unary(..) => "*sqlparser.UnaryExpr",
            Expr::Binary => "*sqlparser.BinaryExpr",
        }
    }
}

pub(super) fn parse(query: &str) -> Result<Statement, FilterError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(FilterError::invalid(format!("query is longer than {QUERY_BYTES_MAX} bytes")));
    }
    let query = query.trim();
    if query.is_empty() {
        return Ok(Statement::default());
    }
    let begins = |words: &str| query.get(..words.len()).is_some_and(|q| q.eq_ignore_ascii_case(words));
    statement(query, !begins("order by") && !begins("group by"))
}

/// Reads a query that must have a condition.
pub(crate) fn parse_condition(query: &str) -> Result<Statement, FilterError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(FilterError::invalid(format!("query is longer than {QUERY_BYTES_MAX} bytes")));
    }
    match query.trim() {
        // Without any words nothing is put before them either.
        "" => Err(FilterError::malformed("syntax error at position 1".to_owned())),
        query => statement(query, true),
    }
}

/// Whether the condition of a batch can be read at all. The real server puts other words before it than
/// before that of a list, and leaves it its blanks.
pub fn check_batch(query: &str) -> Result<(), FilterError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(FilterError::invalid(format!("query is longer than {QUERY_BYTES_MAX} bytes")));
    }
    parsed(query, BATCH_STATEMENT.len() + WHERE.len(), true).map(|_| ())
}

fn statement(query: &str, has_condition: bool) -> Result<Statement, FilterError> {
    parsed(query, STATEMENT.len() + if has_condition { WHERE.len() } else { 0 }, has_condition)
}

/// `before` is how many bytes of the statement precede the query.
fn parsed(query: &str, before: usize, has_condition: bool) -> Result<Statement, FilterError> {
    let tokens = tokens(query, before)?;
    let mut parser = Parser { tokens, at: 0, before, depth: 0, terms: 0 };
    parser.statement(has_condition)
}

struct Parser {
    tokens: Vec<Located>,
    at: usize,
    before: usize,
    depth: usize,
    terms: usize,
}

impl Parser {
    fn statement(&mut self, has_condition: bool) -> Result<Statement, FilterError> {
        let mut statement = Statement::default();
        if has_condition {
            statement.condition = Some(self.or()?);
        }
        if self.eat("group") {
            self.keyword("by")?;
            statement.group_by = self.list()?;
        }
        if self.eat("order") {
            self.keyword("by")?;
            loop {
                statement.order_by.push(self.operand()?);
                let _direction = self.eat("asc") || self.eat("desc");
                if !self.eat_symbol(",") {
                    break;
                }
            }
        }
        if self.eat("limit") {
            self.list()?;
            statement.has_limit = true;
        }
        self.eat_symbol(";");
        if self.peek() == &Token::End { Ok(statement) } else { Err(self.unexpected()) }
    }

    fn or(&mut self) -> Result<Expr, FilterError> {
        let mut left = self.and()?;
        while self.eat("or") || self.eat_symbol("||") {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, FilterError> {
        let mut left = self.not()?;
        while self.eat("and") || self.eat_symbol("&&") {
            left = Expr::And(Box::new(left), Box::new(self.not()?));
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr, FilterError> {
        if !self.eat("not") {
            return self.predicate();
        }
        self.nested(|parser| Ok(Expr::Not(Box::new(parser.not()?))))
    }

    fn predicate(&mut self) -> Result<Expr, FilterError> {
        self.terms += 1;
        if self.terms > QUERY_TERMS_MAX {
            return Err(FilterError::invalid(format!("query has more than {QUERY_TERMS_MAX} terms")));
        }
        let left = Box::new(self.operand()?);
        for (symbol, operator) in [
            ("=", "="),
            ("!=", "!="),
            ("<>", "!="),
            ("<", "<"),
            ("<=", "<="),
            (">", ">"),
            (">=", ">="),
            ("<=>", "<=>"),
        ] {
            if self.eat_symbol(symbol) {
                return Ok(Expr::Compare { operator, left, right: Box::new(self.operand()?) });
            }
        }
        if self.eat("is") {
            return self.is(left);
        }
        let not = self.eat("not");
        for (keyword, operator, negated) in [
            ("like", "LIKE", "NOT LIKE"),
            ("regexp", "REGEXP", "NOT REGEXP"),
            ("starts_with", "STARTS_WITH", "NOT STARTS_WITH"),
        ] {
            if self.eat(keyword) {
                let operator = if not { negated } else { operator };
                return Ok(Expr::Compare { operator, left, right: Box::new(self.operand()?) });
            }
        }
        if self.eat("in") {
            let right = Box::new(self.tuple()?);
            return Ok(Expr::Compare { operator: if not { "NOT IN" } else { "IN" }, left, right });
        }
        if self.eat("between") {
            let from = Box::new(self.operand()?);
            self.keyword("and")?;
            return Ok(Expr::Between { not, left, from, to: Box::new(self.operand()?) });
        }
        if not { Err(self.unexpected()) } else { Ok(*left) }
    }

    fn is(&mut self, left: Box<Expr>) -> Result<Expr, FilterError> {
        let not = self.eat("not");
        let is_null = self.eat("null");
        if is_null || self.eat("true") || self.eat("false") {
            return Ok(Expr::Is { left, not, is_null });
        }
        Err(self.unexpected())
    }

    /// A value or name, and arithmetic with them.
    fn operand(&mut self) -> Result<Expr, FilterError> {
        let mut operand = self.primary()?;
        while ["+", "-", "*", "/", "%", "^", "&", "|"].iter().any(|symbol| self.eat_symbol(symbol)) {
            self.primary()?;
            operand = Expr::Binary;
        }
        Ok(operand)
    }

    fn primary(&mut self) -> Result<Expr, FilterError> {
        for operator in ["-", "+", "~", "!"] {
            if self.eat_symbol(operator) {
                return self.nested(|parser| Ok(unary(operator, parser.primary()?)));
            }
        }
        if self.peek() == &Token::Symbol("(") {
            return self.parenthesis();
        }
        let expr = match self.peek() {
            Token::Text(text) => Expr::Text(text.clone()),
            Token::Number(number) => Expr::Number(number.clone()),
            word if word.is_keyword("true") => Expr::Bool(true),
            word if word.is_keyword("false") => Expr::Bool(false),
            word if word.is_keyword("null") => Expr::Null,
            Token::Word(word) if is_reserved(word) => return Err(self.unexpected()),
            Token::Word(_) | Token::Name(_) => return self.column(),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(expr)
    }

    fn column(&mut self) -> Result<Expr, FilterError> {
        let mut parts: Vec<String> = Vec::new();
        loop {
            match self.peek() {
                // A keyword that is allowed as a name; like all keywords it has no case of its own.
                Token::Word(name) if name.eq_ignore_ascii_case("status") => parts.push("status".to_owned()),
                Token::Word(name) | Token::Name(name) => parts.push(name.clone()),
                _ => return Err(self.unexpected()),
            }
            self.at += 1;
            if parts.len() == NAME_PARTS_MAX || !self.eat_symbol(".") {
                break;
            }
        }
        if self.peek() == &Token::Symbol("(") {
            self.at += 1;
            if !self.eat_symbol(")") {
                self.nested(|parser| parser.list())?;
                self.symbol(")")?;
            }
            return Ok(Expr::Function);
        }
        Ok(Expr::Column(parts.join(".")))
    }

    fn parenthesis(&mut self) -> Result<Expr, FilterError> {
        self.symbol("(")?;
        let mut inside = self.nested(|parser| parser.list())?;
        self.symbol(")")?;
        Ok(if inside.len() == 1 { Expr::Paren(Box::new(inside.remove(0))) } else { Expr::Tuple(inside) })
    }

    fn tuple(&mut self) -> Result<Expr, FilterError> {
        self.symbol("(")?;
        let mut values = Vec::new();
        loop {
            if values.len() == QUERY_IN_VALUES_MAX {
                return Err(FilterError::invalid(format!("IN has more than {QUERY_IN_VALUES_MAX} values")));
            }
            values.push(self.operand()?);
            if !self.eat_symbol(",") {
                break;
            }
        }
        self.symbol(")")?;
        Ok(Expr::Tuple(values))
    }

    fn list(&mut self) -> Result<Vec<Expr>, FilterError> {
        let mut list = vec![self.or()?];
        while self.eat_symbol(",") {
            list.push(self.or()?);
        }
        Ok(list)
    }

    /// Guards the stack: every way to recurse goes through here.
    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Parser) -> Result<T, FilterError>,
    ) -> Result<T, FilterError> {
        self.depth += 1;
        if self.depth > QUERY_DEPTH_MAX {
            return Err(FilterError::invalid(format!(
                "query is nested deeper than {QUERY_DEPTH_MAX} levels"
            )));
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at].token
    }

    fn eat(&mut self, keyword: &str) -> bool {
        let is_next = self.peek().is_keyword(keyword);
        self.at += usize::from(is_next);
        is_next
    }

    fn eat_symbol(&mut self, symbol: &str) -> bool {
        let is_next = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        self.at += usize::from(is_next);
        is_next
    }

    fn keyword(&mut self, keyword: &str) -> Result<(), FilterError> {
        if self.eat(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn symbol(&mut self, symbol: &str) -> Result<(), FilterError> {
        if self.eat_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> FilterError {
        self.tokens[self.at].unexpected(self.before)
    }
}

/// A signed number is a number.
fn unary(operator: &'static str, operand: Expr) -> Expr {
    match (operator, operand) {
        ("+", Expr::Number(number)) => Expr::Number(number),
        ("-", Expr::Number(number)) => {
            let negated = number.strip_prefix('-').map(str::to_owned);
            Expr::Number(negated.unwrap_or_else(|| format!("-{number}")))
        }
        (operator, operand) => Expr::Unary(operator, Box::new(operand)),
    }
}
