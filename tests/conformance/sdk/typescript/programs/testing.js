'use strict';

// The package for tests, against a server that is already there.

const { TestWorkflowEnvironment } = require('@temporalio/testing');
const { Worker } = require('@temporalio/worker');

const { equal, test } = require('../harness');

test(
  'existing_server',
  'The test environment of the SDK on the server under test.',
  async (env) => {
    const { options } = env.client.connection;
    const environment = await TestWorkflowEnvironment.createFromExistingServer({ address: options.address });
    try {
      const worker = await Worker.create({
        connection: environment.nativeConnection,
        taskQueue: env.queue,
        workflowBundle: env.bundle,
        workflowThreadPoolSize: 1,
      });
      const started = { workflowId: env.id(), taskQueue: env.queue };
      equal(await worker.runUntil(environment.client.workflow.execute('nothing', started)), undefined);
    } finally {
      await environment.teardown();
    }
  },
  { worker: false },
);
