//! `#[workflow]` and `#[activity]`.
//!
//! Each turns the function into a unit type of the same name, so that one name carries the types of the
//! arguments, the result and the error to every place where it is used. A unit type cannot be called, so
//! calling an activity directly, around the history, does not compile.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, ItemFn, LitFloat, LitInt, LitStr, ReturnType, Type};

use crate::{deny, duration};

pub(crate) fn workflow(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let mut name = None;
    let mut unchecked = false;
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("name") {
            name = Some(meta.value()?.parse::<LitStr>()?);
            Ok(())
        } else if meta.path.is_ident("unchecked") {
            unchecked = true;
            Ok(())
        } else {
            Err(meta.error("unknown option; known are `name = \"..\"` and `unchecked`"))
        }
    });
    parser.parse2(options)?;
    if !unchecked {
        deny::check(function.block.to_token_stream())?;
    }
    let parts = Parts::new(&function, "Cx")?;
    if parts.context.is_none() {
        return Err(syn::Error::new(
            function.sig.paren_token.span.join(),
            "the first argument of a workflow must be its context: `cx: &Cx`",
        ));
    }
    let name =
        name.unwrap_or_else(|| LitStr::new(&function.sig.ident.to_string(), function.sig.ident.span()));
    Ok(parts.expand(&quote!(::everlog_client::workflow::Workflow), &name, &quote!(Cx), quote!('static), None))
}

pub(crate) fn activity(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    let mut name = None;
    let mut settings = Vec::new();
    let mut bounded = false;
    let parser = syn::meta::parser(|meta| {
        let option = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match option.as_str() {
            "name" => name = Some(meta.value()?.parse::<LitStr>()?),
            "queue" => {
                let queue: LitStr = meta.value()?.parse()?;
                settings.push(quote!(__options.queue = ::core::option::Option::Some(#queue.into());));
            }
            "start_to_close" | "schedule_to_close" | "schedule_to_start" | "heartbeat" => {
                bounded |= option.ends_with("_to_close");
                let field = format_ident!("{option}");
                let timeout = parse_duration(&meta)?;
                settings.push(quote!(__options.#field = ::core::option::Option::Some(#timeout);));
            }
            "retry" => {
                let retry = parse_retry(&meta)?;
                settings.push(quote!(__options.retry = ::core::option::Option::Some(#retry);));
            }
            _ => {
                return Err(meta.error(
                    "unknown option; known are `start_to_close`, `schedule_to_close`, `schedule_to_start`, \
                     `heartbeat`, `retry(..)`, `queue` and `name`",
                ));
            }
        }
        Ok(())
    });
    parser.parse2(options)?;
    if !bounded {
        return Err(syn::Error::new(
            function.sig.ident.span(),
            "an activity needs a bound in time: `#[activity(start_to_close = \"30s\")]` for one attempt, or \
             `schedule_to_close` for all of them",
        ));
    }
    let parts = Parts::new(&function, "Acx")?;
    let name =
        name.unwrap_or_else(|| LitStr::new(&function.sig.ident.to_string(), function.sig.ident.span()));
    let options = quote! {
        fn options(&self) -> ::everlog_client::activity::ActivityOptions {
            let mut __options = ::everlog_client::activity::ActivityOptions::default();
            #(#settings)*
            __options
        }
    };
    let bounds = quote!(::core::marker::Send + 'static);
    Ok(parts.expand(
        &quote!(::everlog_client::activity::Activity),
        &name,
        &quote!(Acx),
        bounds,
        Some(options),
    ))
}

/// A function, taken apart.
struct Parts<'a> {
    function: &'a ItemFn,
    /// The type of the context's argument, if there is one.
    context: Option<&'a Type>,
    arguments: Vec<&'a Type>,
    output: &'a Type,
}

impl<'a> Parts<'a> {
    fn new(function: &'a ItemFn, context_name: &str) -> syn::Result<Self> {
        let signature = &function.sig;
        if signature.asyncness.is_none() {
            return Err(syn::Error::new(signature.fn_token.span, "the function must be `async`"));
        }
        if !signature.generics.params.is_empty() {
            let message = "the function cannot be generic: its name on the wire stands for one signature";
            return Err(syn::Error::new(signature.generics.span(), message));
        }
        let ReturnType::Type(_, output) = &signature.output else {
            let message = "the function must return a `Result`, for example `Result<()>`";
            return Err(syn::Error::new(signature.ident.span(), message));
        };
        let mut types = Vec::new();
        for argument in &signature.inputs {
            match argument {
                FnArg::Typed(argument) => types.push(&*argument.ty),
                FnArg::Receiver(receiver) => {
                    return Err(syn::Error::new(receiver.span(), "the function cannot have `self`"));
                }
            }
        }
        let context = types.first().copied().filter(|first| is_reference_to(first, context_name));
        let arguments: Vec<_> = types.into_iter().skip(usize::from(context.is_some())).collect();
        for argument in &arguments {
            if let Type::Reference(reference) = argument {
                let message =
                    "arguments travel over the wire, so they must be owned; only the context is borrowed";
                return Err(syn::Error::new(reference.span(), message));
            }
        }
        Ok(Self { function, context, arguments, output })
    }

    fn expand(
        &self,
        interface: &TokenStream,
        wire_name: &LitStr,
        context_type: &TokenStream,
        future_bounds: TokenStream,
        extra: Option<TokenStream>,
    ) -> TokenStream {
        let ItemFn { attrs, vis, sig, block } = self.function;
        let is = |names: &'static [&'static str]| {
            move |attribute: &&Attribute| names.iter().any(|name| attribute.path().is_ident(name))
        };
        let conditions: Vec<_> = attrs.iter().filter(is(&["cfg"])).collect();
        let docs = attrs.iter().filter(is(&["doc", "deprecated"]));
        let lints = attrs.iter().filter(is(&["allow", "warn", "deny", "forbid", "expect"]));
        let rest = attrs.iter().filter(|attribute| {
            !is(&["cfg", "doc", "deprecated", "allow", "warn", "deny", "forbid", "expect"])(attribute)
        });
        let name = &sig.ident;
        let output = self.output;
        let arguments = &self.arguments;
        let (input_type, names) = match arguments.as_slice() {
            [] => (quote!(()), Vec::new()),
            [one] => (one.to_token_stream(), vec![format_ident!("__argument0")]),
            many => (quote!((#(#many),*)), (0..many.len()).map(|n| format_ident!("__argument{n}")).collect()),
        };
        let pattern = match names.as_slice() {
            [] => quote!(_),
            [one] => quote!(#one),
            many => quote!((#(#many),*)),
        };
        let decoded = arguments.iter().enumerate().map(|(position, argument)| {
            quote_spanned!(argument.span()=> ::everlog_client::codec::decode_at::<#argument>(__payloads, #position)?)
        });
        let decoded = match arguments.len() {
            0 => quote!(()),
            1 => quote!(#(#decoded)*),
            _ => quote!((#(#decoded),*)),
        };
        let encoded = names.iter().zip(arguments).map(|(argument, kind)| {
            quote_spanned!(kind.span()=> ::everlog_client::codec::encode::<#kind>(#argument)?)
        });
        let mut body = sig.clone();
        body.ident = format_ident!("__body", span = Span::mixed_site());
        let inputs = &body.inputs;
        let body_name = &body.ident;
        let context = self.context.is_some().then(|| quote!(&__context,));
        quote! {
            #(#conditions)*
            #(#docs)*
            #[allow(non_camel_case_types)]
            #[derive(Clone, Copy, Debug)]
            #vis struct #name;

            #(#conditions)*
            #(#lints)*
            impl #interface for #name {
                type Input = #input_type;
                type Output = <#output as ::everlog_client::__private::IsResult>::Ok;
                type Error = <#output as ::everlog_client::__private::IsResult>::Err;
                const NAME: &'static str = #wire_name;

                fn encode(
                    __input: &Self::Input,
                ) -> ::core::result::Result<::everlog_client::codec::Payloads, ::everlog_client::codec::CodecError>
                {
                    let #pattern = __input;
                    ::core::result::Result::Ok(::everlog_client::codec::Payloads {
                        payloads: ::std::vec![#(#encoded),*],
                    })
                }

                fn decode(
                    __payloads: ::core::option::Option<&::everlog_client::codec::Payloads>,
                ) -> ::core::result::Result<Self::Input, ::everlog_client::codec::CodecError> {
                    ::core::result::Result::Ok(#decoded)
                }

                fn run(
                    __context: ::everlog_client::#context_type,
                    __input: Self::Input,
                ) -> impl ::core::future::Future<Output = ::core::result::Result<Self::Output, Self::Error>>
                       + #future_bounds {
                    #(#rest)*
                    async fn #body_name(#inputs) -> #output #block
                    async move {
                        let #pattern = __input;
                        #body_name(#context #(#names),*).await
                    }
                }

                #extra
            }
        }
    }
}

fn is_reference_to(kind: &Type, name: &str) -> bool {
    let Type::Reference(reference) = kind else { return false };
    let Type::Path(path) = &*reference.elem else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

fn parse_duration(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let millis = duration::millis(&meta.value()?.parse()?)?;
    Ok(quote!(::core::time::Duration::from_millis(#millis)))
}

fn parse_retry(meta: &ParseNestedMeta<'_>) -> syn::Result<TokenStream> {
    let mut calls = Vec::new();
    meta.parse_nested_meta(|option| {
        if option.path.is_ident("max") {
            let attempts: LitInt = option.value()?.parse()?;
            calls.push(quote!(.max(#attempts)));
        } else if option.path.is_ident("backoff") {
            let value = option.value()?;
            let factor = match value.parse::<LitFloat>() {
                Ok(factor) => factor.to_token_stream(),
                Err(_) => {
                    let factor: LitInt = value.parse()?;
                    quote!(#factor as f64)
                }
            };
            calls.push(quote!(.backoff(#factor)));
        } else if option.path.is_ident("initial") {
            let interval = parse_duration(&option)?;
            calls.push(quote!(.initial(#interval)));
        } else if option.path.is_ident("max_interval") {
            let interval = parse_duration(&option)?;
            calls.push(quote!(.max_interval(#interval)));
        } else if option.path.is_ident("never") {
            let kind: LitStr = option.value()?.parse()?;
            calls.push(quote!(.never(#kind)));
        } else {
            return Err(option.error(
                "unknown option of `retry`; known are `max`, `initial`, `backoff`, `max_interval` and `never`",
            ));
        }
        Ok(())
    })?;
    Ok(quote!(::everlog_client::Retry::new() #(#calls)*))
}
