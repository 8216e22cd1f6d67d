//! `#[derive(AppError)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Data, DeriveInput, LitBool};

pub(crate) fn derive(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let name = &input.ident;
    let kind = name.to_string();
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    let otherwise = retryable(&input.attrs)?.unwrap_or(true);
    let mut arms = Vec::new();
    if let Data::Enum(data) = &input.data {
        for variant in &data.variants {
            if let Some(retryable) = retryable(&variant.attrs)? {
                let variant = &variant.ident;
                arms.push(quote!(#name::#variant { .. } => #retryable,));
            }
        }
    }
    let retryable = if arms.is_empty() {
        quote!(#otherwise)
    } else {
        quote! {
            #[allow(unreachable_patterns)]
            match self { #(#arms)* _ => #otherwise }
        }
    };
    Ok(quote! {
        impl #impl_generics ::everlog_client::AppError for #name #type_generics #where_clause {
            fn kind(&self) -> ::std::string::String {
                #kind.into()
            }
            fn retryable(&self) -> bool {
                #retryable
            }
            fn is_cancelled(&self) -> bool {
                ::everlog_client::is_cancelled(self)
            }
            fn details(&self) -> ::core::option::Option<::everlog_client::codec::Payload> {
                ::everlog_client::codec::encode(self).ok()
            }
            fn restore(
                remote: &::everlog_client::RemoteError,
                details: ::core::option::Option<&::everlog_client::codec::Payload>,
            ) -> ::core::option::Option<Self> {
                if remote.kind != #kind {
                    return ::core::option::Option::None;
                }
                ::everlog_client::codec::decode(details?).ok()
            }
        }
    })
}

fn retryable(attributes: &[Attribute]) -> syn::Result<Option<bool>> {
    let Some(attribute) = attributes.iter().find(|attribute| attribute.path().is_ident("retryable")) else {
        return Ok(None);
    };
    Ok(Some(attribute.parse_args::<LitBool>()?.value))
}
