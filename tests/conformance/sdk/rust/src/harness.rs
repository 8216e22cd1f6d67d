//! What a program is written with: a client, workers, and names of its own. Whatever a case ran is replayed at its end,
//! from the history that the server gives out.

use std::{
    any::TypeId,
    cell::RefCell,
    collections::HashSet,
    fmt::Debug,
    panic::Location,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures::future::{Either, LocalBoxFuture, select};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, Url, WorkflowHandle, WorkflowStartOptions,
    WorkflowStartOptionsBuilder, errors::WorkflowGetResultError,
};
use temporalio_common::{
    HasWorkflowDefinition, UntypedWorkflow, WorkflowDefinition,
    protos::temporal::api::history::v1::{HistoryEvent, history_event::Attributes},
};
use temporalio_sdk::{
    Runtime, Worker, WorkerOptions,
    activities::ActivityImplementer,
    workflow_replayer::{WorkflowReplayer, WorkflowReplayerOptions},
    workflows::WorkflowImplementation,
};

pub const NAMESPACE: &str = "default";
pub const SOON: Duration = Duration::from_secs(20);
const CHAIN_RUNS_MAX: usize = 20;
const WAIT_TIME_MAX: Duration = Duration::from_secs(20);
const WAIT_PAUSE: Duration = Duration::from_millis(50);

pub struct Case {
    pub name: &'static str,
    pub body: for<'a> fn(&'a Env) -> LocalBoxFuture<'a, Result<()>>,
    pub has_worker: bool,
}

/// The cases of a subject by the names of their functions; those after the semicolon have no worker.
#[macro_export]
macro_rules! cases {
    ($($with:ident),* $(; $($without:ident),*)?) => {
        &[
            $($crate::harness::Case { name: stringify!($with), body: |env| Box::pin($with(env)), has_worker: true },)*
            $($(
                $crate::harness::Case {
                    name: stringify!($without),
                    body: |env| Box::pin($without(env)),
                    has_worker: false,
                },
            )*)?
        ]
    };
}

/// Clients of all nodes, shared by the cases of one process.
pub struct Nodes {
    addresses: Vec<String>,
    clients: Vec<Client>,
    runtime: Runtime,
}

impl Nodes {
    pub async fn connect(addresses: impl Iterator<Item = &str>) -> Result<Self> {
        let addresses: Vec<String> = addresses.map(str::to_owned).collect();
        let mut clients = Vec::new();
        for address in &addresses {
            clients.push(connect(address).await?);
        }
        Ok(Self { addresses, clients, runtime: Runtime::from_current_tokio(usual())? })
    }
}

async fn connect(address: &str) -> Result<Client> {
    let url = Url::parse(&format!("http://{address}"))?;
    let connection = Connection::connect(ConnectionOptions::new(url).identity("conformance").build()).await?;
    Ok(Client::new(connection, ClientOptions::new(NAMESPACE).build())?)
}

/// The surroundings of one case.
pub struct Env {
    pub client: Client,
    pub cached: bool,
    pub queue: String,
    prefix: String,
    nodes: Rc<Nodes>,
    replayer: RefCell<WorkflowReplayerOptions>,
    replayable: RefCell<HashSet<TypeId>>,
    runs: RefCell<Vec<(String, String)>>,
}

impl Env {
    pub fn new(nodes: Rc<Nodes>, title: &str, nonce: &str, cached: bool) -> Self {
        let prefix = format!("{}-{nonce}", title.replace(['/', ' '], "-"));
        Self {
            client: nodes.clients[0].clone(),
            cached,
            queue: format!("queue-{prefix}"),
            prefix,
            nodes,
            replayer: RefCell::new(WorkflowReplayerOptions::new().build()),
            replayable: RefCell::default(),
            runs: RefCell::default(),
        }
    }

    /// A name of this case's own: of the one workflow of a case, or of one of several.
    pub fn id(&self, name: &str) -> String {
        if name.is_empty() { self.prefix.clone() } else { format!("{}-{name}", self.prefix) }
    }

    /// Numbers beyond the last node begin again at the first.
    pub fn client_of(&self, node: usize) -> Client {
        self.nodes.clients[node % self.nodes.clients.len()].clone()
    }

