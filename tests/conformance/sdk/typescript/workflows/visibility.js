'use strict';

const { defineSearchAttributeKey } = require('@temporalio/common');
const {
  condition,
  defineSignal,
  setHandler,
  upsertMemo,
  upsertSearchAttributes,
  workflowInfo,
} = require('@temporalio/workflow');

/** Changes its own attributes and memo, and tells what it sees of them. */
async function describesItself(names) {
  const key = (name, type) => defineSearchAttributeKey(name, type);
  const before = workflowInfo().typedSearchAttributes.get(key(names.keyword, 'KEYWORD'));
  upsertSearchAttributes([
    { key: key(names.keyword, 'KEYWORD'), value: 'second' },
    { key: key(names.number, 'INT'), value: 42 },
    { key: key(names.list, 'KEYWORD_LIST'), value: ['a', 'b'] },
    { key: key(names.flag, 'BOOL'), value: null },
  ]);
  upsertMemo({ note: 'changed', gone: null });
  let isToGo = false;
  setHandler(defineSignal('finish'), () => {
    isToGo = true;
  });
  await condition(() => isToGo);
  const { typedSearchAttributes, memo } = workflowInfo();
  return { before, after: typedSearchAttributes.get(key(names.keyword, 'KEYWORD')), memo };
}

module.exports = { describesItself };
