//! The context of a workflow: all that its code may do to the world.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use everlog_proto::api::common::v1::{Payload, Payloads};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{
    Call, INBOX_SIGNAL, Inbox, Info, JoinAll, Local, SelectAll, Shielded, Sleep, WaitCancelled, Workflow,
};
use crate::activity::{Activity, ActivityOptions};
use crate::codec;
use crate::replay::command::ContinueAsNew;
use crate::replay::state::{QueryHandler, Recorded, RunState};

/// A history longer than this is continued as a new run by [`Cx::continue_as_new_if_long`], even if the
/// server does not suggest it yet.
const HISTORY_EVENTS_LONG: i64 = 4_096;

/// What a workflow may do. It cannot leave its thread.
#[derive(Clone)]
pub struct Cx {
    pub(crate) state: Rc<RunState>,
}

/// The value of something that never returns; `match` it with no arms.
pub type Never = std::convert::Infallible;

impl Cx {
    pub(crate) fn new(state: Rc<RunState>) -> Self {
        Self { state }
    }

    /// Calls an activity. It is scheduled at once, with the options of its `#[activity]`, which the
    /// methods of [`Call`] change.
    ///
    /// ```
    /// # use everlog_client::prelude::*;
    /// # #[activity(start_to_close = "5s")] async fn charge(cents: u64) -> Result<String> { Ok(cents.to_string()) }
    /// # #[workflow] async fn pay(cx: &Cx) -> Result<String> {
    /// let receipt = cx.call(charge, 500).start_to_close(Duration::from_secs(60)).await?;
    /// # Ok(receipt) }
    /// ```
    pub fn call<A: Activity>(&self, activity: A, input: impl Borrow<A::Input>) -> Call<A::Output, A::Error> {
        let encoded = A::encode(input.borrow());
        Call::schedule(self, A::NAME, encoded, activity.options())
    }

    /// Calls an activity by name, for example one that a worker in another language has. It takes one
    /// argument. Set at least one of the timeouts.
    pub fn call_named<Out: DeserializeOwned>(&self, name: &str, input: impl Serialize) -> Call<Out> {
        Call::schedule(self, name, codec::encode_one(&input), ActivityOptions::default())
    }

    /// Runs an activity in this very worker, as part of the current workflow task: no queue, and one
    /// write instead of three. For what is short; it is repeated if the worker dies.
    pub fn local<A: Activity>(
        &self,
        activity: A,
        input: impl Borrow<A::Input>,
    ) -> Local<A::Output, A::Error> {
        let encoded = A::encode(input.borrow());
        Local::start(self, A::NAME, encoded, activity.options())
    }

