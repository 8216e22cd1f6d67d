'use strict';

// What a TypeScript SDK program is written with. The programs are plain JavaScript: the wire is the same, and
// nothing has to be compiled.
//
// Each case runs with the SDK's cache of workflows and its sticky queue, and, where it has a worker, once more
// without either, when every workflow task replays the whole history. Whatever a case ran is replayed at its end from
// the history that the server gives out.

const assert = require('node:assert/strict');

const { Client, Connection } = require('@temporalio/client');
const { NativeConnection, Worker } = require('@temporalio/worker');

const NAMESPACE = 'default';
const CHAIN_RUNS_MAX = 20;
const WAIT_SECONDS = 20;

const CASES = [];

/** Registers a case. `worker: false` says that it has no worker, so it runs once. */
function test(name, doc, body, { worker = true } = {}) {
  for (const cached of worker ? [true, false] : [true]) {
    CASES.push({ name: name + (cached ? '' : ' without cache'), doc, body, cached });
  }
}

/** Connections to all nodes, shared by the cases of one process. */
class Nodes {
  static async connect(addresses) {
    const nodes = new Nodes();
    nodes.clients = await Promise.all(
      addresses.map(async (address) => {
        return new Client({ connection: await Connection.connect({ address }), namespace: NAMESPACE });
      }),
    );
    nodes.natives = await Promise.all(addresses.map((address) => NativeConnection.connect({ address })));
    return nodes;
  }
}

/** The surroundings of one case. */
class Env {
  constructor(subject, definition, nodes, nonce, bundle) {
    this.cached = definition.cached;
    this.nodes = nodes;
    this.bundle = bundle;
    this.prefix = `ts-${subject}.${definition.name.replaceAll(' ', '-')}-${nonce}`;
    this.queue = `queue-${this.prefix}`;
    this.client = this.clientOf(0);
    this.handles = [];
  }

  /** Numbers beyond the last node begin again at the first. */
  clientOf(node) {
    return this.nodes.clients[node % this.nodes.clients.length];
  }

  id(name) {
    return name ? `${this.prefix}-${name}` : this.prefix;
  }

  /** A worker on the second node, where there are several: not on the caller's. */
  async newWorker({ node = 1, ...options } = {}) {
    return await Worker.create({
      connection: this.nodes.natives[node % this.nodes.natives.length],
      namespace: NAMESPACE,
      taskQueue: this.queue,
      workflowBundle: this.bundle,
      maxCachedWorkflows: this.cached ? 100 : 0,
      workflowThreadPoolSize: 1,
      ...options,
    });
  }

  /** Runs a worker for as long as `body` runs. */
  async withWorker(options, body) {
    const worker = await this.newWorker(options);
    return await worker.runUntil(body);
  }

  async start(workflow, args = [], options = {}) {
    const handle = await this.client.workflow.start(workflow, {
      workflowId: this.id(),
      taskQueue: this.queue,
      args,
      ...options,
    });
    this.handles.push(handle);
    return handle;
  }

  async execute(workflow, args, options) {
    return await (await this.start(workflow, args, options)).result();
  }

  /** Replays every run that the case started, with its successors, on the code that ran it. */
  async replayEverything() {
    const histories = [];
    for (const handle of this.handles) {
      histories.push(...(await this.histories(handle)));
    }
    if (histories.length === 0) {
      return;
    }
    const options = { workflowBundle: this.bundle, workflowThreadPoolSize: 1 };
    for await (const { workflowId, error } of Worker.runReplayHistories(options, histories)) {
      if (error) {
        throw new Error(`the history of ${workflowId} does not replay: ${error.message}`);
      }
    }
  }

  async histories({ workflowId, firstExecutionRunId, signaledRunId }) {
    const found = [];
    let run = firstExecutionRunId ?? signaledRunId;
    while (run && found.length < CHAIN_RUNS_MAX) {
      const history = await this.client.workflow.getHandle(workflowId, run).fetchHistory();
      found.push({ workflowId, history });
      run = successor(history.events.at(-1));
    }
    return found;
  }
}

function successor(event) {
  const attributes = Object.entries(event).find(([name, value]) => name.endsWith('EventAttributes') && value);
  return attributes?.[1].newExecutionRunId;
}

const equal = (actual, expected) => assert.deepEqual(actual, expected);

/** Awaits something that must fail, and returns the error. */
async function raises(kind, promise) {
  let value;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof kind) {
      return error;
    }
    throw error;
  }
  throw new Error(`${JSON.stringify(value)} instead of ${kind.name}`);
}

/** Waits until an asynchronous condition holds, and returns what it came to. */
async function until(what, condition) {
  const deadline = Date.now() + WAIT_SECONDS * 1000;
  for (;;) {
    const value = await condition();
    if (value) {
      return value;
    }
    if (Date.now() > deadline) {
      throw new Error(`waited in vain for ${what}`);
    }
    await pause(50);
  }
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

module.exports = { CASES, Env, Nodes, assert, equal, pause, raises, test, until };
