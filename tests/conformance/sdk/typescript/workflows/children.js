'use strict';

const {
  ApplicationFailure,
  CancellationScope,
  ChildWorkflowFailure,
  condition,
  defineSignal,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  setHandler,
  sleep,
  startChild,
  workflowInfo,
} = require('@temporalio/workflow');

async function leaf(number) {
  return { number, parent: workflowInfo().parent?.workflowId };
}

async function tree(count) {
  const ids = Array.from({ length: count }, (_, number) => `${workflowInfo().workflowId}-${number}`);
  return await Promise.all(ids.map((workflowId, number) => executeChild('leaf', { workflowId, args: [number] })));
}

async function failingLeaf() {
  throw ApplicationFailure.nonRetryable('a sad leaf', 'Sad', 1, 2);
}

async function parentOfAFailure() {
  try {
    return await executeChild('failingLeaf');
  } catch (error) {
    if (!(error instanceof ChildWorkflowFailure)) {
      throw error;
    }
    return [error.workflowType, error.cause.type, error.cause.message, error.cause.details];
  }
}

async function parentThatSignals() {
  const child = await startChild('box', { workflowId: `${workflowInfo().workflowId}-box` });
  await child.signal('put', 1);
  await getExternalWorkflowHandle(child.workflowId, child.firstExecutionRunId).signal('put', 2);
  await child.signal('finish');
  return await child.result();
}

async function parentThatCancels() {
  const scope = new CancellationScope();
  const running = scope.run(() => executeChild('letsItselfBeCancelled'));
  await sleep('300ms');
  scope.cancel();
  try {
    return await running;
  } catch (error) {
    return isCancellation(error) ? 'cancelled' : `failed: ${error}`;
  }
}

async function parentThatLeaves(parentClosePolicy) {
  const workflowId = `${workflowInfo().workflowId}-left`;
  await startChild('letsItselfBeCancelled', { workflowId, parentClosePolicy });
  return workflowId;
}

async function parentOfATwin(workflowId) {
  try {
    await startChild('leaf', { workflowId });
    return 'started';
  } catch (error) {
    return error.name;
  }
}

async function parentOfACountdown() {
  const runs = await executeChild('countsDown', { args: [2] });
  return runs.length;
}

async function signalsAndCancels(workflowId) {
  const other = getExternalWorkflowHandle(workflowId);
  await other.signal('put', 'from afar');
  await other.cancel();
}

async function signalsNobody() {
  try {
    await getExternalWorkflowHandle('nobody-has-this-id').signal('put', 1);
    return 'signalled';
  } catch (error) {
    return error.message;
  }
}

async function boxUntilCancelled() {
  const kept = [];
  setHandler(defineSignal('put'), (item) => void kept.push(item));
  try {
    await condition(() => false);
  } catch (error) {
    if (!isCancellation(error)) {
      throw error;
    }
  }
  return kept;
}

module.exports = {
  leaf,
  tree,
  failingLeaf,
  parentOfAFailure,
  parentThatSignals,
  parentThatCancels,
  parentThatLeaves,
  parentOfATwin,
  parentOfACountdown,
  signalsAndCancels,
  signalsNobody,
  boxUntilCancelled,
};
