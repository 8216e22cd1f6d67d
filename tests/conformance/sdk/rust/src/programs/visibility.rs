//! Search attributes, memo, lists and counts.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use futures::TryStreamExt;
use temporalio_client::{Client, WorkflowListOptions, tonic::Request};
use temporalio_common::{
    MemoValue, MemoValues,
    protos::temporal::api::{
        enums::v1::IndexedValueType,
        operatorservice::v1::{AddSearchAttributesRequest, ListSearchAttributesRequest},
    },
    search_attributes::{SearchAttributeKey, SearchAttributes},
};
use temporalio_macros::{workflow, workflow_methods};
use temporalio_sdk::{SyncWorkflowContext, WorkflowContext, WorkflowResult};

use super::{hello::Nothing, messages::Bin};
use crate::harness::{Case, Env, NAMESPACE, equal, holds, result, until, usual};

pub const CASES: &[Case] = crate::cases![attributes_and_memo, lists_and_counts];

const KEYWORD: SearchAttributeKey<String> = SearchAttributeKey::keyword("RustKeyword");
const NUMBER: SearchAttributeKey<i64> = SearchAttributeKey::int("RustNumber");
const FLAG: SearchAttributeKey<bool> = SearchAttributeKey::bool("RustFlag");
const LIST: SearchAttributeKey<Vec<String>> = SearchAttributeKey::keyword_list("RustList");

/// Makes the attributes known, unless another case has done it.
async fn attributes(client: &Client) -> Result<()> {
    let wanted = HashMap::from([
        (KEYWORD.name().to_owned(), IndexedValueType::Keyword as i32),
        (NUMBER.name().to_owned(), IndexedValueType::Int as i32),
        (FLAG.name().to_owned(), IndexedValueType::Bool as i32),
        (LIST.name().to_owned(), IndexedValueType::KeywordList as i32),
    ]);
    let mut operator = client.connection().operator_service();
    let add =
        AddSearchAttributesRequest { namespace: NAMESPACE.to_owned(), search_attributes: wanted.clone() };
    operator.add_search_attributes(Request::new(add)).await.ok();
    until("the attributes to be known", async || {
        let list = ListSearchAttributesRequest { namespace: NAMESPACE.to_owned() };
        let known = operator.list_search_attributes(Request::new(list)).await?.into_inner().custom_attributes;
        Ok(wanted.keys().all(|name| known.contains_key(name)).then_some(()))
    })
    .await
}

/// Changes its own attributes and memo, and tells what it sees of them.
#[workflow]
#[derive(Default)]
struct DescribesItself {
    is_to_go: bool,
}

type Seen = (Option<String>, Option<String>, Option<String>, bool);

#[workflow_methods]
impl DescribesItself {
    #[run]
    async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<Seen> {
        let before = ctx.search_attributes().get(&KEYWORD);
        ctx.upsert_search_attributes([
            KEYWORD.value_set("second".to_owned()),
            NUMBER.value_set(42),
            LIST.value_set(vec!["a".to_owned(), "b".to_owned()]),
            FLAG.value_set(false),
        ]);
        ctx.upsert_memo([("note", Some(MemoValue::new("changed".to_owned()))), ("gone", None)])?;
        ctx.wait_condition(|it| it.is_to_go).await?;
        let memo = ctx.memo();
        Ok((before, ctx.search_attributes().get(&KEYWORD), memo.get("note")?, memo.contains_key("gone")))
    }

    #[signal]
    fn finish(&mut self, _ctx: &mut SyncWorkflowContext<Self>) {
        self.is_to_go = true;
    }
}

/// Set at the start, changed by the workflow, seen by everybody.
async fn attributes_and_memo(env: &Env) -> Result<()> {
    attributes(&env.client).await?;
    let worker = env.worker().workflow::<DescribesItself>();
    worker
        .during(async {
            let handle = until("the attributes to be accepted", async || {
                let mut memo = MemoValues::new();
                memo.insert("note", "first".to_owned()).insert("kept", vec![1, 2]).insert("gone", true);
                let first = [KEYWORD.value_set("first".to_owned()), FLAG.value_set(true)];
                let options =
                    env.options("").memo(memo).search_attributes(SearchAttributes::new(first)).build();
                Ok(env.start_with(DescribesItself::run, (), options).await.ok())
            })
            .await?;
            let query = format!(
                "WorkflowId = '{}' AND RustKeyword = 'second' AND RustNumber > 41 AND RustList = 'b'",
                env.id("")
            );
            until("it to be found", async || {
                Ok((env.client.count_workflows(&query, usual()).await?.count() == 1).then_some(()))
            })
            .await?;
            let description = handle.describe(usual()).await?;
            let (memo, attributes) = (description.memo(), description.search_attributes());
            equal(
                (memo.get::<String>("note")?.as_deref(), memo.get("kept")?),
                (Some("changed"), Some(vec![1, 2])),
            )?;
            equal(memo.contains_key("gone"), false)?;
            equal(
                (attributes.get(&KEYWORD).as_deref(), attributes.get(&FLAG)),
                (Some("second"), Some(false)),
            )?;
            handle.signal(DescribesItself::finish, (), usual()).await?;
            let (before, after, note, is_left) = result(&handle).await?;
            equal(
                (before.as_deref(), after.as_deref(), note.as_deref(), is_left),
                (Some("first"), Some("second"), Some("changed"), false),
            )
        })
        .await
}

/// Found by a filter, and counted in groups.
async fn lists_and_counts(env: &Env) -> Result<()> {
    let worker = env.worker().workflow::<Nothing>().workflow::<Bin>();
    worker
        .during(async {
            for number in 0..5 {
                let options = env.options(&number.to_string()).build();
                result(&env.start_with(Nothing::run, (), options).await?).await?;
            }
            let open = env.start_with(Bin::run, (), env.options("open").build()).await?;
            let mine = format!("WorkflowId STARTS_WITH '{}'", env.id(""));
            until("all to be listed", async || {
                let closed = format!("{mine} AND ExecutionStatus = 'Completed'");
                let closed = env.client.count_workflows(closed, usual()).await?.count();
                let all = env.client.count_workflows(&mine, usual()).await?.count();
                Ok(((closed, all) == (5, 6)).then_some(()))
            })
            .await?;
            let found: Vec<_> = env.client.list_workflows(&mine, usual()).try_collect().await?;
            equal(found.iter().map(|it| it.id().to_owned()).collect::<HashSet<_>>().len(), 6)?;
            holds(found.iter().all(|it| it.task_queue() == env.queue), &found)?;
            let two = WorkflowListOptions::builder().limit(2).build();
            equal(env.client.list_workflows(&mine, two).try_collect::<Vec<_>>().await?.len(), 2)?;
            let counted =
                env.client.count_workflows(format!("{mine} GROUP BY ExecutionStatus"), usual()).await?;
            let mut groups: Vec<_> =
                counted.groups().iter().map(|it| (it.get::<String>(0), it.count())).collect();
            groups.sort();
            equal(groups, [(Some("Completed".to_owned()), 5), (Some("Running".to_owned()), 1)])?;
            Ok(open.terminate(usual()).await?)
        })
        .await
}
