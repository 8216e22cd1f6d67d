//! Lists and counts of workflows.
//!
//! The older forms of listing are filters that the newer form can express, so they are rewritten into
//! its query language.

use everlog_engine::time::Time;
use everlog_proto::api::{
    enums::v1::WorkflowExecutionStatus,
    filter::v1::StartTimeFilter,
    workflowservice::v1::{
        CountWorkflowExecutionsRequest, ListClosedWorkflowExecutionsRequest,
        ListClosedWorkflowExecutionsResponse, ListOpenWorkflowExecutionsRequest,
        ListOpenWorkflowExecutionsResponse, ListWorkflowExecutionsRequest, ListWorkflowExecutionsResponse,
        ScanWorkflowExecutionsRequest, ScanWorkflowExecutionsResponse,
        list_closed_workflow_executions_request, list_open_workflow_executions_request,
    },
};
use tonic::Status;

use super::{
    backend::WorkflowPage,
    call::{Answer, Scope, encode},
    status,
};
use crate::route::Failure;

pub(super) async fn list(scope: Scope, request: ListWorkflowExecutionsRequest) -> Answer {
    let page = page(&scope, &request.query, request.page_size, &request.next_page_token).await?;
    let WorkflowPage { executions, next_page_token } = page;
    Ok(encode(&ListWorkflowExecutionsResponse { executions, next_page_token }))
}

pub(super) async fn scan(scope: Scope, request: ScanWorkflowExecutionsRequest) -> Answer {
    let page = page(&scope, &request.query, request.page_size, &request.next_page_token).await?;
    let WorkflowPage { executions, next_page_token } = page;
    Ok(encode(&ScanWorkflowExecutionsResponse { executions, next_page_token }))
}

pub(super) async fn list_open(scope: Scope, request: ListOpenWorkflowExecutionsRequest) -> Answer {
    use list_open_workflow_executions_request::Filters;
    let mut terms = vec!["ExecutionStatus = 'Running'".to_owned()];
    terms.extend(time_terms("StartTime", request.start_time_filter.as_ref())?);
    if request.filters.is_some() {
        check_filter_allowed(&scope)?;
    }
    match &request.filters {
        Some(Filters::ExecutionFilter(filter)) => terms.push(equals("WorkflowId", &filter.workflow_id)),
        Some(Filters::TypeFilter(filter)) => terms.push(equals("WorkflowType", &filter.name)),
        None => {}
    }
    let query = terms.join(" AND ");
    let page = page(&scope, &query, request.maximum_page_size, &request.next_page_token).await?;
    let WorkflowPage { executions, next_page_token } = page;
    Ok(encode(&ListOpenWorkflowExecutionsResponse { executions, next_page_token }))
}

pub(super) async fn list_closed(scope: Scope, request: ListClosedWorkflowExecutionsRequest) -> Answer {
    use list_closed_workflow_executions_request::Filters;
    let mut terms = vec!["ExecutionStatus != 'Running'".to_owned()];
    terms.extend(time_terms("CloseTime", request.start_time_filter.as_ref())?);
    if request.filters.is_some() {
        check_filter_allowed(&scope)?;
    }
    match &request.filters {
        Some(Filters::ExecutionFilter(filter)) => terms.push(equals("WorkflowId", &filter.workflow_id)),
        Some(Filters::TypeFilter(filter)) => terms.push(equals("WorkflowType", &filter.name)),
        Some(Filters::StatusFilter(filter)) => match status_name(filter.status()) {
            Some(name) => terms.push(equals("ExecutionStatus", name)),
            None => {
                return Err(Status::invalid_argument(
                    "StatusFilter must be specified and must be not Running.",
                ));
            }
        },
        None => {}
    }
    let query = terms.join(" AND ");
    let page = page(&scope, &query, request.maximum_page_size, &request.next_page_token).await?;
    let WorkflowPage { executions, next_page_token } = page;
    Ok(encode(&ListClosedWorkflowExecutionsResponse { executions, next_page_token }))
}

