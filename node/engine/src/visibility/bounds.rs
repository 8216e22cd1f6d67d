//! How many rows a page reads: no more among many runs than among few. By hand, with as many as a machine holds:
//!
//! ```text
//! EVERLOG_LIST_RUNS=1000000 cargo test --release -p everlog-engine --lib visibility::bounds -- --nocapture
//! ```

use std::{cell::Cell, time::Instant};

use everlog_proto::api::common::v1::Payload;

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

#[test]
fn a_page_reads_few_rows_however_many_runs_there_are() {
    let by_hand = std::env::var("EVERLOG_LIST_RUNS").ok().and_then(|runs| runs.parse().ok());
    let totals = by_hand.map_or(vec![5_000, 20_000], |most: u64| vec![most / 10, most]);
    let blocks: Vec<u16> = (0..SLOTS).step_by(usize::from(SLOTS_PER_BLOCK)).collect();
    let attributes = [("Customer".to_owned(), ValueType::Keyword)].into();
    for runs in totals {
        let loaded = Instant::now();
        let tables = load(runs);
        println!("{runs} runs, {} rows, loaded in {:?}", tables.rows().len(), loaded.elapsed());
        let queries = [
            ("".to_owned(), PAGE),
            ("ExecutionStatus = 'Running'".to_owned(), PAGE),
            ("ExecutionStatus = 'Completed'".to_owned(), PAGE),
            ("ExecutionStatus = 'Failed'".to_owned(), PAGE.min(runs as usize / 1_000)),
            ("WorkflowType = 'Order'".to_owned(), PAGE),
            ("WorkflowType = 'Refund'".to_owned(), PAGE.min(runs as usize / 100)),
            ("WorkflowType = 'Refund' AND ExecutionStatus = 'Running'".to_owned(), 0),
            (
                "WorkflowType STARTS_WITH 'Ref' AND ExecutionStatus != 'Running'".to_owned(),
                PAGE.min(runs as usize / 100),
            ),
            ("Customer = 'customer-7'".to_owned(), 50),
            ("Customer = 'customer-7' AND ExecutionStatus = 'Running'".to_owned(), 0),
            (format!("CloseTime < {}", runs * 300_000), PAGE),
            (format!("StartTime BETWEEN {} AND {}", (runs - 500) * 1_000_000, runs * 1_000_000), PAGE),
        ];
        for (query, wanted) in queries {
            let filter = Filter::parse(&query, &attributes).unwrap();
            let stored = Counted { tables: &tables, reads: Cell::default() };
            let search = Search {
                namespace_id: NAMESPACE,
                filter: &filter,
                blocks: &blocks,
                after: &[],
                reads_max: usize::MAX,
            };
            let began = Instant::now();
            let found = search.list(&stored, PAGE).unwrap().rows.len();
            let (reads, took) = (stored.reads.get(), began.elapsed());
            println!("{reads:7} rows read in {took:9.1?} for {found:4} of: {query}");
            assert_eq!(found, wanted, "{query}");
            assert!(reads <= READS_MAX, "{reads} rows read for {query}");
        }
        for query in
            ["", "GROUP BY ExecutionStatus", "WorkflowType = 'Refund' AND ExecutionStatus != 'Running'"]
        {
            let filter = Filter::parse(query, &attributes).unwrap();
            let stored = Counted { tables: &tables, reads: Cell::default() };
            let search = Search {
                namespace_id: NAMESPACE,
                filter: &filter,
                blocks: &blocks,
                after: &[],
                reads_max: 1,
            };
            let (counts, read_to) = search.count(&stored).unwrap();
            println!("{:7} rows read to count {} of: {query}", stored.reads.get(), counts.total);
            assert_eq!(read_to, None);
            assert!(stored.reads.get() <= READS_MAX);
        }
    }
}
