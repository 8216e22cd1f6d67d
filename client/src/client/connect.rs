//! Connecting to a cluster.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use everlog_proto::api::workflowservice::v1::GetSystemInfoRequest;
use tonic::Code;

use super::pool::{Plan, Pool, rpc};
use super::{Client, DEFAULT_QUEUE};
use crate::error::ClientError;

/// How long calls are tried, unless the client says otherwise.
const DEADLINE: Duration = Duration::from_secs(10);

/// The addresses of the nodes of a cluster.
#[derive(Debug, Clone, Default)]
pub struct Addresses(Vec<String>);

impl From<&str> for Addresses {
    /// One address, or several with commas between them.
    fn from(text: &str) -> Self {
        Self(text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect())
    }
}

impl From<String> for Addresses {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<&String> for Addresses {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl<T: Into<String>> From<Vec<T>> for Addresses {
    fn from(list: Vec<T>) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<String>, const N: usize> From<[T; N]> for Addresses {
    fn from(list: [T; N]) -> Self {
        Self(list.into_iter().map(Into::into).collect())
    }
}

impl IntoIterator for Addresses {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A connection that is being made; `.await` makes it.
#[must_use = "nothing is connected until it is awaited"]
pub struct Connect {
    addresses: Addresses,
    namespace: String,
    identity: Option<String>,
    queue: String,
    deadline: Duration,
    lazy: bool,
}

impl Connect {
    pub(super) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            namespace: "default".into(),
            identity: None,
            queue: DEFAULT_QUEUE.into(),
            deadline: DEADLINE,
            lazy: false,
        }
    }

    /// The namespace; `default` if none is named.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The task queue on which this client starts workflows unless they name another.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.queue = queue.into();
        self
    }

    /// The name by which histories remember this client; the process id and a random part if none is given.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// How long a call is tried before it fails; ten seconds if nothing is said.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Does not wait for a node to answer: the first call will.
    pub fn lazy(mut self) -> Self {
        self.lazy = true;
        self
    }

    async fn run(self) -> Result<Client, ClientError> {
        let identity = self.identity.unwrap_or_else(|| {
            let random = uuid::Uuid::new_v4().simple().to_string();
            format!("{}@{}", std::process::id(), &random[..8])
        });
        let pool = Arc::new(Pool::new(self.addresses, self.namespace, identity, self.deadline)?);
        if !self.lazy {
            match rpc!(pool, Plan::quick(), get_system_info, GetSystemInfoRequest {}) {
                Ok(_) => {}
                Err(error) if error.code() == Some(Code::Unimplemented) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Client { pool, queue: self.queue.into() })
    }
}

impl IntoFuture for Connect {
    type Output = Result<Client, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
