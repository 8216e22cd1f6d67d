'use strict';

// What happens to the second start of an id.

const { WorkflowExecutionAlreadyStartedError } = require('@temporalio/client');

const { equal, raises, test } = require('../harness');

const again = (env, options) =>
  env.client.workflow.start('box', { workflowId: env.id(), taskQueue: env.queue, ...options });

test(
  'conflicts',
  'While the first one runs.',
  async (env) => {
    const first = await again(env, {});
    await raises(WorkflowExecutionAlreadyStartedError, again(env, {}));
    const same = await again(env, { workflowIdConflictPolicy: 'USE_EXISTING' });
    equal(same.firstExecutionRunId, first.firstExecutionRunId);
    const other = await again(env, { workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    equal(
      (await env.client.workflow.getHandle(env.id(), first.firstExecutionRunId).describe()).status.name,
      'TERMINATED',
    );
    await other.terminate();
  },
  { worker: false },
);

test(
  'reuse',
  'When the first one has ended.',
  async (env) => {
    await (await again(env, {})).terminate();
    await (await again(env, { workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' })).terminate();
    await raises(WorkflowExecutionAlreadyStartedError, again(env, { workflowIdReusePolicy: 'REJECT_DUPLICATE' }));
    await env.withWorker({}, async () => {
      const handle = await again(env, {});
      await handle.signal('finish');
      await handle.result();
    });
    await raises(
      WorkflowExecutionAlreadyStartedError,
      again(env, { workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY' }),
    );
  },
  { worker: false },
);
