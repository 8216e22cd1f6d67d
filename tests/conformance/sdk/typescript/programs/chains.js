'use strict';

// Runs that follow each other: continue-as-new and cron.

const { equal, raises, test, until } = require('../harness');
const { WorkflowContinuedAsNewError } = require('@temporalio/client');

test('continued', 'Three times as new; the caller gets the last result.', async (env) => {
  await env.withWorker({}, async () => {
    const runs = await env.execute('countsDown', [3]);
    equal([runs.length, new Set(runs).size, runs[0]], [4, 4, env.handles[0].firstExecutionRunId]);
    const { status } = await env.client.workflow.getHandle(env.id(), runs[0]).describe();
    equal(status.name, 'CONTINUED_AS_NEW');
    const first = env.client.workflow.getHandle(env.id(), runs[0], { followRuns: false });
    await raises(WorkflowContinuedAsNewError, first.result());
  });
});

test('as_another', 'The next run is of another type and has another memo.', async (env) => {
  await env.withWorker({}, async () => {
    const { workflowType, memo } = await env.execute('becomesAnother', ['x']);
    equal([workflowType, memo], ['whoAmI', { word: 'x' }]);
  });
});

test('signals_between_runs', 'No signal is lost or doubled while runs change.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('sums', [20]);
    const current = env.client.workflow.getHandle(handle.workflowId);
    for (let number = 1; number <= 20; number += 1) {
      await current.signal('add', number);
    }
    equal(await handle.result(), 210);
  });
});

test('cron', 'Once a second, until it is terminated.', async (env) => {
  await env.withWorker({}, async () => {
    const handle = await env.start('nothing', [], { cronSchedule: '@every 1s' });
    const current = env.client.workflow.getHandle(handle.workflowId);
    await until('the third run', async () => {
      const { runId } = await current.describe();
      return (env.seen = (env.seen ?? new Set()).add(runId)).size >= 3;
    });
    await current.terminate();
    env.handles.length = 0;
  });
});