    /// Waits. The timer is kept by the server: a year is as good as a second.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        Sleep::start(self, duration)
    }

    /// Waits until a point in time, by the workflow's clock.
    pub fn sleep_until(&self, until: SystemTime) -> Sleep {
        self.sleep(until.duration_since(self.now()).unwrap_or_default())
    }

    /// The typed messages that clients send with `handle.send(..)`.
    pub fn inbox<M: DeserializeOwned>(&self) -> Inbox<M> {
        self.signal(INBOX_SIGNAL)
    }

    /// The signals of one name. Those that came before this call are not lost.
    pub fn signal<M: DeserializeOwned>(&self, name: &str) -> Inbox<M> {
        Inbox::new(self, name)
    }

    /// Shows the state of the workflow to queries. What is published is the answer to the query `state`,
    /// and the first argument of every handler given to [`Cx::on_query`].
    ///
    /// # Panics
    /// If the value cannot be written as JSON, which fails the task until the code is mended.
    pub fn publish<S: Serialize + ?Sized>(&self, state: &S) {
        match codec::encode(state) {
            Ok(payload) => self.state.publish(payload),
            Err(error) => panic!("cx.publish: {error}"),
        }
    }

    /// Answers the query `name` from the state that was last published.
    pub fn on_query<S, Out>(&self, name: &str, answer: impl Fn(&S) -> Out + 'static)
    where
        S: DeserializeOwned,
        Out: Serialize,
    {
        self.on_query_with(name, move |state: &S, (): ()| answer(state));
    }

    /// Answers the query `name`, which has an argument, from the state that was last published.
    pub fn on_query_with<S, In, Out>(&self, name: &str, answer: impl Fn(&S, In) -> Out + 'static)
    where
        S: DeserializeOwned,
        In: DeserializeOwned,
        Out: Serialize,
    {
        let handler: QueryHandler = Rc::new(move |args: Option<&Payloads>, published: Option<&Payload>| {
            let published = published.ok_or("the workflow has not published its state (yet)")?;
            let state = codec::decode(published).map_err(|error| error.to_string())?;
            let args = codec::decode_one(args).map_err(|error| error.to_string())?;
            codec::encode_one(&answer(&state, args)).map_err(|error| error.to_string())
        });
        self.state.add_query(name.to_owned(), handler);
    }

    /// Computes a small value once and keeps it in the history: a later replay gets the same value
    /// without calling `compute`. For what is quick and cannot fail; everything else is an activity.
    ///
    /// # Panics
    /// If the value cannot be written as, or read from, JSON, which fails the task until the code is mended.
    pub async fn run<T: Serialize + DeserializeOwned>(&self, name: &str, compute: impl FnOnce() -> T) -> T {
        match self.state.value(name) {
            (_, Some(Recorded::Known(data))) => match codec::decode(&data) {
                Ok(value) => value,
                Err(error) => panic!("cx.run({name:?}): {error}"),
            },
            (seq, Some(Recorded::Compute)) => {
                let value = compute();
                match codec::encode(&value) {
                    Ok(data) => self.state.record_value(seq, name, data),
                    Err(error) => panic!("cx.run({name:?}): {error}"),
                }
                value
            }
            // The engine reports the divergence; this code does not run on.
            (_, None) => std::future::pending().await,
        }
    }

    /// Closes this run and begins the next one of the same workflow id with an empty history. Messages
    /// that nobody has received yet go along. It never returns.
    ///
    /// ```
    /// # use everlog_client::prelude::*;
    /// #[workflow]
    /// async fn countdown(cx: &Cx, from: u32) -> Result<()> {
    ///     match from {
    ///         0 => Ok(()),
    ///         n => match cx.continue_as_new(countdown, n - 1).await {},
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    /// If the input cannot be written as JSON, which fails the task until the code is mended.
    pub async fn continue_as_new<W: Workflow>(&self, _: W, input: impl Borrow<W::Input>) -> Never {
        match W::encode(input.borrow()) {
            Ok(input) => self.state.continue_as_new(ContinueAsNew {
                workflow: W::NAME.to_owned(),
                queue: String::new(),
                input,
                header: BTreeMap::new(),
            }),
            Err(error) => panic!("cx.continue_as_new: {error}"),
        }
        std::future::pending().await
    }

    /// [`Cx::continue_as_new`], if the history has become long; otherwise nothing. Call it at the top of
    /// a loop that may turn for years.
    pub async fn continue_as_new_if_long<W: Workflow>(&self, workflow: W, input: impl Borrow<W::Input>) {
        if self.is_history_long() {
            match self.continue_as_new(workflow, input).await {}
        }
    }

    /// Whether the server suggests, or prudence demands, to continue as a new run.
    pub fn is_history_long(&self) -> bool {
        let (events, _, suggested) = self.state.history();
        suggested || events >= HISTORY_EVENTS_LONG
    }

    /// The length of the history, in events.
    pub fn history_length(&self) -> u64 {
        self.state.history().0.unsigned_abs()
    }

    /// Runs `work` to its end even if the workflow is cancelled: for cleaning up.
    pub fn shielded<F: Future>(&self, work: F) -> Shielded<F> {
        Shielded::new(self, work)
    }

    /// Returns when the cancellation of the workflow is requested.
    pub fn cancelled(&self) -> WaitCancelled {
        WaitCancelled::new(self)
    }

    /// Whether the cancellation of the workflow has been requested.
    pub fn is_cancelled(&self) -> bool {
        self.state.is_cancelled()
    }

    /// All of the futures, run at the same time; their results in the order of the futures.
    pub fn join_all<I>(&self, futures: I) -> JoinAll<<I::Item as IntoFuture>::IntoFuture>
    where
        I: IntoIterator,
        I::Item: IntoFuture,
    {
        JoinAll::new(futures)
    }

    /// The first of the futures that is ready, by its position; the others are cancelled.
    pub fn select_all<I>(&self, futures: I) -> SelectAll<<I::Item as IntoFuture>::IntoFuture>
    where
        I: IntoIterator,
        I::Item: IntoFuture,
    {
        SelectAll::new(futures)
    }

    /// The time at which the current workflow task was started. It stands still between two awaits.
    pub fn now(&self) -> SystemTime {
        self.state.now()
    }

    /// A random number, the same one in every replay.
    pub fn random(&self) -> u64 {
        self.state.with_random(|random| random.next_u64())
    }

    /// A random number below `bound`, the same one in every replay.
    pub fn random_below(&self, bound: u64) -> u64 {
        self.state.with_random(|random| random.below(bound))
    }

    /// A random identifier, the same one in every replay.
    pub fn uuid(&self) -> uuid::Uuid {
        self.state.with_random(|random| random.uuid())
    }

    /// Whether this run takes the new path of a change to the workflow's code. True for runs that reach
    /// this line for the first time now, false for those that passed it before the change.
    pub fn patched(&self, id: &str) -> bool {
        self.state.patched(id, false)
    }

    /// Says that no run on the old path of a change is left. The old path may be removed, and once no
    /// run remembers the patch at all, this line too.
    pub fn deprecate_patch(&self, id: &str) {
        self.state.patched(id, true);
    }

    /// Sets a search attribute of the workflow, by which it can be listed.
    ///
    /// # Panics
    /// If the value cannot be written as JSON, which fails the task until the code is mended.
    pub fn set_search_attribute(&self, name: &str, value: impl Serialize) {
        match codec::encode(&value) {
            Ok(payload) => self.state.upsert_search_attributes([(name.to_owned(), payload)].into()),
            Err(error) => panic!("cx.set_search_attribute: {error}"),
        }
    }

    /// Facts about this run.
    pub fn info(&self) -> &Info {
        &self.state.info
    }

    /// Whether the code is being replayed. For silencing logs, never for deciding.
    pub fn is_replaying(&self) -> bool {
        self.state.is_replaying()
    }
}
