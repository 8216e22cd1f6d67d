//! The attributes and macros of `everlog-client`; see there.

mod app_error;
mod combine;
mod deny;
mod duration;
mod function;

use proc_macro::TokenStream;

/// Makes a workflow of an `async fn(cx: &Cx, ..) -> Result<..>`.
///
/// The function's name becomes a value and a type that stand for the workflow: `worker.workflow(name)`,
/// `client.start(name, input)`, `client.handle::<name>(id)`. Options: `name = "..."` sets the name on the
/// wire; `unchecked` lifts the ban on things that differ from one replay to the next.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(function::workflow(options.into(), item.into()))
}

/// Makes an activity of an `async fn([acx: &Acx,] ..) -> Result<..>`.
///
/// Options: `start_to_close`, `schedule_to_close`, `schedule_to_start`, `heartbeat`, each a text such as
/// `"30s"`, of which the first or the second must be given; `retry(max = 5, initial = "1s", backoff = 2.0,
/// max_interval = "1m", never = "Kind")`; `queue = "..."`; `name = "..."`.
#[proc_macro_attribute]
pub fn activity(options: TokenStream, item: TokenStream) -> TokenStream {
    finish(function::activity(options.into(), item.into()))
}

/// Makes an error fit for the wire. `#[retryable(false)]` on the type or on a variant forbids another attempt.
#[proc_macro_derive(AppError, attributes(retryable))]
pub fn app_error(item: TokenStream) -> TokenStream {
    finish(app_error::derive(item.into()))
}

/// Waits for the first of several futures, asked in the order of the source, and cancels the others:
/// `select! { cx; pattern = future => expression, .. }`.
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    finish(combine::select(input.into()))
}

/// Waits for all of several futures at the same time, and returns a tuple of their results:
/// `join!(a, b)`.
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    finish(combine::join(input.into()))
}

fn finish(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(|error| error.to_compile_error()).into()
}
