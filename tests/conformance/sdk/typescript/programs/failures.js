'use strict';

// Workflows that fail, are tried again, terminated, or run out of time.

const {
  ApplicationFailure,
  TerminatedFailure,
  TimeoutFailure,
  WorkflowFailedError,
} = require('@temporalio/client');
const common = require('@temporalio/common');

const { assert, equal, raises, test, until } = require('../harness');

const activities = {
  async broken() {
    throw new RangeError('too far');
  },
};

test('application_failure', 'Type, details and cause reach the caller.', async (env) => {
  await env.withWorker({}, async () => {
    const { cause } = await raises(WorkflowFailedError, env.execute('failsForGood'));
    assert(cause instanceof ApplicationFailure, cause);
    equal(
      [cause.message, cause.type, cause.nonRetryable, cause.details],
      ['as you wish', 'Wish', true, ['a', { b: 2 }]],
    );
    equal(cause.cause.message, 'the reason');
  });
});

test('failure_of_an_activity', 'The chain of causes is whole.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const { cause } = await raises(WorkflowFailedError, env.execute('failsOfItsActivity'));
    assert(cause instanceof common.ActivityFailure, cause);
    equal([cause.activityType, cause.cause.type, cause.cause.message], ['broken', 'RangeError', 'too far']);
  });
});

test('second_run_lucky', 'A retry policy of the workflow makes a second run.', async (env) => {
  await env.withWorker({}, async () => {
    const retry = { initialInterval: '100ms', maximumAttempts: 3 };
    equal(await env.execute('secondRunLucky', [], { retry }), 2);
  });
});

test('broken_task', 'A bug fails the task and not the workflow, which is then terminated.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('brokenTask');
    await until('a failed task', async () => {
      const { events } = await handle.fetchHistory();
      return events.some((event) => event.workflowTaskFailedEventAttributes);
    });
    equal((await handle.describe()).status.name, 'RUNNING');
    await handle.terminate('enough', 'seen');
    const { cause } = await raises(WorkflowFailedError, handle.result());
    assert(cause instanceof TerminatedFailure, cause);
    equal(cause.message, 'enough');
  });
  env.handles.length = 0; // It cannot be replayed: that is its point.
});

test(
  'run_timeout',
  'Time runs out for a workflow without a worker.',
  async (env) => {
    const handle = await env.start('greeting', ['x'], { workflowRunTimeout: '1s' });
    const { cause } = await raises(WorkflowFailedError, handle.result());
    assert(cause instanceof TimeoutFailure, cause);
    equal((await handle.describe()).status.name, 'TIMED_OUT');
  },
  { worker: false },
);
