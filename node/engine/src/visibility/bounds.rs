//! How many rows a page reads: hardly more among a million runs than among a few thousand.

use std::{cell::Cell, fmt::Write};

use everlog_proto::api::common::v1::Payload;
use expect_test::{Expect, expect};

use super::{
    row::{Bytes, payload_bytes},
    *,
};
use crate::{
    cluster::ValueType,
    key::{SLOTS, SLOTS_PER_BLOCK, slot},
    testing::MemoryTables,
};

const NAMESPACE: &str = "n";
const PAGE: usize = 100;
/// Each block is looked into; tallies and index rows come on top of the rows that are shown.
const READS_MAX: u64 = 40 * 64 + 20 * PAGE as u64;

struct Counted<'a> {
    tables: &'a MemoryTables,
    reads: Cell<u64>,
}

impl Stored for Counted<'_> {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.reads.set(self.reads.get() + 1);
        Stored::get(self.tables, key)
    }

    fn scan(&self, from: Vec<u8>, to: Vec<u8>) -> Rows<'_> {
        Box::new(self.tables.scan(from, to).inspect(|_| self.reads.set(self.reads.get() + 1)))
    }
}

/// One in ten is open, one in a thousand has failed, one in a hundred is of the rarer type.
fn load(runs: u64) -> MemoryTables {
    let mut tables = MemoryTables::default();
    for number in 0..runs {
        let keyword = format!("\"customer-{}\"", number % (runs / 50));
        let payload = payload_bytes(&Payload { data: keyword.into_bytes(), ..Payload::default() });
        let (is_open, start) = (number % 10 == 0, 1_000_000 * number as i64);
        let row = Row {
            namespace_id: NAMESPACE.to_owned(),
            workflow_id: format!("order-{number}"),
            run_id: format!("{number:036}"),
            workflow_type: if number % 100 == 7 { "Refund" } else { "Order" }.to_owned(),
            task_queue: "q".to_owned(),
            status: if is_open { 1 } else { 2 + i32::from(number % 1_000 == 5) },
            start_time: start,
            execution_time: start,
            close_time: (!is_open).then_some(start + 500_000),
            closed: (!is_open).then(Closed::default),
            search_attributes: [("Customer".to_owned(), Bytes::from(payload))].into(),
            ..Row::default()
        };
        index::replace(&mut tables, slot(NAMESPACE, &row.workflow_id), None, Some(&row)).unwrap();
    }
    tables
}

/// What pages and counts read among so many runs.
fn check(runs: u64, expected: Expect) {
    let tables = load(runs);
    let blocks: Vec<u16> = (0..SLOTS).step_by(usize::from(SLOTS_PER_BLOCK)).collect();
    let attributes = [("Customer".to_owned(), ValueType::Keyword)].into();
    let at = |run: u64| 1_000_000 * run;
    let queries = [
        String::new(),
        "ExecutionStatus = 'Running'".to_owned(),
        "ExecutionStatus = 'Completed'".to_owned(),
        "ExecutionStatus = 'Failed'".to_owned(),
        "WorkflowType = 'Order'".to_owned(),
        "WorkflowType = 'Refund'".to_owned(),
        "WorkflowType = 'Refund' AND ExecutionStatus = 'Running'".to_owned(),
        "WorkflowType STARTS_WITH 'Ref' AND ExecutionStatus != 'Running'".to_owned(),
        "Customer = 'customer-7'".to_owned(),
        "Customer = 'customer-7' AND ExecutionStatus = 'Running'".to_owned(),
        format!("CloseTime < {}", at(runs / 3)),
        format!("StartTime BETWEEN {} AND {}", at(runs - 500), at(runs)),
    ];
    let mut figures = format!("{runs} runs, {} rows\n", tables.rows().len());
    let mut note = |reads: u64, found: usize, query: &str| {
        assert!(reads <= READS_MAX, "{reads} rows read for {query}");
        let _ = writeln!(figures, "{reads:5} read for {found:7} of: {query}");
    };
    for query in &queries {
        let filter = Filter::parse(query, &attributes).unwrap();
        let stored = Counted { tables: &tables, reads: Cell::default() };
        let found = search(&filter, &blocks).list(&stored, PAGE).unwrap().rows.len();
        note(stored.reads.get(), found, query);
    }
    for query in ["", "GROUP BY ExecutionStatus", "WorkflowType = 'Refund' AND ExecutionStatus != 'Running'"]
    {
        let filter = Filter::parse(query, &attributes).unwrap();
        let stored = Counted { tables: &tables, reads: Cell::default() };
        let (counts, read_to) = search(&filter, &blocks).count(&stored).unwrap();
        assert_eq!(read_to, None);
        note(stored.reads.get(), counts.total as usize, &format!("the count of {query}"));
    }
    expected.assert_eq(&figures);
}

