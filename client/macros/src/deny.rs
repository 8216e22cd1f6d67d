//! What may not stand in the body of a workflow, because it differs from one replay to the next.
//!
//! This looks at tokens, so it also sees into macros, and it knows names only, so it does not see what a
//! called function does. It is the first of several guards: the engine finds at run time what is missed here.

use proc_macro2::{Spacing, TokenStream, TokenTree};

/// A path, and what to do instead. The last part of a path may be anything if it is `*`.
struct Rule {
    path: &'static [&'static str],
    instead: &'static str,
}

const ORDER: &str = "its order is random, so a replay would differ; use `BTreeMap` or `BTreeSet`";
const CLOCK: &str = "the clock would show another time in a replay; use `cx.now()`";
const CHANCE: &str = "a replay would draw other numbers; use `cx.random()` or `cx.uuid()`";
const TASKS: &str =
    "a workflow runs on no async runtime; use `cx.sleep()`, `select!`, `join!`, `cx.join_all()`";
const THREADS: &str = "a workflow may not block or start threads; use `cx.sleep()`, or do it in an activity";
const OUTSIDE: &str = "a replay would see another outside world; do it in an activity";

const RULES: &[Rule] = &[
    Rule { path: &["HashMap"], instead: ORDER },
    Rule { path: &["HashSet"], instead: ORDER },
    Rule { path: &["SystemTime", "now"], instead: CLOCK },
    Rule { path: &["Instant", "now"], instead: CLOCK },
    Rule { path: &["Utc", "now"], instead: CLOCK },
    Rule { path: &["Local", "now"], instead: CLOCK },
    Rule { path: &["OffsetDateTime", "now_utc"], instead: CLOCK },
    Rule { path: &["rand", "*"], instead: CHANCE },
    Rule { path: &["fastrand", "*"], instead: CHANCE },
    Rule { path: &["getrandom", "*"], instead: CHANCE },
    Rule { path: &["Uuid", "new_v4"], instead: CHANCE },
    Rule { path: &["Uuid", "now_v7"], instead: CHANCE },
    Rule { path: &["tokio", "*"], instead: TASKS },
    Rule { path: &["async_std", "*"], instead: TASKS },
    Rule { path: &["futures", "select"], instead: TASKS },
    Rule { path: &["futures_util", "select"], instead: TASKS },
    Rule { path: &["thread", "sleep"], instead: THREADS },
    Rule { path: &["thread", "spawn"], instead: THREADS },
    Rule { path: &["std", "fs"], instead: OUTSIDE },
    Rule { path: &["std", "env"], instead: OUTSIDE },
    Rule { path: &["std", "net"], instead: OUTSIDE },
    Rule { path: &["std", "process"], instead: OUTSIDE },
    Rule { path: &["fs", "*"], instead: OUTSIDE },
    Rule { path: &["env", "*"], instead: OUTSIDE },
    Rule { path: &["reqwest", "*"], instead: OUTSIDE },
];

/// An error for every forbidden thing in `body`.
pub(crate) fn check(body: TokenStream) -> syn::Result<()> {
    let mut found: Option<syn::Error> = None;
    scan(body, &mut |error| match &mut found {
        Some(all) => all.combine(error),
        None => found = Some(error),
    });
    found.map_or(Ok(()), Err)
}

fn scan(stream: TokenStream, report: &mut impl FnMut(syn::Error)) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        // What `cx.run(..)` computes is kept in the history, so it may be anything.
        if is_run(&tokens[at..]) {
            at += 3;
            continue;
        }
        if let TokenTree::Group(group) = &tokens[at] {
            scan(group.stream(), report);
        }
        if is_elapsed(&tokens[at..]) {
            let message = format!("`.elapsed()` is not allowed in a workflow: {CLOCK} and subtract");
            report(syn::Error::new(tokens[at + 1].span(), message));
        }
        // One report a place: `std::thread::sleep` is not also a `thread::sleep`.
        let hit = RULES.iter().find_map(|rule| Some((rule, matches(rule.path, &tokens[at..])?)));
        if let Some((rule, length)) = hit {
            let what = rule.path.join("::").replace("::*", "");
            let message = format!("`{what}` is not allowed in a workflow: {}", rule.instead);
            report(syn::Error::new(tokens[at].span(), message));
            at += length;
        } else {
            at += 1;
        }
    }
}

/// How many tokens the path takes, if `tokens` begin with it.
fn matches(path: &[&str], tokens: &[TokenTree]) -> Option<usize> {
    let mut at = 0;
    for (position, part) in path.iter().enumerate() {
        if position > 0 {
            at += separator(&tokens[at..])?;
        }
        if *part == "*" {
            return Some(at);
        }
        match tokens.get(at) {
            Some(TokenTree::Ident(ident)) if ident == part => at += 1,
            _ => return None,
        }
    }
    Some(at)
}

/// The length of a `::` at the beginning.
fn separator(tokens: &[TokenTree]) -> Option<usize> {
    match tokens {
        [TokenTree::Punct(first), TokenTree::Punct(second), ..]
            if first.as_char() == ':' && first.spacing() == Spacing::Joint && second.as_char() == ':' =>
        {
            Some(2)
        }
        _ => None,
    }
}

fn is_elapsed(tokens: &[TokenTree]) -> bool {
    is_call_of("elapsed", tokens)
}

fn is_run(tokens: &[TokenTree]) -> bool {
    is_call_of("run", tokens)
}

fn is_call_of(method: &str, tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(_), ..]
        if dot.as_char() == '.' && name == method)
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::check;

    fn errors(body: proc_macro2::TokenStream) -> Vec<String> {
        check(body).err().into_iter().flatten().map(|error| error.to_string()).collect()
    }

    #[test]
    fn sees_into_blocks_and_macros() {
        let found = errors(quote! {
            { if true { let map = std::collections::HashMap::new(); } }
            select! { cx; _ = tokio::time::sleep(d) => { std::thread::sleep(d) } }
            let took = started.elapsed();
        });
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[1].contains("cx.sleep()"), "{found:#?}");
    }

    #[test]
    fn lets_ordinary_code_pass() {
        assert!(
            errors(quote! {
                let rand = cx.random();
                let env = sub.env;
                let map = BTreeMap::new();
                let when = SystemTime::UNIX_EPOCH;
                cx.sleep(d).await?;
                let seen = cx.run("clock", || SystemTime::now()).await;
            })
            .is_empty()
        );
    }
}
