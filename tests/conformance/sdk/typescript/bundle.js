'use strict';

// Bundles the workflows of all programs once, for all processes of a run: `node bundle.js OUTPUT`.

const fs = require('node:fs');

const { DefaultLogger, bundleWorkflowCode } = require('@temporalio/worker');

async function main() {
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('./workflows'),
    workflowInterceptorModules: [require.resolve('./workflows/interceptors')],
    logger: new DefaultLogger('ERROR'),
    // The packages are installed outside the checkout, where Node.js is told to look for them.
    webpackConfigHook: (config) => {
      config.resolve.modules.push(process.env.NODE_PATH);
      config.resolveLoader = { modules: [process.env.NODE_PATH] };
      return config;
    },
  });
  fs.writeFileSync(process.argv[2], code);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
