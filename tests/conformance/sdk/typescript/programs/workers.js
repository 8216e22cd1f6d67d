'use strict';

// Workers that come and go.

const { Context, heartbeat } = require('@temporalio/activity');

const { equal, test, until } = require('../harness');

const activities = { step: async (number) => number + 1 };

const hasDone = (handle, count) => until(`${count} steps`, async () => (await handle.query('progress')) >= count);

test('one_after_another', 'Each step on another worker; the sticky queue of the last one is dead.', async (env) => {
  const handle = await env.start('steps', [3]);
  for (let number = 0; number < 3; number += 1) {
    await env.withWorker({ node: number, activities }, async () => {
      await handle.signal('allow');
      await hasDone(handle, number + 1);
    });
  }
  await env.withWorker({ activities }, async () => equal(await handle.result(), 3));
});

test('shut_down_over_an_activity', 'The activity hears of it; the next worker does it again.', async (env) => {
  let heard;
  const stopped = {
    async step() {
      const beating = setInterval(() => heartbeat(), 100);
      try {
        heard = true;
        await Context.current().cancelled;
      } catch (error) {
        heard = error.message;
        throw error;
      } finally {
        clearInterval(beating);
      }
    },
  };
  const handle = await env.start('steps', [1]);
  await handle.signal('allow');
  await env.withWorker({ activities: stopped }, () => until('the activity to start', async () => heard));
  equal(heard, 'WORKER_SHUTDOWN');
  await env.withWorker({ activities }, async () => equal(await handle.result(), 1));
});

test('small_cache', 'A cache of one workflow: each is evicted and replayed again and again.', async (env) => {
  const options = { activities, maxCachedWorkflows: env.cached ? 1 : 0 };
  if (env.cached) {
    options.maxConcurrentWorkflowTaskExecutions = 2;
  }
  await env.withWorker(options, async () => {
    const ids = Array.from({ length: 5 }, (_, number) => env.id(`${number}`));
    const handles = await Promise.all(ids.map((workflowId) => env.start('steps', [3], { workflowId })));
    for (let round = 0; round < 3; round += 1) {
      for (const handle of handles) {
        await handle.signal('allow');
      }
    }
    equal(
      await Promise.all(handles.map((handle) => handle.result())),
      ids.map(() => 3),
    );
  });
});

test('autoscaled_pollers', "Workers that follow the server's advice on how many polls to make.", async (env) => {
  const behaviour = { type: 'autoscaling', initial: 2 };
  const options = { activities, activityTaskPollerBehavior: behaviour, workflowTaskPollerBehavior: behaviour };
  await env.withWorker(options, async () => {
    const handle = await env.start('steps', [2]);
    await handle.signal('allow');
    await handle.signal('allow');
    equal(await handle.result(), 2);
  });
});