fn search<'a>(filter: &'a Filter, blocks: &'a [u16]) -> Search<'a> {
    Search { namespace_id: NAMESPACE, filter, blocks, after: &[], reads_max: usize::MAX }
}

#[test]
fn a_page_reads_few_rows_among_thousands() {
    check(
        5_000,
        expect![[r#"
        5000 runs, 15100 rows
          163 read for     100 of: 
          263 read for     100 of: ExecutionStatus = 'Running'
          263 read for     100 of: ExecutionStatus = 'Completed'
          110 read for       5 of: ExecutionStatus = 'Failed'
          263 read for     100 of: WorkflowType = 'Order'
          200 read for      50 of: WorkflowType = 'Refund'
          100 read for       0 of: WorkflowType = 'Refund' AND ExecutionStatus = 'Running'
          200 read for      50 of: WorkflowType STARTS_WITH 'Ref' AND ExecutionStatus != 'Running'
          100 read for      50 of: Customer = 'customer-7'
          100 read for       0 of: Customer = 'customer-7' AND ExecutionStatus = 'Running'
          163 read for     100 of: CloseTime < 1666000000
          163 read for     100 of: StartTime BETWEEN 4500000000 AND 5000000000
          100 read for    5000 of: the count of 
          100 read for    5000 of: the count of GROUP BY ExecutionStatus
          100 read for      50 of: the count of WorkflowType = 'Refund' AND ExecutionStatus != 'Running'
    "#]],
    );
    check(
        20_000,
        expect![[r#"
        20000 runs, 60125 rows
          163 read for     100 of: 
          288 read for     100 of: ExecutionStatus = 'Running'
          288 read for     100 of: ExecutionStatus = 'Completed'
          165 read for      20 of: ExecutionStatus = 'Failed'
          288 read for     100 of: WorkflowType = 'Order'
          377 read for     100 of: WorkflowType = 'Refund'
          125 read for       0 of: WorkflowType = 'Refund' AND ExecutionStatus = 'Running'
          377 read for     100 of: WorkflowType STARTS_WITH 'Ref' AND ExecutionStatus != 'Running'
          100 read for      50 of: Customer = 'customer-7'
          125 read for       0 of: Customer = 'customer-7' AND ExecutionStatus = 'Running'
          163 read for     100 of: CloseTime < 6666000000
          163 read for     100 of: StartTime BETWEEN 19500000000 AND 20000000000
          125 read for   20000 of: the count of 
          125 read for   20000 of: the count of GROUP BY ExecutionStatus
          125 read for     200 of: the count of WorkflowType = 'Refund' AND ExecutionStatus != 'Running'
    "#]],
    );
}

#[test]
#[ignore = "takes a minute and two gigabytes"]
fn a_page_reads_few_rows_among_a_million() {
    check(
        1_000_000,
        expect![[r#"
        1000000 runs, 3000128 rows
          163 read for     100 of: 
          291 read for     100 of: ExecutionStatus = 'Running'
          291 read for     100 of: ExecutionStatus = 'Completed'
          391 read for     100 of: ExecutionStatus = 'Failed'
          291 read for     100 of: WorkflowType = 'Order'
          391 read for     100 of: WorkflowType = 'Refund'
          128 read for       0 of: WorkflowType = 'Refund' AND ExecutionStatus = 'Running'
          391 read for     100 of: WorkflowType STARTS_WITH 'Ref' AND ExecutionStatus != 'Running'
          100 read for      50 of: Customer = 'customer-7'
          128 read for       0 of: Customer = 'customer-7' AND ExecutionStatus = 'Running'
          163 read for     100 of: CloseTime < 333333000000
          163 read for     100 of: StartTime BETWEEN 999500000000 AND 1000000000000
          128 read for 1000000 of: the count of 
          128 read for 1000000 of: the count of GROUP BY ExecutionStatus
          128 read for   10000 of: the count of WorkflowType = 'Refund' AND ExecutionStatus != 'Running'
    "#]],
    );
}
