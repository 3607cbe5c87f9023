//! Words grouped as Caddy groups them: global options, sites with their directives, snippets.

use super::lexer::{Token, lex, line_at};
use super::problem::Problem;

/// Blocks within blocks: more than anybody writes, few enough for any stack.
const DEEPEST: usize = 64;

/// A directive: its words, and the block behind them.
#[derive(Debug)]
pub(super) struct Directive {
    pub(super) words: Vec<Token>,
    pub(super) block: Vec<Directive>,
}

impl Directive {
    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", |word| word.text.as_str())
    }
}

/// A site, or a snippet, which looks the same.
#[derive(Debug)]
pub(super) struct Site {
    /// Its addresses, without commas.
    pub(super) keys: Vec<Token>,
    pub(super) directives: Vec<Directive>,
    /// Whether its directives stand in braces: only the one site of a file may do without.
    pub(super) braced: bool,
}

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) sites: Vec<Site>,
    /// Imports outside of any site.
    pub(super) imports: Vec<Token>,
}

/// Takes a file apart.
pub(super) fn parse(text: &str) -> Result<File, Problem> {
    let tokens = lex(text)?;
    if let Some(brace) = tokens.iter().find(|token| token.quoted && matches!(token.text.as_str(), "{" | "}"))
    {
        // Versions of Caddy differ in whether this is a brace.
        let line = line_at(text, brace.span.start);
        return Err(Problem::Syntax { line, what: "a brace in quotes; write it another way".to_owned() });
    }
    let mut parser = Parser { text, tokens, at: 0 };
    let mut file = File::default();
    if parser.peek().is_some_and(|token| token.is("{")) {
        parser.at += 1;
        parser.block(0)?;
    }
    while let Some(token) = parser.peek() {
        if token.text == "import" && !token.quoted {
            file.imports.extend(parser.line());
        } else {
            file.sites.push(parser.site()?);
        }
    }
    Ok(file)
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn problem(&self, token: Option<&Token>, what: &str) -> Problem {
        let at = token.map_or(self.text.len(), |token| token.span.start);
        Problem::Syntax { line: line_at(self.text, at), what: what.to_owned() }
    }

    /// Whether the next word is on the line of the one before it.
    fn goes_on(&self) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        matches!((before, self.peek()), (Some(before), Some(next)) if !next.begins_line_after(before))
    }

    /// The words up to the end of the line, or to a brace.
    fn line(&mut self) -> Vec<Token> {
        let mut words: Vec<Token> = Vec::new();
        while let Some(token) = self.peek() {
            if !words.is_empty() && (!self.goes_on() || token.is("{") || token.is("}")) {
                break;
            }
            words.push(token.clone());
            self.at += 1;
        }
        words
    }

    fn site(&mut self) -> Result<Site, Problem> {
        let mut keys: Vec<Token> = Vec::new();
        let mut another = true;
        while let Some(token) = self.peek().filter(|token| !token.is("{")).cloned() {
            if !keys.is_empty() && !another && !self.goes_on() {
                break;
            }
            if token.is("}") {
                return Err(self.problem(Some(&token), "a closing brace without an opening one"));
            }
            another = token.text.ends_with(',');
            let text = token.text.trim_end_matches(',').to_owned();
            keys.push(Token { text, ..token });
            self.at += 1;
        }
        if keys.is_empty() {
            return Err(self.problem(self.peek(), "a block without an address"));
        }
        if self.peek().is_some_and(|token| token.is("{")) {
            self.at += 1;
            let directives = self.block(0)?;
            return Ok(Site { keys, directives, braced: true });
        }
        let mut directives = Vec::new();
        while self.peek().is_some() {
            directives.push(self.directive(0)?);
        }
        Ok(Site { keys, directives, braced: false })
    }

    /// What follows an opening brace, its closing brace included.
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, Problem> {
        let open = self.at.checked_sub(1).and_then(|at| self.tokens.get(at)).cloned();
        if depth > DEEPEST {
            return Err(self.problem(open.as_ref(), "blocks are nested too deeply"));
        }
        let mut directives = Vec::new();
        loop {
            match self.peek() {
                None => return Err(self.problem(open.as_ref(), "a brace is opened here and never closed")),
                Some(token) if token.is("}") => {
                    self.at += 1;
                    return Ok(directives);
                }
                Some(_) => directives.push(self.directive(depth)?),
            }
        }
    }

    fn directive(&mut self, depth: usize) -> Result<Directive, Problem> {
        if let Some(brace) = self.peek().filter(|token| token.is("{") || token.is("}")) {
            return Err(self.problem(Some(brace), "a brace where a directive should begin"));
        }
        let words = self.line();
        let mut block = Vec::new();
        if self.goes_on() && self.peek().is_some_and(|token| token.is("{")) {
            self.at += 1;
            block = self.block(depth + 1)?;
        }
        Ok(Directive { words, block })
    }
}
