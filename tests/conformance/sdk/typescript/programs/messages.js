'use strict';

// Signals and queries.

const {
  QueryNotRegisteredError,
  QueryRejectedError,
  WorkflowClient,
  WorkflowNotFoundError,
} = require('@temporalio/client');

const { assert, equal, raises, test } = require('../harness');

test('in_order', 'Fifty signals arrive once each, in the order in which they were sent.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('box');
    const sent = Array.from({ length: 50 }, (_, number) => number);
    for (const number of sent) {
      await handle.signal('put', number);
    }
    await handle.signal('finish');
    equal(await handle.result(), sent);
  });
});

test('before_the_worker', 'Signals wait for the worker, a query too.', async (env) => {
  const handle = await env.start('box');
  await handle.signal('put', 1);
  await handle.signal('put', 2);
  await env.withWorker({}, async () => {
    equal(await handle.query('items'), [1, 2]);
    await handle.signal('finish');
    equal(await handle.result(), [1, 2]);
  });
});

test('without_a_handler', 'The default handler gets what has no other.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('box');
    await handle.signal('odd', 1, 'two');
    await handle.signal('finish');
    equal(await handle.result(), ['odd: 1, two']);
  });
});

test('signal_with_start', 'Once to start, once to signal what runs.', async (env) => {
  await env.withWorker({}, async () => {
    const options = { workflowId: env.id(), taskQueue: env.queue, signal: 'put' };
    const first = await env.client.workflow.signalWithStart('box', { ...options, signalArgs: ['a'] });
    const second = await env.client.workflow.signalWithStart('box', { ...options, signalArgs: ['b'] });
    env.handles.push(first);
    equal(first.signaledRunId, second.signaledRunId);
    await first.signal('finish');
    equal(await second.result(), ['a', 'b']);
  });
});

test('slow_handlers', 'Handlers that wait, all at the same time.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('slowHandlers', [5]);
    await Promise.all([500, 400, 300, 200, 100].map((milliseconds) => handle.signal('put', milliseconds)));
    equal(await handle.result(), 5);
  });
});

test('queries', 'With arguments, of a closed workflow, of one that nobody knows.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('box');
    await handle.signal('put', 20);
    await handle.signal('put', 22);
    equal(await handle.query('total', 2), 84);
    assert((await handle.query('__stack_trace')).includes('box'));
    await raises(QueryNotRegisteredError, handle.query('nonsense'));
    const { definition } = await handle.query('__temporal_workflow_metadata');
    assert(
      definition.signalDefinitions.some(({ name }) => name === 'put'),
      definition,
    );
    await handle.signal('finish');
    await handle.result();
    equal(await handle.query('items'), [20, 22]);
  });
});

test('rejected_query', 'A client that wants no answer from what is closed.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('box');
    await handle.signal('finish');
    await handle.result();
    const NOT_OPEN = 2;
    const picky = new WorkflowClient({ connection: env.client.connection, queryRejectCondition: NOT_OPEN });
    await raises(QueryRejectedError, picky.getHandle(handle.workflowId).query('items'));
  });
});

test('too_late', 'A signal to what has closed, and to nobody.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('box');
    await handle.signal('finish');
    await handle.result();
    await raises(WorkflowNotFoundError, handle.signal('put', 1));
    await raises(WorkflowNotFoundError, env.client.workflow.getHandle(env.id('nobody')).signal('put', 1));
  });
});
