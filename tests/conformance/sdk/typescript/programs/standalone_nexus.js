'use strict';

// Nexus operations that clients start on their own, without a workflow.

const {
  ApplicationFailure,
  CancelledFailure,
  NexusOperationAlreadyStartedError,
  NexusOperationFailureError,
  NexusOperationNotFoundError,
  ServiceError,
  TerminatedFailure,
  TimeoutFailure,
} = require('@temporalio/client');
const { HandlerError } = require('nexus-rpc');

const { assert, equal, raises, test, until } = require('../harness');
const { desk, newEndpoint, withDesk } = require('../nexus');

const FAILED_PRECONDITION = 9;

const clientOf = (env, endpoint) => env.client.nexus.createServiceClient({ endpoint, service: desk });

const begin = (env, endpoint, operation, input, options = {}) =>
  clientOf(env, endpoint).startOperation(operation, input, { id: env.id(), ...options });

const failure = async (handle) => (await raises(NexusOperationFailureError, handle.result())).cause;

test('executed', 'Handlers that answer at once, and workflows that answer later.', async (env) => {
  await withDesk(env, async (endpoint) => {
    const client = clientOf(env, endpoint);
    equal(await client.executeOperation('echo', 'hello', { id: env.id(), summary: 'a summary' }), 'hello');
    const description = await env.client.nexus.getHandle(env.id()).describe();
    equal([description.status, description.service, description.operation], ['COMPLETED', 'Desk', 'echo']);
    equal(await description.staticSummary(), 'a summary');
    const numbers = Array.from({ length: 8 }, (_, number) => number);
    const results = numbers.map((n) => client.executeOperation('double', n, { id: env.id(`double-${n}`) }));
    equal(
      await Promise.all(results),
      numbers.map((number) => number * 2),
    );
    await raises(NexusOperationNotFoundError, env.client.nexus.getHandle(env.id('nobody')).describe());
  });
});

test('retried', 'A handler that is unavailable once is asked again.', async (env) => {
  await withDesk(env, async (endpoint) => {
    const handle = await begin(env, endpoint, 'stumble', 'try');
    equal(await handle.result(), 'try 2');
    equal((await handle.describe()).attempt, 2);
  });
});

const FAILURES = [
  ['refuse', 'operation', ApplicationFailure],
  ['refuse', 'handler', HandlerError],
  ['breaks', 7, ApplicationFailure],
];
test('failures', 'Failures of operations, handlers and workflows arrive as what they are.', async (env) => {
  await withDesk(env, async (endpoint) => {
    for (const [operation, value, kind] of FAILURES) {
      const handle = await begin(env, endpoint, operation, value, { id: env.id(`${operation}-${value}`) });
      const cause = await failure(handle);
      assert(cause instanceof kind, `${operation} ${value}: ${cause}`);
      equal((await handle.describe()).status, 'FAILED');
    }
  });
});

test('too_slow', 'Nobody is there to start it, and what was started takes too long.', async (env) => {
  const nobody = { ...env, queue: `${env.queue}-nobody` };
  const options = { id: env.id('unheard'), scheduleToStartTimeout: '1s' };
  const unheard = await begin(env, await newEndpoint(nobody), 'echo', 'x', options);
  assert((await failure(unheard)) instanceof TimeoutFailure);
  await withDesk(env, async (endpoint) => {
    const handle = await begin(env, endpoint, 'endless', 1, { startToCloseTimeout: '1s' });
    assert((await failure(handle)) instanceof TimeoutFailure);
    equal((await handle.describe()).status, 'TIMED_OUT');
  });
});

test('cancelled', "The handler's workflow is cancelled, and with it the operation.", async (env) => {
  await withDesk(env, async (endpoint) => {
    const handle = await begin(env, endpoint, 'endless', 1);
    await until('the start', async () => (await handle.describe()).operationToken);
    await handle.cancel('enough');
    assert((await failure(handle)) instanceof CancelledFailure);
    const { status, cancellationInfo } = await handle.describe();
    equal([status, cancellationInfo.reason], ['CANCELED', 'enough']);
  });
});

test('terminated', "Ended at once; the handler's workflow goes on.", async (env) => {
  await withDesk(env, async (endpoint) => {
    const handle = await begin(env, endpoint, 'endless', 1);
    await handle.terminate('enough');
    const cause = await failure(handle);
    assert(cause instanceof TerminatedFailure, cause);
    equal(cause.message, 'enough');
    equal((await handle.describe()).status, 'TERMINATED');
    equal((await raises(ServiceError, handle.cancel())).cause.code, FAILED_PRECONDITION);
  });
});

test('same_id', 'What runs is in the way or used instead; what ran may be followed or not.', async (env) => {
  await withDesk(env, async (endpoint) => {
    const again = (operation, options) => begin(env, endpoint, operation, 'x', options);
    const first = await again('endless');
    const { runId } = await raises(NexusOperationAlreadyStartedError, again('endless'));
    equal(runId, first.runId);
    equal((await again('endless', { idConflictPolicy: 'USE_EXISTING' })).runId, first.runId);
    await first.terminate();
    await raises(NexusOperationAlreadyStartedError, again('echo', { idReusePolicy: 'REJECT_DUPLICATE' }));
    equal(await (await again('echo')).result(), 'x');
  });
});

test('listed', 'Lists and counts, by status.', async (env) => {
  await withDesk(env, async (endpoint) => {
    const { nexus } = env.client;
    for (const name of ['0', '1', '2']) {
      await (await begin(env, endpoint, 'echo', name, { id: env.id(name) })).result();
    }
    const waits = await begin(env, endpoint, 'endless', 1, { id: env.id('endless') });
    const mine = `Endpoint = '${endpoint}'`;
    await until('the list', async () => {
      const closed = await nexus.count(`${mine} AND ExecutionStatus = 'Completed'`);
      return closed.count === 3 && (await nexus.count(mine)).count === 4;
    });
    const { groups } = await nexus.count(`${mine} GROUP BY ExecutionStatus`);
    const counted = groups.map(({ count, groupValues }) => [groupValues[0].value ?? groupValues[0], count]);
    equal(Object.fromEntries(counted), { Completed: 3, Running: 1 });
    const listed = [];
    for await (const operation of nexus.list({ query: mine, pageSize: 3 })) {
      listed.push(operation);
    }
    equal(listed[0].operationId, env.id('endless'));
    equal(
      listed.map(({ operation }) => operation),
      ['endless', 'echo', 'echo', 'echo'],
    );
    await waits.terminate();
  });
});
