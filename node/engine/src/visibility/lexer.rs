//! The words of a query.
//!
//! The real server reads a query as the end of an SQL statement. Its messages give positions in that
//! statement, and so do ours: a position counts the bytes up to the word's end and one more.

use super::filter::FilterError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A name or keyword, as written.
    Word(String),
    /// A name in backticks: never a keyword.
    Name(String),
    Text(String),
    /// A number, as written.
    Number(String),
    /// `=`, `<=`, `(` and the like.
    Symbol(&'static str),
    End,
}

#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) token: Token,
    /// Where the token ends.
    pub(super) end: usize,
}

impl Token {
    /// Keywords are the same in any case.
    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }
}

impl Located {
    /// The complaint about this token. `before` bytes of the statement precede the query.
    pub(super) fn unexpected(&self, before: usize) -> FilterError {
        let position = before + self.end + 1;
        let near = match &self.token {
            Token::Word(word) if is_reserved(word) => word.to_ascii_lowercase(),
            Token::Word(text) | Token::Name(text) | Token::Text(text) | Token::Number(text) => text.clone(),
            Token::Symbol(_) | Token::End => {
                return FilterError::malformed(format!("syntax error at position {position}"));
            }
        };
        FilterError::malformed(format!("syntax error at position {position} near '{near}'"))
    }
}

/// Words that mean something, and so cannot be names without backticks.
const RESERVED: [&str; 22] = [
    "and", "as", "asc", "between", "by", "case", "desc", "escape", "exists", "group", "having", "in", "is",
    "like", "limit", "not", "null", "or", "order", "regexp", "select", "where",
];

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved))
}

/// Longest first.
const SYMBOLS: [&str; 25] = [
    "<=>", "<=", ">=", "<>", "!=", "&&", "||", "=", "<", ">", "!", "(", ")", ",", ".", ";", "+", "-", "*",
    "/", "%", "~", "^", "&", "|",
];

/// All tokens, the last of which is [`Token::End`].
pub(super) fn tokens(query: &str, before: usize) -> Result<Vec<Located>, FilterError> {
    let mut lexer = Lexer { query, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let next = lexer.next(before)?;
        let is_end = next.token == Token::End;
        tokens.push(next);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    query: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn next(&mut self, before: usize) -> Result<Located, FilterError> {
        self.skip_space_and_comments();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(self.located(Token::End)) };
        match first {
            '\'' | '"' => self.text(first, before),
            '`' => self.name(before),
            '0'..='9' => self.number(before),
            '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => self.number(before),
            c if is_word_start(c) => {
                let end = rest.find(|c: char| !is_word_start(c) && !c.is_ascii_digit()).unwrap_or(rest.len());
                self.at += end;
                Ok(self.located(Token::Word(rest[..end].to_owned())))
            }
            c => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
                Some(symbol) => {
                    self.at += symbol.len();
                    Ok(self.located(Token::Symbol(symbol)))
                }
                None => {
                    self.at += c.len_utf8();
                    Err(self.located(Token::Word(c.to_string())).unexpected(before))
                }
            },
        }
    }

    fn text(&mut self, quote: char, before: usize) -> Result<Located, FilterError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if c == quote {
                // A quote that is doubled stands for itself.
                if chars.next_if(|(_, next)| *next == quote).is_some() {
                    text.push(quote);
                    continue;
                }
                self.at += i + quote.len_utf8();
                return Ok(self.located(Token::Text(text)));
            }
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped)) => text.push(unescaped(escaped)),
                    None => break,
                },
                c => text.push(c),
            }
        }
        self.at = self.query.len();
        Err(self.located(Token::Text(text)).unexpected(before))
    }

    fn name(&mut self, before: usize) -> Result<Located, FilterError> {
        let inside = &self.rest()[1..];
        match inside.find('`') {
            Some(end) if end > 0 => {
                self.at += end + 2;
                Ok(self.located(Token::Name(inside[..end].to_owned())))
            }
            _ => {
                self.at = self.query.len();
                Err(self.located(Token::Word(inside.to_owned())).unexpected(before))
            }
        }
    }

    fn number(&mut self, before: usize) -> Result<Located, FilterError> {
        let rest = self.rest();
        let digits = |from: usize| {
            from + rest[from..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - from)
        };
        let mut end = digits(0);
        if rest[..end] == *"0" && rest[end..].starts_with(['x', 'X']) {
            end += 1 + rest[end + 1..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - end - 1);
        } else {
            if rest[end..].starts_with('.') {
                end = digits(end + 1);
            }
            if rest[end..].starts_with(['e', 'E']) {
                let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
                let exponent_end = digits(end + 1 + sign);
                if exponent_end > end + 1 + sign {
                    end = exponent_end;
                }
            }
        }
        self.at += end;
        let number = self.located(Token::Number(rest[..end].to_owned()));
        if self.rest().starts_with(is_word_start) { Err(number.unexpected(before)) } else { Ok(number) }
    }

    fn skip_space_and_comments(&mut self) {
        loop {
            let rest = self.rest().trim_start_matches([' ', '\n', '\r', '\t']);
            self.at = self.query.len() - rest.len();
            let comment = if rest.starts_with("--") || rest.starts_with('#') || rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(inside) = rest.strip_prefix("/*") {
                inside.find("*/").map_or(rest.len(), |end| end + 4)
            } else {
                return;
            };
            self.at += comment;
        }
    }

    fn rest(&self) -> &'a str {
        &self.query[self.at..]
    }

    fn located(&self, token: Token) -> Located {
        Located { token, end: self.at }
    }
}

fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || c == '@'
}

/// MySQL's escapes; anything else stands for itself.
fn unescaped(c: char) -> char {
    match c {
        '0' => '\0',
        'b' => '\x08',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'Z' => '\x1a',
        c => c,
    }
}
