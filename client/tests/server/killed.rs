//! Worker processes that are killed while a hundred subscriptions run.
//!
//! The workers are processes of their own, this very test binary started again, and they are ended with
//! SIGKILL. What they charge they append to a file, under the idempotency key of the call.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use everlog_client::prelude::*;

use super::harness::{connect, eventually, uuid};

const QUEUE: &str = "EVERLOG_TEST_WORKER_QUEUE";
const LEDGER: &str = "EVERLOG_TEST_WORKER_LEDGER";
const SUBSCRIPTIONS: usize = 100;
const KILLS: usize = 5;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Subscription {
    customer: usize,
    cents: u64,
    charges: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Change {
    Amount(u64),
    Cancel,
}

struct Ledger(PathBuf);

#[activity(start_to_close = "3s", retry(initial = "50ms"))]
async fn charge(acx: &Acx, customer: usize, cents: u64) -> Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(&acx.dep::<Ledger>().0)?;
    // One write of a short line is not torn by a kill.
    file.write_all(format!("{customer} {cents} {}\n", acx.idempotency_key()).as_bytes())?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    Ok(())
}

#[workflow]
async fn subscription(cx: &Cx, mut sub: Subscription) -> Result<u64> {
    let inbox = cx.inbox::<Change>();
    cx.sleep(Duration::from_millis(500)).await?;
    'paying: loop {
        cx.call(charge, (sub.customer, sub.cents)).await?;
        sub.charges += 1;
        let mut due = cx.sleep(Duration::from_secs(1));
        loop {
            cx.publish(&sub);
            select! { cx;
                message = inbox.recv() => match message? {
                    Change::Amount(cents) => sub.cents = cents,
                    Change::Cancel => break 'paying,
                },
                slept = &mut due => break slept?,
            }
        }
        // New runs in the middle of it all.
        if sub.charges.is_multiple_of(4) {
            match cx.continue_as_new(subscription, &sub).await {}
        }
    }
    Ok(sub.charges)
}

/// Not a test of its own: the worker process of the test below.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by another test"]
async fn worker_process() {
    let (Ok(queue), Ok(ledger)) = (std::env::var(QUEUE), std::env::var(LEDGER)) else { return };
    let client = connect("worker").await;
    let worker =
        Worker::new(&client, queue).workflow(subscription).activity(charge).dep(Ledger(ledger.into()));
    worker.run_until(std::future::pending()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: EVERLOG_TEST_ADDRESS"]
async fn killed_workers_neither_lose_nor_double_a_charge() {
    let client = connect("killed").await;
    let ledger = std::env::temp_dir().join(format!("everlog-ledger-{}", uuid()));
    let start = || WorkerProcess::start(client.queue(), &ledger);
    let mut workers = vec![start(), start()];
    let mut handles = Vec::new();
    for customer in 0..SUBSCRIPTIONS {
        let sub = Subscription { customer, cents: 100, charges: 0 };
        handles.push(client.start(subscription, sub).task_timeout(Duration::from_secs(3)).await.unwrap());
    }
    for round in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        // Dropping a worker kills it.
        workers[round % 2] = start();
        for handle in &handles {
            handle.send(Change::Amount(200 + round as u64)).await.unwrap();
        }
    }
    // A change waits while a charge is under way, and a charge whose worker was killed takes its timeout.
    eventually("the last change is applied", || async {
        (handles[0].state::<Subscription>().await.ok()?.cents == 200 + KILLS as u64 - 1).then_some(())
    })
    .await;
    for handle in &handles {
        handle.send(Change::Cancel).await.unwrap();
    }
    let mut expected = BTreeMap::new();
    for (customer, handle) in handles.iter().enumerate() {
        let charges = handle.result().await.unwrap();
        assert!(charges >= 1, "customer {customer} was never charged");
        expected.insert(customer, charges as usize);
    }
    let charged = read(&ledger);
    let charged: BTreeMap<_, _> = charged.iter().map(|(customer, keys)| (*customer, keys.len())).collect();
    assert_eq!(charged, expected, "each charge that a workflow counted is in the ledger under one key");
    drop(workers);
    std::fs::remove_file(ledger).unwrap();
}

/// The keys of a ledger, by customer.
fn read(ledger: &Path) -> BTreeMap<usize, BTreeSet<String>> {
    let mut keys: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for line in std::fs::read_to_string(ledger).unwrap().lines() {
        let parts: Vec<_> = line.split(' ').collect();
        keys.entry(parts[0].parse().unwrap()).or_default().insert(parts[2].to_owned());
    }
    keys
}

struct WorkerProcess(Child);

impl WorkerProcess {
    fn start(queue: &str, ledger: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["killed::worker_process", "--exact", "--ignored", "--nocapture"])
            .env(QUEUE, queue)
            .env(LEDGER, ledger)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
