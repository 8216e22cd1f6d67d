//! What clients see of the public API, told with a node that answers as it is told.

mod admission;
mod history;
mod namespaces;
mod routing;
mod workers;
