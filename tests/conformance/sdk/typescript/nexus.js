'use strict';

// What programs about Nexus share: the handlers of the desk, an endpoint that leads to them, and a worker with both.

const { randomUUID } = require('node:crypto');

const { WorkflowRunOperationHandler, startWorkflow } = require('@temporalio/nexus');
const { HandlerError, OperationError, serviceHandler } = require('nexus-rpc');

const { desk } = require('./workflows/desk');

/** An operation that is a workflow. */
const byWorkflow = (workflow) =>
  new WorkflowRunOperationHandler(async (ctx, number) => {
    const workflowId = `${ctx.operation}-${ctx.requestId}`;
    return await startWorkflow(ctx, workflow, { workflowId, args: [number] });
  });

function handlers() {
  let stumbles = 0;
  return serviceHandler(desk, {
    echo: async (_, text) => text,
    async refuse(_, text) {
      throw text === 'handler' ? new HandlerError('UNAUTHORIZED', 'not you') : new OperationError('failed', 'no');
    },
    async stumble(_, text) {
      stumbles += 1;
      if (stumbles === 1) {
        throw new HandlerError('UNAVAILABLE', 'later');
      }
      return `${text} ${stumbles}`;
    },
    double: byWorkflow('doubler'),
    breaks: byWorkflow('breaker'),
    endless: byWorkflow('endless'),
  });
}

/** Makes an endpoint that leads to the case's worker, and tells its name. */
async function newEndpoint(env) {
  const name = `sdk-${randomUUID()}`;
  const target = { worker: { namespace: 'default', taskQueue: env.queue } };
  await env.client.connection.operatorService.createNexusEndpoint({ spec: { name, target } });
  return name;
}

/** Runs a worker with workflows and handlers for as long as `body` runs, which is given the endpoint. */
async function withDesk(env, body) {
  const endpoint = await newEndpoint(env);
  return await env.withWorker({ nexusServices: [handlers()] }, () => body(endpoint));
}

module.exports = { desk, newEndpoint, withDesk };