    /// The same on a connection of its own.
    pub async fn another_client(&self, node: usize) -> Result<Client> {
        connect(&self.nodes.addresses[node % self.nodes.addresses.len()]).await
    }

    /// A worker on the second node, where there are several: not on the caller's.
    pub fn worker(&self) -> WorkerSetup<'_> {
        self.worker_on(self.client_of(1))
    }

    pub fn worker_on(&self, client: Client) -> WorkerSetup<'_> {
        let options = WorkerOptions::new(self.queue.clone())
            .max_cached_workflows(if self.cached { 1000 } else { 0 })
            // A worker that stops lets its activities hear of it at once.
            .graceful_shutdown_period(Duration::ZERO)
            .build();
        WorkerSetup { env: self, client, options }
    }

    pub fn options(&self, name: &str) -> WorkflowStartOptionsBuilder {
        WorkflowStartOptions::new(self.queue.clone(), self.id(name))
    }

    pub async fn start<W: HasWorkflowDefinition>(
        &self,
        workflow: W,
        input: impl Into<W::Input>,
    ) -> Result<WorkflowHandle<Client, W>>
    where
        W::Input: Send,
    {
        self.start_with(workflow, input, self.options("").build()).await
    }

    pub async fn start_with<W: HasWorkflowDefinition>(
        &self,
        workflow: W,
        input: impl Into<W::Input>,
        options: WorkflowStartOptions,
    ) -> Result<WorkflowHandle<Client, W>>
    where
        W::Input: Send,
    {
        let handle = self.client.start_workflow(workflow, input.into(), options).await?;
        self.replay(&handle);
        Ok(handle)
    }

    pub async fn execute<W: HasWorkflowDefinition>(
        &self,
        workflow: W,
        input: impl Into<W::Input>,
    ) -> Result<W::Output>
    where
        W::Input: Send,
    {
        Ok(result(&self.start(workflow, input).await?).await?)
    }

    /// Has a run replayed at the end, with those that follow it.
    pub fn replay<W>(&self, handle: &WorkflowHandle<Client, W>)
    where
        W: HasWorkflowDefinition,
    {
        let run = handle.run_id().or(handle.info().first_execution_run_id.as_deref());
        self.runs
            .borrow_mut()
            .push((handle.info().workflow_id.clone(), run.expect("a run that was started").to_owned()));
    }

    pub fn replay_nothing(&self) {
        self.runs.borrow_mut().clear();
    }

    pub async fn replay_everything(&self) -> Result<()> {
        if self.replayable.borrow().is_empty() {
            return Ok(());
        }
        let replayer = WorkflowReplayer::new(self.replayer.borrow().clone())?;
        for (workflow_id, first) in self.runs.take() {
            let mut next = Some(first);
            for _ in 0..CHAIN_RUNS_MAX {
                let Some(run_id) = next else { break };
                let run = self.run_of(UntypedWorkflow::new(""), &workflow_id, &run_id);
                let events = events(&run).await?;
                next = events.last().and_then(successor);
                replayer
                    .replay_workflow(run.fetch_history(usual()))
                    .await
                    .with_context(|| format!("the history of {workflow_id} does not replay"))?;
            }
        }
        Ok(())
    }

    /// Whatever run of an id is the current one.
    pub fn current<W: HasWorkflowDefinition>(&self, _workflow: W, name: &str) -> WorkflowHandle<Client, W> {
        self.client.get_workflow_handle(self.id(name))
    }

    /// One run, whatever comes after it.
    pub fn run_of<W: HasWorkflowDefinition>(
        &self,
        _workflow: W,
        workflow_id: &str,
        run_id: &str,
    ) -> WorkflowHandle<Client, W> {
        let mut info = self.client.get_workflow_handle::<W>(workflow_id).info().clone();
        info.run_id = Some(run_id.to_owned());
        WorkflowHandle::new(self.client.clone(), info)
    }
}

/// A worker that is about to run.
pub struct WorkerSetup<'a> {
    env: &'a Env,
    client: Client,
    options: WorkerOptions,
}

