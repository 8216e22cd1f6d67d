'use strict';

// Search attributes, memo, lists and counts.

const { TypedSearchAttributes, defineSearchAttributeKey } = require('@temporalio/common');

const { assert, equal, test, until } = require('../harness');

// Numbers of the API's IndexedValueType.
const TYPES = { keyword: 2, number: 3, flag: 5, list: 7 };
const NAMES = { keyword: 'TsKeyword', number: 'TsNumber', flag: 'TsFlag', list: 'TsList' };

async function attributes(env) {
  const searchAttributes = Object.fromEntries(Object.entries(NAMES).map(([name, key]) => [key, TYPES[name]]));
  const { operatorService } = env.client.connection;
  const has = async () => {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace: 'default' });
    return Object.values(NAMES).every((name) => name in customAttributes);
  };
  if (!(await has())) {
    // Another case may do the same at this moment.
    await operatorService.addSearchAttributes({ namespace: 'default', searchAttributes }).catch(() => {});
  }
  await until('the attributes to be known', has);
}

test('attributes_and_memo', 'Set at the start, changed by the workflow, seen by everybody.', async (env) => {
  await attributes(env);
  const keyword = defineSearchAttributeKey(NAMES.keyword, 'KEYWORD');
  const flag = defineSearchAttributeKey(NAMES.flag, 'BOOL');
  await env.withWorker({}, async () => {
    const handle = await until('the attributes to be accepted', () =>
      env
        .start('describesItself', [NAMES], {
          memo: { note: 'first', kept: [1, 2], gone: true },
          typedSearchAttributes: new TypedSearchAttributes([
            { key: keyword, value: 'first' },
            { key: flag, value: true },
          ]),
        })
        .catch(() => undefined),
    );
    const query = `WorkflowId = '${env.id()}' AND ${NAMES.keyword} = 'second' AND ${NAMES.number} > 41`;
    await until('it to be found', async () => (await env.client.workflow.count(query)).count === 1);
    const { memo, typedSearchAttributes } = await handle.describe();
    equal(memo, { note: 'changed', kept: [1, 2] });
    equal(typedSearchAttributes.get(keyword), 'second');
    equal(typedSearchAttributes.get(flag), undefined);
    await handle.signal('finish');
    equal(await handle.result(), { before: 'first', after: 'second', memo: { note: 'changed', kept: [1, 2] } });
  });
});

test('lists_and_counts', 'Found by a filter, page by page, and counted in groups.', async (env) => {
  await env.withWorker({}, async () => {
    for (let number = 0; number < 5; number += 1) {
      await env.execute('nothing', [], { workflowId: env.id(`${number}`) });
    }
    const open = await env.start('box', [], { workflowId: env.id('open') });
    const mine = `WorkflowId STARTS_WITH '${env.id()}'`;
    await until('all to be listed', async () => {
      const closed = await env.client.workflow.count(`${mine} AND ExecutionStatus = 'Completed'`);
      return closed.count === 5 && (await env.client.workflow.count(mine)).count === 6;
    });
    const found = [];
    for await (const info of env.client.workflow.list({ query: mine, pageSize: 2 })) {
      found.push(info);
    }
    equal(new Set(found.map(({ workflowId }) => workflowId)).size, 6);
    assert(found.every(({ taskQueue }) => taskQueue === env.queue));
    const { groups } = await env.client.workflow.count(`${mine} GROUP BY ExecutionStatus`);
    equal(groups.map(({ count, groupValues }) => [groupValues.flat()[0], count]).sort(), [
      ['Completed', 5],
      ['Running', 1],
    ]);
    await open.terminate();
  });
});
