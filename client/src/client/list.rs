//! Lists of workflows.

use std::collections::VecDeque;

use everlog_proto::api::workflowservice::v1::ListWorkflowExecutionsRequest;
use futures_util::stream::{self, Stream};

use super::pool::{Plan, rpc};
use super::{Client, Execution};
use crate::error::ClientError;

const PAGE_ROWS: i32 = 200;

/// The workflows that a filter matches, read page by page.
pub struct List {
    client: Client,
    filter: String,
    page_rows: i32,
}

impl List {
    pub(super) fn new(client: &Client, filter: String) -> Self {
        Self { client: client.clone(), filter, page_rows: PAGE_ROWS }
    }

    /// How many rows are asked for at once.
    pub fn page_rows(mut self, rows: u16) -> Self {
        self.page_rows = rows.max(1).into();
        self
    }

    /// The rows, as they come.
    pub fn stream(self) -> impl Stream<Item = Result<Execution, ClientError>> + Send {
        stream::try_unfold(Pages::new(self), |mut pages| async move {
            Ok(pages.next().await?.map(|row| (row, pages)))
        })
    }

    /// All rows.
    pub async fn collect(self) -> Result<Vec<Execution>, ClientError> {
        let mut pages = Pages::new(self);
        let mut rows = Vec::new();
        while let Some(row) = pages.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }
}

struct Pages {
    list: List,
    rows: VecDeque<Execution>,
    /// The place to go on from; `None` after the last page.
    token: Option<Vec<u8>>,
}

impl Pages {
    fn new(list: List) -> Self {
        Self { list, rows: VecDeque::new(), token: Some(Vec::new()) }
    }

    async fn next(&mut self) -> Result<Option<Execution>, ClientError> {
        loop {
            if let Some(row) = self.rows.pop_front() {
                return Ok(Some(row));
            }
            let Some(next_page_token) = self.token.take() else { return Ok(None) };
            let request = ListWorkflowExecutionsRequest {
                namespace: self.list.client.namespace().to_owned(),
                page_size: self.list.page_rows,
                next_page_token,
                query: self.list.filter.clone(),
            };
            let response = rpc!(self.list.client.pool, Plan::quick(), list_workflow_executions, request)?;
            self.rows = response.executions.into_iter().map(Execution::from_wire).collect();
            self.token = Some(response.next_page_token).filter(|token| !token.is_empty());
        }
    }
}
