'use strict';

// Everything that the bundle has; the names are those of the workflows' types.

module.exports = {
  ...require('./cancellation'),
  ...require('./chains'),
  ...require('./children'),
  ...require('./deployments'),
  ...require('./determinism'),
  ...require('./failures'),
  ...require('./hello'),
  ...require('./local_activities'),
  ...require('./messages'),
  ...require('./nexus'),
  ...require('./retries'),
  ...require('./timers'),
  ...require('./updates'),
  ...require('./visibility'),
  ...require('./workers'),
};
