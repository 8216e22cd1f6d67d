//! Lists: the row of a run, the language that filters rows, and the order in which they are paged.
//!
//! A row is written in the same apply as the history, so a list sees every write that was acknowledged
//! before it. Rows lie in the tables in list order, found through an index where that leaves out many; a
//! list is a scan that decodes, filters and merges.
//! The row of an open run holds nothing that grows with each event: as in the real server, lengths and
//! sizes appear when the run closes.
//!
//! The filter language is the real server's, with its answers to what it refuses: they were taken down
//! from a server 1.32 with an SQL store.

mod datetime;
mod fields;
mod filter;
pub mod index;
mod json;
mod lexer;
mod page;
mod plan;
mod row;
mod search;
pub(crate) mod syntax;
mod value;

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod property;
#[cfg(test)]
mod stories;

pub(crate) use self::{datetime::parse as parse_datetime, fields::NAMESPACE_DIVISION};
pub use self::{
    fields::OfOperation,
    filter::{Filter, FilterError, GroupBy, Subject},
    page::{Counts, Found, PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX, PageToken, Part, merge},
    row::{Closed, Parent, Row, payload_bytes},
    search::{Rows, Search, Stored},
    syntax::check_batch,
};

/// Longer queries are refused before they are read.
pub const QUERY_BYTES_MAX: usize = 64 << 10;
/// How deeply a query may nest parentheses and negations.
pub const QUERY_DEPTH_MAX: usize = 32;
/// Comparisons in one query.
pub const QUERY_TERMS_MAX: usize = 64;
/// Values in one `IN (...)`.
pub const QUERY_IN_VALUES_MAX: usize = 1_000;
