'use strict';

// Activities that somebody else completes.

const { CompleteAsyncError, activityInfo } = require('@temporalio/activity');
const { ActivityNotFoundError, ApplicationFailure } = require('@temporalio/client');

const { equal, raises, test, until } = require('../harness');

/** Runs the workflow and gives what is needed to complete its activity to `finish`. */
async function left(env, finish) {
  let info;
  const activities = {
    async leftToOthers() {
      info = activityInfo();
      throw new CompleteAsyncError();
    },
  };
  return await env.withWorker({ activities }, async () => {
    const handle = await env.start('byHand');
    await until('the activity to start', async () => info);
    await finish(env.client.activity, info);
    return await handle.result();
  });
}

test('by_token', 'Completed with what the activity was given; a second time it is unknown.', async (env) => {
  const result = await left(env, async (client, { taskToken }) => {
    await client.heartbeat(taskToken, 'half');
    await client.complete(taskToken, { by: 'token' });
    await raises(ActivityNotFoundError, client.complete(taskToken, 'again'));
  });
  equal(result, { by: 'token' });
});

test('by_id', 'Completed by those who know its name.', async (env) => {
  const result = await left(env, async (client, { activityId, workflowExecution }) => {
    await client.complete({ ...workflowExecution, activityId }, 'by id');
  });
  equal(result, 'by id');
});

test('failed', 'A failure from outside.', async (env) => {
  const result = await left(env, async (client, { taskToken }) => {
    await client.fail(taskToken, ApplicationFailure.nonRetryable('so sad'));
  });
  equal(result, 'ApplicationFailure: so sad');
});
