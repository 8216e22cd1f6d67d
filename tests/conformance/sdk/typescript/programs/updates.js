'use strict';

// Updates, alone and with a start.

const {
  WithStartWorkflowOperation,
  WorkflowUpdateFailedError,
  WorkflowUpdateStage,
} = require('@temporalio/client');

const { assert, equal, raises, test } = require('../harness');

const activities = { price: async (item) => item.length };

const { ACCEPTED } = WorkflowUpdateStage;

test('answered', 'One after the other, then one that closes the workflow.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    equal(await handle.executeUpdate('add', { args: ['a'] }), 1);
    equal(await handle.executeUpdate('add', { args: ['b'] }), 2);
    equal(await handle.executeUpdate('checkOut'), ['a', 'b']);
    equal(await handle.result(), ['a', 'b']);
  });
});

test('at_once', 'Eight at the same time, with an activity each.', async (env) => {
  await env.withWorker({ activities }, async () => {
    const handle = await env.start('cart');
    const items = Array.from({ length: 8 }, (_, number) => 'x'.repeat(number + 1));
    await Promise.all(items.map((item) => handle.executeUpdate('addPriced', { args: [item] })));
    await handle.executeUpdate('checkOut');
    equal((await handle.result()).sort(), items.map((item) => `${item}:${item.length}`).sort());
  });
});

test('rejected', 'By the validator: nothing is left of it.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    await raises(WorkflowUpdateFailedError, handle.executeUpdate('add', { args: [''] }));
    equal(await handle.executeUpdate('add', { args: ['a'] }), 1);
    await handle.executeUpdate('checkOut');
    await handle.result();
    const { events } = await handle.fetchHistory();
    equal(events.filter((event) => event.workflowExecutionUpdateAcceptedEventAttributes).length, 2);
  });
});

test('failed', 'By the handler, and one that nobody handles.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    const failed = await handle.executeUpdate('refuse').catch((error) => error);
    assert(failed instanceof WorkflowUpdateFailedError, failed);
    equal([failed.cause.message, failed.cause.type, failed.cause.details], ['not today', 'Refused', [7]]);
    await raises(WorkflowUpdateFailedError, handle.executeUpdate('nonsense'));
    await handle.executeUpdate('checkOut');
    await handle.result();
  });
});

test('stages', 'Accepted first; the outcome comes later, and twice.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    const update = await handle.startUpdate('pass', { waitForStage: ACCEPTED, updateId: 'gate' });
    equal(update.updateId, 'gate');
    const outcome = update.result();
    await handle.signal('open');
    equal(await outcome, 0);
    equal(await handle.getUpdateHandle('gate').result(), 0);
    equal(await handle.executeUpdate('pass', { updateId: 'gate' }), 0);
    await handle.executeUpdate('checkOut');
    await handle.result();
    equal(await handle.getUpdateHandle('gate').result(), 0);
  });
});

test('before_the_worker', 'It waits for the worker.', async (env) => {
  const handle = await env.start('cart');
  const first = handle.executeUpdate('add', { args: ['a'] });
  await env.withWorker({}, async () => {
    equal(await first, 1);
    await handle.executeUpdate('checkOut');
    equal(await handle.result(), ['a']);
  });
});

test('while_it_continues_as_new', 'Updates go to whichever run is there.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    await handle.signal('renew');
    const latest = env.client.workflow.getHandle(handle.workflowId);
    await latest.executeUpdate('add', { args: ['a'] });
    await latest.executeUpdate('checkOut');
    await handle.result();
    equal(await latest.query('generation'), 1);
  });
});

test('update_with_start', 'The first starts the workflow, the second finds it.', async (env) => {
  await env.withWorker({}, async () => {
    const start = () =>
      new WithStartWorkflowOperation('cart', {
        workflowId: env.id(),
        taskQueue: env.queue,
        workflowIdConflictPolicy: 'USE_EXISTING',
      });
    const operations = [start(), start()];
    for (const [index, startWorkflowOperation] of operations.entries()) {
      const args = [`item ${index}`];
      equal(await env.client.workflow.executeUpdateWithStart('add', { startWorkflowOperation, args }), index + 1);
    }
    const [first, second] = await Promise.all(operations.map((operation) => operation.workflowHandle()));
    env.handles.push(first);
    equal(first.firstExecutionRunId, second.firstExecutionRunId);
    await first.executeUpdate('checkOut');
    equal(await second.result(), ['item 0', 'item 1']);
  });
});

test('update_with_start_that_may_not', 'The id is taken, and the policy says to fail.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('cart');
    const startWorkflowOperation = new WithStartWorkflowOperation('cart', {
      workflowId: handle.workflowId,
      taskQueue: env.queue,
      workflowIdConflictPolicy: 'FAIL',
    });
    const update = { startWorkflowOperation, args: ['a'] };
    await raises(Error, env.client.workflow.executeUpdateWithStart('add', update));
    await raises(Error, startWorkflowOperation.workflowHandle());
    equal(await handle.executeUpdate('checkOut'), []);
    await handle.result();
  });
});
