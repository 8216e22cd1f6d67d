'use strict';

// Activities that clients start on their own, without a workflow.

const { ApplicationFailure, Context, activityInfo, heartbeat, sleep } = require('@temporalio/activity');
const {
  ActivityExecutionAlreadyStartedError,
  ActivityExecutionFailedError,
  ActivityNotFoundError,
  CancelledFailure,
  TerminatedFailure,
  TimeoutFailure,
} = require('@temporalio/client');

const { assert, equal, raises, test, until } = require('../harness');

const activities = {
  shout: async (word) => word.toUpperCase(),
  async failsTwice() {
    const { attempt } = activityInfo();
    if (attempt < 3) {
      throw ApplicationFailure.create({ message: 'not yet', type: 'Early', details: [attempt] });
    }
    return attempt;
  },
  async failsForGood() {
    throw ApplicationFailure.create({ message: 'as you wish', type: 'Wish', nonRetryable: true });
  },
  async untilCancelled() {
    const beating = setInterval(() => heartbeat('still there'), 100);
    try {
      await Context.current().cancelled;
    } finally {
      clearInterval(beating);
    }
  },
  async tooSlow() {
    await Promise.race([sleep('60s'), Context.current().cancelled]);
  },
  async saysWho() {
    const { activityId, workflowExecution, inWorkflow, attempt } = activityInfo();
    return [activityId, workflowExecution ?? null, inWorkflow, attempt];
  },
};

const begin = (env, activity, args = [], options = {}) =>
  env.client.activity.start(activity, {
    id: env.id(),
    taskQueue: env.queue,
    startToCloseTimeout: '30s',
    args,
    ...options,
  });

const failure = async (handle) => (await raises(ActivityExecutionFailedError, handle.result())).cause;

test('executed', 'Start, result, description.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const options = { id: env.id(), taskQueue: env.queue, startToCloseTimeout: '30s', args: ['hello'] };
    equal(await env.client.activity.execute('shout', options), 'HELLO');
    const everything = { includeInput: true, includeOutcome: true };
    const described = await env.client.activity.getHandle(env.id()).describe(everything);
    equal([described.status, described.activityType, described.attempt], ['COMPLETED', 'shout', 1]);
    equal([described.hasInput, await described.getResult()], [true, 'HELLO']);
    const who = await begin(env, 'saysWho', [], { id: env.id('who') });
    equal(await who.result(), [env.id('who'), null, false, 1]);
  });
});

test('found_again', 'The result is there for whoever knows the id, also long after the end.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await begin(env, 'shout', ['hello'], { summary: 'a summary', priority: { priorityKey: 2 } });
    equal(await handle.result(), 'HELLO');
    const again = env.client.activity.getHandle(env.id(), handle.runId);
    equal(await again.result(), 'HELLO');
    equal((await again.describe()).priority.priorityKey, 2);
    await raises(ActivityNotFoundError, env.client.activity.getHandle(env.id('nobody')).describe());
  });
});

test('retried', 'The third attempt succeeds.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await begin(env, 'failsTwice', [], { retry: { initialInterval: '20ms' } });
    equal(await handle.result(), 3);
    equal((await handle.describe()).attempt, 3);
  });
});

test('failed', 'The caller gets the failure of the last attempt.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const cause = await failure(await begin(env, 'failsForGood'));
    assert(cause instanceof ApplicationFailure, cause);
    equal([cause.message, cause.type], ['as you wish', 'Wish']);
  });
});

test('cancelled', 'The worker hears of it by its heartbeats.', async (env) => {
  await env.withWorker({ activities, maxHeartbeatThrottleInterval: '100ms' }, async () => {
    const handle = await begin(env, 'untilCancelled', [], { heartbeatTimeout: '2s' });
    await until('the start', async () => (await handle.describe()).lastStartedTime);
    await handle.cancel('enough');
    const cause = await failure(handle);
    assert(cause instanceof CancelledFailure, cause);
    const { status, canceledReason } = await handle.describe();
    equal([status, canceledReason], ['CANCELED', 'enough']);
  });
});

test(
  'terminated',
  'Nobody has to take it for that.',
  async (env) => {
    const handle = await begin(env, 'shout', ['hello']);
    await handle.terminate('enough');
    const cause = await failure(handle);
    assert(cause instanceof TerminatedFailure, cause);
    equal(cause.message, 'enough');
  },
  { worker: false },
);

test('timed_out', 'By the time for one attempt, and by the time until a worker takes it.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await begin(env, 'tooSlow', [], { startToCloseTimeout: '1s', retry: { maximumAttempts: 1 } });
    const cause = await failure(handle);
    assert(cause instanceof TimeoutFailure, cause);
    equal(cause.timeoutType, 'START_TO_CLOSE');
  });
  const unseen = await begin(env, 'tooSlow', [], { id: env.id('unseen'), scheduleToStartTimeout: '1s' });
  const cause = await failure(unseen);
  assert(cause instanceof TimeoutFailure, cause);
  equal(cause.timeoutType, 'SCHEDULE_TO_START');
});

test(
  'same_id',
  'What the policies say to a second start.',
  async (env) => {
    const again = (options) => begin(env, 'shout', ['hello'], options);
    const first = await again();
    const { runId } = await raises(ActivityExecutionAlreadyStartedError, again());
    equal(runId, first.runId);
    equal((await again({ idConflictPolicy: 'USE_EXISTING' })).runId, first.runId);
    await first.terminate('done');
    await raises(ActivityExecutionAlreadyStartedError, again({ idReusePolicy: 'REJECT_DUPLICATE' }));
    const second = await again();
    assert(second.runId !== first.runId);
    await second.terminate('done');
  },
  { worker: false },
);

test(
  'listed',
  "Lists and counts of one's own.",
  async (env) => {
    const ids = ['0', '1', '2'].map((name) => env.id(name));
    const handles = await Promise.all(ids.map((id) => begin(env, 'shout', ['hello'], { id })));
    const query = `TaskQueue = '${env.queue}'`;
    await until('the list', async () => (await env.client.activity.count(query)).count === ids.length);
    const found = [];
    for await (const { activityId } of env.client.activity.list(query)) {
      found.push(activityId);
    }
    equal(found.sort(), ids);
    await Promise.all(handles.map((handle) => handle.terminate('done')));
  },
  { worker: false },
);

test('paused', 'It is handed out once it goes on.', async (env) => {
  const handle = await begin(env, 'shout', ['hello']);
  await handle.pause({ reason: 'not now' });
  equal((await handle.describe()).status, 'PAUSED');
  await env.withWorker({ activities }, async () => {
    await handle.unpause();
    equal(await handle.result(), 'HELLO');
  });
});

test(
  'other_options',
  'Changed while nobody has taken it, and made what they were.',
  async (env) => {
    const handle = await begin(env, 'shout', ['hello']);
    equal((await handle.updateOptions({ startToCloseTimeout: '7s' })).startToCloseTimeout, 7000);
    equal((await handle.describe()).startToCloseTimeoutMs, 7000);
    equal((await handle.restoreOriginalOptions()).startToCloseTimeout, 30000);
    await handle.terminate('done');
  },
  { worker: false },
);