impl WorkerSetup<'_> {
    pub fn workflow<W: WorkflowImplementation>(mut self) -> Self
    where
        <W::Run as WorkflowDefinition>::Input: Send,
    {
        self.options.register_workflow::<W>().expect("one workflow of this name");
        if self.env.replayable.borrow_mut().insert(TypeId::of::<W>()) {
            self.env.replayer.borrow_mut().register_workflow::<W>().expect("one workflow of this name");
        }
        self
    }

    pub fn activities<A: ActivityImplementer>(mut self, activities: A) -> Self {
        self.options.register_activities(activities);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut WorkerOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// Runs the worker for as long as `body` runs.
    pub async fn during<T>(self, body: impl Future<Output = Result<T>>) -> Result<T> {
        let Self { env, client, options } = self;
        Self::run(&env.nodes.runtime, client, options, body).await
    }

    /// The same on a runtime of its own, which has other settings.
    pub async fn during_on<T>(self, runtime: &Runtime, body: impl Future<Output = Result<T>>) -> Result<T> {
        Self::run(runtime, self.client, self.options, body).await
    }

    async fn run<T>(
        runtime: &Runtime,
        client: Client,
        options: WorkerOptions,
        body: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mut worker = Worker::new(runtime, client, options)?;
        let stop = worker.shutdown_handle();
        match select(pin!(body), pin!(worker.run())).await {
            Either::Left((value, running)) => {
                stop();
                running.await?;
                value
            }
            Either::Right((ended, _)) => Err(anyhow!("the worker has ended early: {ended:?}")),
        }
    }
}

/// The options of one who asks for nothing special.
pub fn usual<T: Default>() -> T {
    T::default()
}

pub async fn result<W: HasWorkflowDefinition>(
    handle: &WorkflowHandle<Client, W>,
) -> Result<W::Output, WorkflowGetResultError> {
    handle.get_result(usual()).await
}

pub async fn events<W: HasWorkflowDefinition>(
    handle: &WorkflowHandle<Client, W>,
) -> Result<Vec<HistoryEvent>> {
    Ok(handle.fetch_history(usual()).into_events().await?)
}

/// How many events of a history are what `is_it` looks for.
pub async fn count_of<W: HasWorkflowDefinition>(
    handle: &WorkflowHandle<Client, W>,
    is_it: impl Fn(&Attributes) -> bool,
) -> Result<usize> {
    Ok(events(handle)
        .await?
        .iter()
        .filter_map(|event| event.attributes.as_ref())
        .filter(|it| is_it(it))
        .count())
}

fn successor(event: &HistoryEvent) -> Option<String> {
    let run_id = match event.attributes.as_ref()? {
        Attributes::WorkflowExecutionCompletedEventAttributes(it) => &it.new_execution_run_id,
        Attributes::WorkflowExecutionFailedEventAttributes(it) => &it.new_execution_run_id,
        Attributes::WorkflowExecutionTimedOutEventAttributes(it) => &it.new_execution_run_id,
        Attributes::WorkflowExecutionContinuedAsNewEventAttributes(it) => &it.new_execution_run_id,
        _ => return None,
    };
    (!run_id.is_empty()).then(|| run_id.clone())
}

#[track_caller]
pub fn equal<T: Debug + PartialEq<U>, U: Debug>(actual: T, expected: U) -> Result<()> {
    let place = Location::caller();
    ensure!(actual == expected, "{place}: {actual:?} is not {expected:?}");
    Ok(())
}

#[track_caller]
pub fn holds(condition: bool, what: impl Debug) -> Result<()> {
    let place = Location::caller();
    ensure!(condition, "{place}: {what:?}");
    Ok(())
}

/// What must fail has failed, and this is its error.
#[track_caller]
pub fn failure<T, E>(result: Result<T, E>) -> Result<E> {
    let place = Location::caller();
    result.err().with_context(|| format!("{place}: success"))
}

/// Waits until an asynchronous condition holds, and returns what it came to.
pub async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + WAIT_TIME_MAX;
    loop {
        if let Some(value) = condition().await? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(WAIT_PAUSE).await;
    }
}
