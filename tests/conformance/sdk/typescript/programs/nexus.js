'use strict';

// Nexus: operations that answer at once, operations that are workflows, and what goes wrong with both.

const { ApplicationFailure, TimeoutFailure, WorkflowFailedError } = require('@temporalio/client');
const { NexusOperationFailure } = require('@temporalio/common');
const { HandlerError } = require('nexus-rpc');

const { assert, equal, raises, test } = require('../harness');
const { withDesk } = require('../nexus');

const call = (env, endpoint, way) => env.start('caller', [endpoint, way], { workflowId: env.id(way) });

const OPERATIONS = {
  at_once: 'hello',
  doubled: [true, 42],
  many: [0, 2, 4, 6, 8, 10, 12, 14],
};
test('operations', 'Answers at once, and workflows that answer later.', async (env) => {
  await withDesk(env, async (endpoint) => {
    for (const [way, expected] of Object.entries(OPERATIONS)) {
      equal(await (await call(env, endpoint, way)).result(), expected);
    }
  });
});

test('retried', 'A handler that is unavailable once is asked again.', async (env) => {
  await withDesk(env, async (endpoint) => equal(await (await call(env, endpoint, 'stumbled')).result(), 'try 2'));
});

const FAILURES = [
  ['refused', ApplicationFailure, 'no'],
  ['not_for_us', HandlerError, 'not you'],
  ['broken', ApplicationFailure, 'broken 7'],
  ['too_slow', TimeoutFailure, 'operation timed out'],
];
test('failures', 'Failures of operations, handlers and workflows arrive as what they are.', async (env) => {
  await withDesk(env, async (endpoint) => {
    for (const [way, kind, message] of FAILURES) {
      const handle = await call(env, endpoint, way);
      const { cause } = await raises(WorkflowFailedError, handle.result());
      assert(cause instanceof NexusOperationFailure, cause);
      equal(cause.service, 'Desk');
      assert(cause.cause instanceof kind, `${way}: ${cause.cause}`);
      equal(cause.cause.message, message);
    }
  });
});

const CANCELLATIONS = ['WAIT_CANCELLATION_COMPLETED', 'WAIT_CANCELLATION_REQUESTED', 'TRY_CANCEL', 'ABANDON'];
for (const type of CANCELLATIONS) {
  test(`cancelled_${type.toLowerCase()}`, 'The caller hears that its operation is cancelled.', async (env) => {
    await withDesk(env, async (endpoint) => {
      const handle = await env.start('canceller', [endpoint, type]);
      equal(await handle.result(), ['NexusOperationFailure', 'CancelledFailure']);
      const { events } = await handle.fetchHistory();
      const asked = events.some((event) => event.nexusOperationCancelRequestedEventAttributes);
      equal(asked, type !== 'ABANDON');
      // Whoever waits until it was asked may hear of the end as well.
      if (type !== 'WAIT_CANCELLATION_REQUESTED') {
        const done = events.some((event) => event.nexusOperationCanceledEventAttributes);
        equal(done, type === 'WAIT_CANCELLATION_COMPLETED');
      }
    });
  });
}
