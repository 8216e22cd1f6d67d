//! `select!` and `join!`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Expr, Ident, Pat, Token};

struct Select {
    branches: Vec<Branch>,
}

struct Branch {
    pattern: Pat,
    future: Expr,
    body: Expr,
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        // The context may be named first, as in `select! { cx; ..`, and is not needed.
        if input.peek(Ident) && input.peek2(Token![;]) {
            input.parse::<Ident>()?;
            input.parse::<Token![;]>()?;
        }
        let mut branches = Vec::new();
        while !input.is_empty() {
            branches.push(input.parse()?);
        }
        if branches.is_empty() {
            return Err(input.error("select! needs at least one branch: `pattern = future => expression`"));
        }
        Ok(Self { branches })
    }
}

impl Parse for Branch {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let pattern = Pat::parse_single(input)?;
        input.parse::<Token![=]>()?;
        let future = input.parse()?;
        input.parse::<Token![=>]>()?;
        let body = Expr::parse_with_earlier_boundary_rule(input)?;
        let is_block = matches!(
            body,
            Expr::Block(_)
                | Expr::If(_)
                | Expr::Match(_)
                | Expr::Loop(_)
                | Expr::While(_)
                | Expr::ForLoop(_)
                | Expr::Unsafe(_)
        );
        if input.peek(Token![,]) || !(is_block || input.is_empty()) {
            input.parse::<Token![,]>()?;
        }
        Ok(Self { pattern, future, body })
    }
}

pub(crate) fn select(input: TokenStream) -> syn::Result<TokenStream> {
    let Select { branches } = syn::parse2(input)?;
    let count = branches.len();
    let variants: Vec<_> = (0..count).map(|n| format_ident!("Branch{n}")).collect();
    let futures: Vec<_> = (0..count).map(|n| format_ident!("__future{n}")).collect();
    let sources = branches.iter().map(|branch| &branch.future);
    let patterns = branches.iter().map(|branch| &branch.pattern);
    let bodies = branches.iter().map(|branch| &branch.body);
    Ok(quote! {{
        enum __Winner<#(#variants),*> { #(#variants(#variants)),* }
        let __winner = {
            #(let mut #futures = ::core::pin::pin!(::core::future::IntoFuture::into_future(#sources));)*
            let __first = ::core::future::poll_fn(|__context| {
                #(
                    if let ::core::task::Poll::Ready(__output) =
                        ::core::future::Future::poll(#futures.as_mut(), __context)
                    {
                        return ::core::task::Poll::Ready(__Winner::#variants(__output));
                    }
                )*
                ::core::task::Poll::Pending
            })
            .await;
            __first
        };
        match __winner {
            #(__Winner::#variants(#patterns) => #bodies,)*
        }
    }})
}

pub(crate) fn join(input: TokenStream) -> syn::Result<TokenStream> {
    let sources = syn::parse::Parser::parse2(Punctuated::<Expr, Token![,]>::parse_terminated, input)?;
    let futures: Vec<_> = (0..sources.len()).map(|n| format_ident!("__future{n}")).collect();
    let sources = sources.iter();
    Ok(quote! {{
        #(let mut #futures = ::everlog_client::workflow::MaybeDone::new(#sources);)*
        ::core::future::poll_fn(|__context| {
            let mut __done = true;
            #(__done &= #futures.poll_done(__context);)*
            if __done { ::core::task::Poll::Ready(()) } else { ::core::task::Poll::Pending }
        })
        .await;
        (#(#futures.into_output(),)*)
    }})
}
