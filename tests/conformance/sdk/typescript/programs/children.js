'use strict';

// Child workflows, and messages from one workflow to another.

const { equal, test, until } = require('../harness');

test('several', 'Ten at once; each knows its parent.', async (env) => {
  await env.withWorker({}, async () => {
    const children = await env.execute('tree', [10]);
    equal(
      children,
      children.map((_, number) => ({ number, parent: env.id() })),
    );
  });
});

test('failure', 'The parent learns what its child died of.', async (env) => {
  await env.withWorker({}, async () => {
    equal(await env.execute('parentOfAFailure'), ['failingLeaf', 'Sad', 'a sad leaf', [1, 2]]);
  });
});

test('signalled', 'By the parent and by whoever knows its id.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('parentThatSignals'), [1, 2]));
});

test('cancelled', 'With the scope it was started in.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('parentThatCancels'), 'cancelled'));
});

const POLICIES = [
  ['TERMINATE', 'TERMINATED'],
  ['REQUEST_CANCEL', 'CANCELLED'],
  ['ABANDON', 'RUNNING'],
];
for (const [policy, status] of POLICIES) {
  test(`left_to_${policy.toLowerCase()}`, 'What becomes of a child whose parent has ended.', async (env) => {
    await env.withWorker({}, async () => {
      const child = env.client.workflow.getHandle(await env.execute('parentThatLeaves', [policy]));
      await until(`the child to be ${status}`, async () => (await child.describe()).status.name === status);
      if (status === 'RUNNING') {
        await child.terminate();
      }
    });
  });
}

test('twin', 'An id that is taken.', async (env) => {
  await env.withWorker({}, async () => {
    const other = await env.start('box', [], { workflowId: env.id('other') });
    equal(await env.execute('parentOfATwin', [other.workflowId]), 'WorkflowExecutionAlreadyStartedError');
    await other.terminate();
  });
});

test('continued', 'The parent waits for the last run of its child.', async (env) => {
  await env.withWorker({}, async () => equal(await env.execute('parentOfACountdown'), 3));
});

test('signal_and_cancel_from_afar', 'To a workflow that is no child.', async (env) => {
  await env.withWorker({}, async () => {
    const other = await env.start('boxUntilCancelled', [], { workflowId: env.id('other') });
    await env.execute('signalsAndCancels', [other.workflowId]);
    equal(await other.result(), ['from afar']);
  });
});

test('signal_to_nobody', 'Fails, and says so.', async (env) => {
  await env.withWorker({}, async () => {
    equal(await env.execute('signalsNobody'), 'Unable to signal external workflow because it was not found');
  });
});