pub(super) async fn count(scope: Scope, request: CountWorkflowExecutionsRequest) -> Answer {
    let counted = scope.call.shared.backend.count(scope.namespace_id(), &request.query).await;
    Ok(encode(&counted.map_err(|error| Failure::from(error).into_status())?))
}

/// How many rows a page has, if a caller wants so many.
pub(super) fn page_rows(scope: &Scope, asked: i32) -> usize {
    let max = scope.call.shared.api(&scope.namespace.name).visibility_page_rows_max.max(1);
    match usize::try_from(asked) {
        Ok(0) | Err(_) => max,
        Ok(asked) => asked.min(max),
    }
}

async fn page(scope: &Scope, query: &str, asked: i32, token: &[u8]) -> Result<WorkflowPage, Status> {
    let rows = page_rows(scope, asked);
    let page = scope.call.shared.backend.list(scope.namespace_id(), query, rows, token).await;
    page.map_err(|error| Failure::from(error).into_status())
}

pub(super) fn check_filter_allowed(scope: &Scope) -> Result<(), Status> {
    if scope.call.shared.api(&scope.namespace.name).list_by_filter_disabled {
        let refused = everlog_engine::reject::Reject::PermissionDenied(
            "List is disabled on this namespace.".to_owned(),
        );
        return Err(status::of_reject(refused));
    }
    Ok(())
}

/// The moments between which a field must lie, either of them if it is set.
fn time_terms(field: &str, filter: Option<&StartTimeFilter>) -> Result<Vec<String>, Status> {
    let Some(filter) = filter else { return Ok(Vec::new()) };
    let earliest = filter.earliest_time.as_ref().map(Time::from_proto);
    let latest = filter.latest_time.as_ref().map(Time::from_proto);
    if let (Some(earliest), Some(latest)) = (earliest, latest)
        && earliest > latest
    {
        return Err(Status::invalid_argument(
            "EarliestTime in StartTimeFilter should not be larger than LatestTime.",
        ));
    }
    let term = |operator: &str, moment: Option<Time>| {
        moment.map(|moment| format!("{field} {operator} '{}'", rfc3339(moment)))
    };
    Ok(term(">=", earliest).into_iter().chain(term("<=", latest)).collect())
}

fn rfc3339(moment: Time) -> String {
    moment.proto().to_string()
}

/// A comparison with a text, however it is spelt.
fn equals(field: &str, text: &str) -> String {
    format!("{field} = '{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// The name of a status in queries; none for those that a closed workflow cannot have.
fn status_name(status: WorkflowExecutionStatus) -> Option<&'static str> {
    use WorkflowExecutionStatus::*;
    match status {
        Completed => Some("Completed"),
        Failed => Some("Failed"),
        Canceled => Some("Canceled"),
        Terminated => Some("Terminated"),
        ContinuedAsNew => Some("ContinuedAsNew"),
        TimedOut => Some("TimedOut"),
        Unspecified | Running | Paused => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_end_its_quotes() {
        assert_eq!(equals("WorkflowId", "it's"), "WorkflowId = 'it''s'");
    }

    #[test]
    fn a_time_filter_is_one_term_for_each_end() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 5_000_000 });
        let filter = |earliest_time, latest_time| StartTimeFilter { earliest_time, latest_time };
        let terms = time_terms("StartTime", Some(&filter(at(0), at(60)))).unwrap();
        assert_eq!(
            terms,
            ["StartTime >= '1970-01-01T00:00:00.005Z'", "StartTime <= '1970-01-01T00:01:00.005Z'"]
        );
        assert_eq!(time_terms("StartTime", Some(&filter(None, None))).unwrap(), [""; 0]);
        assert!(time_terms("StartTime", Some(&filter(at(2), at(1)))).is_err());
    }
}
