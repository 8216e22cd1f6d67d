'use strict';

// Cancellation: of workflows, of activities, of scopes.

const { Context, heartbeat } = require('@temporalio/activity');
const { CancelledFailure, WorkflowFailedError } = require('@temporalio/client');

const { assert, equal, pause, raises, test, until } = require('../harness');

const notes = [];
const activities = {
  async note(text) {
    notes.push(text);
    return text;
  },
  async beatsUntilCancelled() {
    const beating = setInterval(() => heartbeat(), 100);
    try {
      await Context.current().cancelled;
    } catch (error) {
      await pause(300);
      throw error;
    } finally {
      clearInterval(beating);
    }
  },
};

async function startedAndCancelled(env, workflow) {
  const handle = await env.start(workflow);
  await until('the first task', async () => (await handle.fetchHistory()).events.length >= 5);
  await handle.cancel();
  return handle;
}

test('of_a_workflow', 'It ends as cancelled.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await startedAndCancelled(env, 'letsItselfBeCancelled');
    const { cause } = await raises(WorkflowFailedError, handle.result());
    assert(cause instanceof CancelledFailure, cause);
    equal((await handle.describe()).status.name, 'CANCELLED');
    await handle.cancel(); // Once more is no error.
  });
});

test('with_clean_up', 'What is to be done before the end is done.', async (env) => {
  notes.length = 0;
  await env.withWorker({ activities }, async () => {
    const handle = await env.start('cleansUp');
    await until('the first task', async () => (await handle.fetchHistory()).events.length >= 4);
    await handle.cancel();
    const { cause } = await raises(WorkflowFailedError, handle.result());
    assert(cause instanceof CancelledFailure, cause);
    assert(notes.includes('cleaned'), notes);
  });
});

test('ignored', 'A workflow may go on.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await startedAndCancelled(env, 'ignoresIt');
    equal(await handle.result(), 'no matter');
  });
});

for (const type of ['TRY_CANCEL', 'WAIT_CANCELLATION_COMPLETED', 'ABANDON']) {
  test(`activity_${type.toLowerCase()}`, 'A scope whose time is over cancels its activity.', async (env) => {
    await env.withWorker({ activities }, async () => {
      equal(await env.execute('scopeWithTimeout', [type]), 'cancelled');
      const { events } = await env.handles[0].fetchHistory();
      const asked = events.some((event) => event.activityTaskCancelRequestedEventAttributes);
      equal(asked, type !== 'ABANDON');
      const done = events.some((event) => event.activityTaskCanceledEventAttributes);
      equal(done, type === 'WAIT_CANCELLATION_COMPLETED');
    });
  });
}

test('inner_scope_only', 'The outer scope is not concerned.', async (env) => {
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('innerScopeOnly'), ['inner is cancelled', 'outer goes on']);
  });
});

test('beforehand', 'What begins in a cancelled scope does not begin.', async (env) => {
  await env.withWorker({ activities }, async () => {
    equal(await env.execute('cancelledBeforehand'), 'cancelled');
  });
});
