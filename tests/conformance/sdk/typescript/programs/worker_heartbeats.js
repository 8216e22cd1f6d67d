'use strict';

// Workers that tell the server how they are. How often is an option of the process (`main.js`).

const { equal, test, until } = require('../harness');

const RUNNING = 1;

const activities = { greet: async (name) => `Hello, ${name}!` };

test('seen_and_gone', 'Listed while it runs, described with what it has done, then gone.', async (env) => {
  const { workflowService } = env.client;
  // The workers of this case; any node must know.
  const query = `TaskQueue = '${env.queue}' AND Status = 'Running'`;
  const listed = async () => (await workflowService.listWorkers({ namespace: 'default', query })).workers;
  await env.withWorker({ activities, identity: 'a-worker-that-beats' }, async () => {
    const [worker] = await until("the worker's heartbeat", async () => {
      const workers = await listed();
      return workers.length > 0 && workers;
    });
    equal([worker.workerIdentity, worker.sdkName], ['a-worker-that-beats', 'temporal-typescript']);
    equal(worker.status, RUNNING);
    equal(await env.execute('greeting', ['world']), 'Hello, world!');
    const { workerInstanceKey } = worker;
    await until('a heartbeat after the activity', async () => {
      const answer = await workflowService.describeWorker({ namespace: 'default', workerInstanceKey });
      const { activityTaskSlotsInfo, workflowTaskSlotsInfo } = answer.workerInfo.workerHeartbeat;
      return activityTaskSlotsInfo.totalProcessedTasks === 1 && workflowTaskSlotsInfo.totalProcessedTasks >= 1;
    });
    const { count } = await workflowService.countWorkers({ namespace: 'default', query });
    equal(Number(count), 1);
  });
  await until("the worker's last heartbeat", async () => (await listed()).length === 0);
});
