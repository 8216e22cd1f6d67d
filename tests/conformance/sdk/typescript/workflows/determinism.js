'use strict';

const {
  condition,
  defineSignal,
  deprecatePatch,
  patched,
  setHandler,
  sleep,
  uuid4,
} = require('@temporalio/workflow');

const go = defineSignal('go');

/** Chance and time are the same in every replay. */
async function chance() {
  const before = [uuid4(), Math.random(), Date.now()];
  await sleep('100ms');
  const after = [uuid4(), Math.random(), Date.now()];
  return { before, after };
}

async function patchedOnce() {
  const before = patched('first-change') ? 'new' : 'old';
  let isToGo = false;
  setHandler(go, () => {
    isToGo = true;
  });
  await condition(() => isToGo);
  deprecatePatch('second-change');
  return [before, patched('first-change') ? 'new' : 'old'];
}

module.exports = { chance, patchedOnce };
